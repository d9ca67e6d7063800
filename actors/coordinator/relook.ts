/**
 * Looks again now and then, for as long as somebody relies on what was seen. Live events are not kept: those of a commit whose
 * owner died before they left reach nobody, and no connection breaks.
 */
import type { Clock } from '#runtime/shard/ports';

const EVERY_MS = 15_000;
/** Of the time, that looking may take: one in so many parts. */
const SHARE = 1_000;

export interface RelookDeps {
  readonly clock: Clock;
  readonly isWanted: () => boolean;
  /** May not reject. */
  readonly look: () => Promise<void>;
}

export class Relook {
  readonly #deps: RelookDeps;
  #timer: unknown;
  /** A look is due, or under way. */
  #isArmed = false;
  #isClosed = false;

  constructor(deps: RelookDeps) {
    this.#deps = deps;
  }

  /** Somebody relies on it from now on. */
  begin(): void {
    if (!this.#isArmed) this.#arm(EVERY_MS);
  }

  close(): void {
    this.#isClosed = true;
    this.#deps.clock.clearTimer(this.#timer);
  }

  #arm(delayMs: number): void {
    this.#isArmed = !this.#isClosed;
    if (this.#isArmed) this.#timer = this.#deps.clock.setTimer(() => void this.#look(), delayMs);
  }

  async #look(): Promise<void> {
    const { clock, isWanted, look } = this.#deps;
    if (!isWanted()) {
      this.#isArmed = false;
      return;
    }
    const began = clock.now();
    await look();
    this.#arm(Math.max(EVERY_MS, (clock.now() - began) * SHARE));
  }
}
