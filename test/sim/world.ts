/**
 * Time and order of a schedule.
 *
 * W1  Everything that happens is an event of one queue: by its time, and at one time in an order that chance decides.
 * W2  Between two events every promise that can settle does so; nothing else is under way in the process.
 * W3  What was decided, and every byte that was stored, is in the trace; equal seeds give equal traces.
 */
import { createHash } from 'node:crypto';
import TinyQueue from 'tinyqueue';
import { Chance } from './chance.ts';

/** Thirty times what a schedule takes: something goes round in circles. */
const STEPS_MAX = 100_000;

interface Happening {
  readonly at: number;
  readonly tie: number;
  run: (() => void) | undefined;
}

export class World {
  /** Chance of the network and of ties; others fork theirs. */
  readonly chance: Chance;
  /** What broke a promise, in the order it was found. */
  readonly violations: string[] = [];
  readonly #queue = new TinyQueue<Happening>([], (a, b) => a.at - b.at || a.tie - b.tie);
  readonly #hash = createHash('sha256');
  readonly #lines: string[] | undefined;
  #now = 0;
  #steps = 0;
  #touched = false;

  /** `keep`: remember the trace as text, not only its hash. */
  constructor(seed: number, keep: boolean) {
    this.chance = new Chance(seed);
    this.#lines = keep ? [] : undefined;
  }

  /** ms since the beginning. */
  get now(): number {
    return this.#now;
  }

  /** Events so far. */
  get steps(): number {
    return this.#steps;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  /** Plans an event; the returned function takes it back. */
  after(delayMs: number, run: () => void): () => void {
    const happening: Happening = { at: this.#now + Math.max(0, delayMs), tie: this.chance.next(), run };
    this.#queue.push(happening);
    return () => {
      happening.run = undefined;
    };
  }

  /** Code of a node ran in this event: its promises settle before the next one (W2). */
  touch(): void {
    this.#touched = true;
  }

  note(line: string): void {
    this.#hash.update(line);
    this.#lines?.push(`${this.#now.toFixed(3).padStart(10)} ${line}`);
  }

  noteBytes(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  violate(what: string): void {
    if (this.violations.includes(what)) return;
    this.violations.push(what);
    this.note(`VIOLATION ${what}`);
  }

  /** SHA-256 of the trace; ends it. */
  digest(): string {
    return this.#hash.digest('hex');
  }

  /** Runs event after event until it is so. False where that does not come within `limitMs`. */
  async run(isSo: () => boolean, limitMs: number): Promise<boolean> {
    const until = this.#now + limitMs;
    while (!isSo()) {
      const next = this.#queue.peek();
      if (next === undefined || next.at > until) return false;
      this.#queue.pop();
      const { run } = next;
      if (run === undefined) continue;
      this.#now = next.at;
      this.#steps += 1;
      if (this.#steps > STEPS_MAX) throw new Error(`no end after ${STEPS_MAX} events`);
      run();
      if (!this.#touched) continue;
      this.#touched = false;
      await settled();
    }
    return true;
  }
}

/** W2: the queue of microtasks is empty when the loop comes to its next turn, and nobody here does real I/O. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
