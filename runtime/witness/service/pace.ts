/** Keeps work in the background within a rate, and out of the way of what the node does meanwhile. */
import { pause } from './pause.ts';

/** Whoever asks the node for something waits no longer than this for such work, ms. */
const SLICE_MS = 1;

export interface Rates {
  readonly commitsPerSecond: number;
  readonly bytesPerSecond: number;
}

export class Pace {
  readonly #rates: Rates;
  readonly #signal: AbortSignal;
  #commits = 0;
  #bytes = 0;
  #since = performance.now();

  constructor(rates: Rates, signal: AbortSignal) {
    this.#rates = rates;
    this.#signal = signal;
  }

  /** Counts a commit of so many bytes against the rates; the next rest is as long as they say. */
  count(bytes: number): void {
    this.#commits += 1;
    this.#bytes += bytes;
  }

  /** Call after every small piece of work: rests once a slice of time is used up. Never rejects. */
  async step(): Promise<void> {
    if (performance.now() - this.#since >= SLICE_MS) await this.rest();
  }

  /** Rests for what is counted. Resolves at once when the signal aborts; never rejects. */
  async rest(): Promise<void> {
    const { commitsPerSecond, bytesPerSecond } = this.#rates;
    const seconds = Math.max(this.#commits / commitsPerSecond, this.#bytes / bytesPerSecond);
    this.#commits = 0;
    this.#bytes = 0;
    await pause(seconds * 1_000, this.#signal);
    this.#since = performance.now();
  }
}
