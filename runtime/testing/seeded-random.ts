/** Chance that repeats: the same seed gives the same numbers and ids on any machine. */
import type { Random } from '#runtime/shard/ports';

/**
 * @example
 * const random = seededRandom(7);
 * random.next(); // always the same first number
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  let ids = 0;
  return {
    // mulberry32: small, and good enough for choices in tests.
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    },
    id: () => `id${seed}-${ids++}`,
  };
}
