/**
 * Time that moves only when told. Everything that takes the Clock port lives hours in milliseconds.
 *
 * V1  Timers fire in the order of their due time, and at one time in the order they were set.
 * V2  Between two timers every promise that can settle does so.
 */
import TinyQueue from 'tinyqueue';
import type { Clock } from '#runtime/shard/ports';

/** 2026-01-01T00:00:00Z: a plain date, so that times in a failing test can be read. */
export const TEST_EPOCH_MS = 1_767_225_600_000;
/** `runUntilIdle` gives up after this many timers: something sets one at each one that fires. */
const IDLE_TIMERS_MAX = 1_000_000;

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly fn: () => void;
}

export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  #queue = new TinyQueue<Pending>([], (a, b) => a.at - b.at || a.order - b.order);
  readonly #live = new Set<Pending>();

  /** `startMs` in ms since the epoch. */
  constructor(startMs = TEST_EPOCH_MS) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  setTimer(fn: () => void, delayMs: number): unknown {
    const pending = { at: this.#now + Math.max(0, delayMs), order: this.#order++, fn };
    this.#live.add(pending);
    this.#queue.push(pending);
    return pending;
  }

  clearTimer(handle: unknown): void {
    this.#live.delete(handle as Pending);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#live.size;
  }

  /**
   * Moves on by `ms`, firing what comes due on the way.
   *
   * @example
   * const clock = new VirtualClock();
   * clock.setTimer(() => console.log('an hour later'), 3_600_000);
   * await clock.advance(3_600_000);
   */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settled();
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.at > until) break;
      await this.#fire(next);
    }
    this.#now = until;
  }

  /** Fires timer after timer until none waits. Throws where that never ends. */
  async runUntilIdle(): Promise<void> {
    await settled();
    for (let fired = 0; fired < IDLE_TIMERS_MAX; fired++) {
      const next = this.#next();
      if (next === undefined) return;
      await this.#fire(next);
    }
    throw new Error(`${IDLE_TIMERS_MAX} timers fired and more are set: use advance(ms) with periodic timers`);
  }

  #next(): Pending | undefined {
    for (;;) {
      const top = this.#queue.peek();
      if (top === undefined || this.#live.has(top)) return top;
      this.#queue.pop();
    }
  }

  async #fire(timer: Pending): Promise<void> {
    this.#queue.pop();
    this.#live.delete(timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.fn();
    await settled();
  }
}

/** Resolves when every promise that can settle without a timer or I/O has done so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
