/** Choices that repeat with their seed. */
import { seededRandom } from '#runtime/testing/seeded-random';

export class Choices {
  readonly #next: () => number;

  constructor(seed: number) {
    const random = seededRandom(seed);
    this.#next = () => random.next();
  }

  /** From 0 up to, and without, that. */
  below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  /** True once in so many times. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  of<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)];
    if (chosen === undefined) throw new Error('nothing to choose from');
    return chosen;
  }

  /** A number of 32 bits: often one at an edge. */
  i32(): number {
    return this.oneIn(3) ? this.of(EDGES) : (this.#next() * 2 ** 32) | 0;
  }
}

const EDGES = [0, 1, -1, 2, 7, 31, 32, 63, 64, 255, 256, 65_535, 65_536, 2 ** 31 - 1, -(2 ** 31)];
