/** How long a client waits before it asks again. */
import { memberErrors } from '#runtime/members/errors';
import { shardErrors } from '#runtime/shard/errors';
import { clientErrors } from './errors.ts';

const BACKOFF_FIRST_MS = 20;
const BACKOFF_MS_MAX = 1_000;
/** Where nobody is overloaded asking costs nobody much, and who takes over should not be waited for longer than needed. */
const OUTAGE_BACKOFF_MS_MAX = 100;
/** Nobody is there yet, or the servers choose a leader of the log. */
const OUTAGES: ReadonlySet<string> = new Set([
  clientErrors.nobody_answers.code,
  memberErrors.shard_unowned.code,
  shardErrors.shard_moved.code,
  shardErrors.log_unavailable.code,
]);

/**
 * After a refusal: doubles per attempt, with jitter of a half either way, since callers refused together must not come
 * back together. `random` is uniform in [0, 1).
 */
export function backoffMs(code: string, attempts: number, random: number): number {
  const maxMs = OUTAGES.has(code) ? OUTAGE_BACKOFF_MS_MAX : BACKOFF_MS_MAX;
  return Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(attempts - 1, 10), maxMs) * (0.5 + random);
}
