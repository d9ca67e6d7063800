/** One timer of the clock for all timers of a shard: armed for the earliest. */
import type { Clock } from './ports.ts';

/** Longest delay that is armed; what is due later is looked at again then. */
const DELAY_MAX_MS = 60_000;

export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #armed: { readonly handle: unknown; readonly dueAt: number } | undefined;

  /** `ring` is called when the time armed for has come, or earlier: look again then. */
  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  get isArmed(): boolean {
    return this.#armed !== undefined;
  }

  /** Rings at `dueAt` (ms since the epoch) at the latest; undefined: never. */
  arm(dueAt: number | undefined): void {
    if (this.#armed !== undefined) {
      if (dueAt !== undefined && this.#armed.dueAt <= dueAt) return;
      this.clear();
    }
    if (dueAt === undefined) return;
    const delayMs = Math.min(Math.max(0, dueAt - this.#clock.now()), DELAY_MAX_MS);
    const handle = this.#clock.setTimer(() => {
      this.#armed = undefined;
      this.#ring();
    }, delayMs);
    this.#armed = { handle, dueAt };
  }

  clear(): void {
    if (this.#armed !== undefined) this.#clock.clearTimer(this.#armed.handle);
    this.#armed = undefined;
  }
}
