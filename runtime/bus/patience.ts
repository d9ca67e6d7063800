/** The first requests to JetStream: a cluster that is choosing its leaders answers none for some seconds. */
import { JetStreamApiError } from '@nats-io/jetstream';
import { NoRespondersError, RequestError, TimeoutError } from '@nats-io/nats-core';
import type { Clock, Logger } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';

const PATIENCE_MS = 30_000;
const AGAIN_AFTER_MS = 250;
/** Temporarily unavailable; no suitable peers yet; the leader is not known. */
const UNREADY = new Set([10_008, 10_005, 10_009]);

export interface Patience {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
  /** ms; 30,000 when absent. */
  readonly forMs?: number;
}

/**
 * Attempts something that may be attempted again until JetStream answers. Throws `jetstream_unready` where it does not in
 * time, what the signal aborts with, and at once whatever else the attempt throws.
 */
export async function patiently<T>(
  what: string,
  { clock, logger, signal, forMs = PATIENCE_MS }: Patience,
  attempt: () => Promise<T>,
): Promise<T> {
  const deadline = clock.now() + forMs;
  for (let tries = 1; ; tries += 1) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (thrown) {
      if (!isUnready(thrown)) throw thrown;
      const why = (thrown as Error).message;
      if (clock.now() >= deadline) {
        throw new FabricError(busErrors.jetstream_unready, `JetStream did not answer: ${what} (${why})`, {
          details: { what, tries },
          cause: thrown,
        });
      }
      logger.warn({ what, tries, why }, 'jetstream_unready');
      await new Promise<void>((resolve) => clock.setTimer(resolve, AGAIN_AFTER_MS));
    }
  }
}

/** Nobody answered, or who answered cannot say yet. */
export function isUnready(thrown: unknown): boolean {
  if (thrown instanceof JetStreamApiError) return UNREADY.has(thrown.code);
  if (thrown instanceof RequestError) return isUnready(thrown.cause);
  return thrown instanceof TimeoutError || thrown instanceof NoRespondersError;
}
