/**
 * How long an answer is waited for before the request is sent again: what answers took lately and four times their
 * spread (RFC 6298, as TCP does it), so that an answer that was lost with a connection or a node is missed soon.
 */

import { memberErrors } from '#runtime/members/errors';
import { shardErrors } from '#runtime/shard/errors';
import { clientErrors } from './errors.ts';

const BACKOFF_FIRST_MS = 20;
const BACKOFF_MS_MAX = 1_000;
/** Where nobody is overloaded asking costs nobody much, and who takes over should not be waited for longer than needed. */
const OUTAGE_BACKOFF_MS_MAX = 200;
/** Nobody is there yet, or the servers choose a leader of the log. */
const OUTAGES: ReadonlySet<string> = new Set([
  clientErrors.nobody_answers.code,
  memberErrors.shard_unowned.code,
  shardErrors.shard_moved.code,
  shardErrors.log_unavailable.code,
]);

/** A node that stands still for so long is not asked twice. */
const WAIT_MS_MIN = 250;

export class RetryTime {
  readonly #maxMs: number;
  #meanMs: number | undefined;
  #spreadMs = 0;

  /** `maxMs` is waited where nothing is known yet, and at most. */
  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  /** An answer to a request that was sent once: of others nobody knows which attempt was answered. */
  observe(tookMs: number): void {
    if (this.#meanMs === undefined) {
      this.#meanMs = tookMs;
      this.#spreadMs = tookMs / 2;
      return;
    }
    this.#spreadMs += (Math.abs(tookMs - this.#meanMs) - this.#spreadMs) / 4;
    this.#meanMs += (tookMs - this.#meanMs) / 8;
  }

  /** Doubles with each attempt. */
  afterMs(attempts: number): number {
    if (this.#meanMs === undefined) return this.#maxMs;
    const first = Math.max(this.#meanMs + 4 * this.#spreadMs, WAIT_MS_MIN);
    return Math.min(first * 2 ** Math.min(attempts - 1, 10), this.#maxMs);
  }
}

/**
 * After a refusal: doubles per attempt, with jitter of a half either way, since callers refused together must not come
 * back together. `random` is uniform in [0, 1).
 */
export function backoffMs(code: string, attempts: number, random: number): number {
  const maxMs = OUTAGES.has(code) ? OUTAGE_BACKOFF_MS_MAX : BACKOFF_MS_MAX;
  return Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(attempts - 1, 10), maxMs) * (0.5 + random);
}
