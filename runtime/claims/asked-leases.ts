/** Leases on actors, written by a node for those who may not write to buckets. */
import type { NatsConnection } from '@nats-io/nats-core';
import { headers } from '@nats-io/nats-core';
import { fromWireError } from '#runtime/node/api';
import type { WireError } from '#schemas/fabric-error';
import type { LeaseRequest } from './lease-door.ts';
import type { LeaseKeys, LeaseRow } from './lease-store.ts';

const REQUEST_TIMEOUT_MS = 2_000;
/** The node asks the task whose it is, and waits for a shard that moves. */
const BEGIN_TIMEOUT_MS = 10_000;

type Reply = { readonly revision?: number; readonly row?: LeaseRow } & (
  | { readonly ok: true }
  | { readonly ok: false; readonly error: WireError }
);

/** Keys are addresses here: the node knows the key of each. `from` is who asks, where the server does not say it. */
export function askedLeases(
  nc: NatsConnection,
  subjectOf: (address: string) => string,
  from: string,
): LeaseKeys {
  async function ask(key: string, request: LeaseRequest): Promise<Reply> {
    const hdrs = headers();
    hdrs.set('If-From', from);
    const timeout = request.op === 'create' ? BEGIN_TIMEOUT_MS : REQUEST_TIMEOUT_MS;
    const options = { timeout, headers: hdrs };
    const reply = (await nc.request(subjectOf(key), JSON.stringify(request), options)).json<Reply>();
    if (!reply.ok) throw fromWireError(reply.error);
    return reply;
  }
  return {
    create: async (key, value, ttlMs) => (await ask(key, { op: 'create', value, ttlMs })).revision,
    update: async (key, value, revision, ttlMs) =>
      (await ask(key, { op: 'update', value, revision, ttlMs })).revision,
    remove: async (key, revision) => void (await ask(key, { op: 'remove', revision })),
    get: async (key) => (await ask(key, { op: 'get' })).row,
  };
}
