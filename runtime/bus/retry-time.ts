/**
 * How long an answer is waited for before the request is sent again: what answers took lately and four times their
 * spread (RFC 6298, as TCP does it), so that an answer that was lost with a connection or a node is missed soon.
 */
/** Who stands still for so long is not asked twice. */
const WAIT_MS_MIN = 250;

export class RetryTime {
  readonly #maxMs: number;
  readonly #minMs: number;
  #meanMs: number | undefined;
  #spreadMs = 0;

  /** `maxMs` is waited where nothing is known yet, and at most; `minMs` at least. */
  constructor(maxMs: number, minMs = WAIT_MS_MIN) {
    this.#maxMs = maxMs;
    this.#minMs = minMs;
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
    const first = Math.max(this.#meanMs + 4 * this.#spreadMs, this.#minMs);
    return Math.min(first * 2 ** Math.min(attempts - 1, 10), this.#maxMs);
  }
}
