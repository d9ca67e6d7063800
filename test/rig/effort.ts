/**
 * How much a test tries. Every run takes a share of the cases, others each time; `TEST_FULL=1` takes all of them, as
 * before a release.
 */
import { randomInt } from 'node:crypto';

/** Coprime to eight: every place in a byte has its turn. */
const BIT_STRIDE = 13;

const isFull = (process.env['TEST_FULL'] ?? '') !== '';

/** How many cases to try. */
export function cases(full: number, everyRun: number): number {
  return isFull ? full : everyRun;
}

/** The bits of so many bytes: all, or each 13th from a random one on. */
export function bitsOf(bytes: number): number[] {
  const step = isFull ? 1 : BIT_STRIDE;
  const bits: number[] = [];
  for (let bit = randomInt(step); bit < bytes * 8; bit += step) bits.push(bit);
  return bits;
}
