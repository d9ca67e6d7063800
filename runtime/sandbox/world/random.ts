/**
 * The guest's random numbers: SplitMix64 from the task's seed, so that a run can be repeated. Not for keys: whoever
 * knows the seed knows them all.
 */

const MASK = 0xffff_ffff_ffff_ffffn;
/** More at a time is a mistake or an attack. */
const BYTES_MAX = 65_536;

export interface Random {
  word(): bigint;
  bytes(count: number): Uint8Array;
}

export function seededRandom(seed: bigint): Random {
  let state = seed & MASK;
  const word = (): bigint => {
    state = (state + 0x9e37_79b9_7f4a_7c15n) & MASK;
    let mixed = state;
    mixed = ((mixed ^ (mixed >> 30n)) * 0xbf58_476d_1ce4_e5b9n) & MASK;
    mixed = ((mixed ^ (mixed >> 27n)) * 0x94d0_49bb_1331_11ebn) & MASK;
    return mixed ^ (mixed >> 31n);
  };
  const bytes = (count: number): Uint8Array => {
    if (count > BYTES_MAX) throw new Error(`more than ${BYTES_MAX} random bytes at a time`);
    const words = BigUint64Array.from({ length: Math.ceil(count / 8) }, word);
    return new Uint8Array(words.buffer, 0, count);
  };
  return { word, bytes };
}
