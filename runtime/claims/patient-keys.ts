/** Leases over a bucket that is made anew now and then: a caller waits for it, and does not see the gap. */
import { JetStreamApiError } from '@nats-io/jetstream';
import { NoRespondersError, RequestError } from '@nats-io/nats-core';
import type { Clock } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { claimErrors } from './errors.ts';
import type { LeaseKeys } from './lease-store.ts';

/** A node looks every half second. */
const PATIENCE_MS = 5_000;
const AGAIN_MS = 100;
const STREAM_NOT_FOUND = 10_059;

/** Throws `leases_away` where the bucket does not come back in time. */
export function patientKeys(open: () => Promise<LeaseKeys>, clock: Clock): LeaseKeys {
  let opened: LeaseKeys | undefined;

  async function patiently<T>(attempt: (keys: LeaseKeys) => Promise<T>): Promise<T> {
    const deadline = clock.now() + PATIENCE_MS;
    for (;;) {
      try {
        opened ??= await open();
        return await attempt(opened);
      } catch (cause) {
        if (!isAway(cause)) throw cause;
        if (clock.now() >= deadline)
          throw new FabricError(claimErrors.leases_away, 'The bucket of leases is not there', { cause });
        await new Promise<void>((resolve) => void clock.setTimer(resolve, AGAIN_MS));
      }
    }
  }
  return {
    create: (key, value, ttlMs) => patiently((keys) => keys.create(key, value, ttlMs)),
    update: (key, value, revision, ttlMs) => patiently((keys) => keys.update(key, value, revision, ttlMs)),
    remove: (key, revision) => patiently((keys) => keys.remove(key, revision)),
    get: (key) => patiently((keys) => keys.get(key)),
  };
}

/** Nothing was written then. */
function isAway(thrown: unknown): boolean {
  if (thrown instanceof JetStreamApiError) return thrown.code === STREAM_NOT_FOUND;
  if (thrown instanceof RequestError) return thrown.isNoResponders();
  return thrown instanceof NoRespondersError;
}
