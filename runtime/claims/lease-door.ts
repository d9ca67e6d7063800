/**
 * Leases on actors for those who may not write to buckets: a node writes for them.
 *
 * D1  The key is that of the actor which the subject names; the server lets nobody name what it may not ask.
 * D2  What is written names the sender as its holder, and only the holder renews, hands on or removes.
 * D3  Where it is known whose a lease is (lease-owner.ts), nobody else begins one, and its owner writes over whatever
 *     stands there: what an earlier holder left behind, or another put there, bars nobody.
 */
import type { Msg } from '@nats-io/nats-core';
import { z } from 'zod';
import { readHeaders } from '#runtime/bus/message-headers';
import { ReplyGuard } from '#runtime/bus/reply-guard';
import { respond } from '#runtime/bus/respond';
import { addressOfTail } from '#runtime/bus/subjects';
import type { DriverRealm } from '#runtime/effects/driver';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { claimErrors } from './errors.ts';
import { holderOf } from './lease.ts';
import { ownerAsker } from './lease-owner.ts';
import type { LeaseKeys } from './lease-store.ts';
import { natsLeases } from './nats-leases.ts';
import { patientKeys } from './patient-keys.ts';

/** Nodes that share the work. */
const QUEUE = 'lease-door';
const TTL_MS_MAX = 3_600_000;
const TTL_MS_MIN = 1_000;

const value = z.string().max(1_000);
const ttlMs = z.int().min(TTL_MS_MIN).max(TTL_MS_MAX);
const revision = z.int().min(1);

const requestSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('create'), value, ttlMs }),
  z.object({ op: z.literal('update'), value, revision, ttlMs }),
  z.object({ op: z.literal('remove'), revision }),
  z.object({ op: z.literal('get') }),
]);
export type LeaseRequest = z.infer<typeof requestSchema>;

export async function openLeaseDoor(realm: DriverRealm): Promise<AsyncDisposable> {
  const { nc, subjects, senders, clock, logger } = realm;
  const guard = new ReplyGuard(subjects.prefix, logger);
  const keys = patientKeys(() => natsLeases(nc, subjects.buckets.leases), clock);
  const ownerOf = ownerAsker(nc, subjects, clock);

  async function answer(m: Msg): Promise<object> {
    const address = addressOfTail(m.subject);
    const key = subjects.leaseKey(address);
    const parsed = requestSchema.safeParse(json(m));
    if (!parsed.success) {
      throw new FabricError(claimErrors.lease_bad_request, parsed.error.issues[0]?.message ?? 'no request');
    }
    const by = senders.ofAsk(readHeaders(m)) ?? '';
    return await perform({ store: keys, key, by, owner: () => ownerOf(address) }, parsed.data);
  }

  const subscription = nc.subscribe(subjects.reach.leases(), {
    queue: QUEUE,
    callback: (error, m) => {
      if (error !== null || !guard.accepts(m)) return;
      void answer(m).then(
        (reply) => respond(m, JSON.stringify({ ok: true, ...reply })),
        (thrown: unknown) => respond(m, JSON.stringify({ ok: false, error: toWireError(thrown) })),
      );
    },
  });
  return {
    async [Symbol.asyncDispose]() {
      subscription.unsubscribe();
    },
  };
}

interface Asked {
  readonly store: LeaseKeys;
  readonly key: string;
  readonly by: string;
  /** Asks whose it is. */
  readonly owner: () => Promise<string | null | undefined>;
}

/** D2, D3. */
async function perform(asked: Asked, request: LeaseRequest): Promise<object> {
  const { store, key, by, owner } = asked;
  switch (request.op) {
    case 'get':
      return { row: await store.get(key) };
    case 'create':
      if (holderIn(request.value) !== by) throw notYours(key, by);
      return { revision: await begin(asked, request, await owner()) };
    case 'update': {
      const row = await store.get(key);
      if (row !== undefined && holderOf(row) !== by && (await owner()) !== by) throw notYours(key, by);
      return { revision: await store.update(key, request.value, request.revision, request.ttlMs) };
    }
    case 'remove': {
      const row = await store.get(key);
      if (row !== undefined && holderOf(row) !== by) throw notYours(key, by);
      await store.remove(key, request.revision);
      return {};
    }
  }
}

/** D3. */
async function begin(
  { store, key, by }: Asked,
  { value: text, ttlMs: ttl }: Extract<LeaseRequest, { op: 'create' }>,
  owner: string | null | undefined,
): Promise<number | undefined> {
  if (owner !== undefined && owner !== by) throw notYours(key, by);
  const created = await store.create(key, text, ttl);
  if (created !== undefined || owner === undefined) return created;
  const row = await store.get(key);
  return row === undefined ? undefined : await store.update(key, text, row.revision, ttl);
}

function holderIn(text: string): unknown {
  try {
    return holderOf({ value: text });
  } catch {
    throw new FabricError(claimErrors.lease_bad_request, 'The value is no JSON of a holder');
  }
}

function notYours(key: string, by: string): FabricError {
  return new FabricError(claimErrors.lease_not_yours, `${by} does not hold ${key}`, { details: { key } });
}

function json(m: Msg): unknown {
  try {
    return m.json();
  } catch (cause) {
    throw new FabricError(claimErrors.lease_bad_request, 'The request is no JSON', { cause });
  }
}
