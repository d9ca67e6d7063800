/**
 * What tokens cost, exactly.
 *
 * M1  Money is whole micro-units. Prices are micro-units for a million tokens, so a sum of tokens × prices is a whole number of
 *     millionths of a micro-unit: exact, as a BigInt.
 * M2  A record is rounded once, its whole sum and no part of it: to the nearest micro-unit, a half to the even one, so that
 *     many records lean to neither side.
 * M3  What is reserved is rounded up: it is never less than what the same tokens cost.
 */
import type { Tokens } from '#schemas/cost';
import { CLASS_FALLBACK, type PerMillion, TOKEN_CLASSES, type TokenClass } from '#schemas/price';

const MILLION = 1_000_000n;

/** M2. Undefined where it leaves the numbers that are exact. */
export function amountMicros(tokens: Tokens, perMillion: PerMillion): number | undefined {
  const sum = millionths(tokens, perMillion);
  const [whole, rest] = [sum / MILLION, sum % MILLION];
  const isUp = rest * 2n > MILLION || (rest * 2n === MILLION && whole % 2n === 1n);
  return exact(whole + (isUp ? 1n : 0n));
}

/** M3. Undefined where it leaves the numbers that are exact. */
export function boundMicros(tokens: Tokens, perMillion: PerMillion): number | undefined {
  return exact((millionths(tokens, perMillion) + MILLION - 1n) / MILLION);
}

/** Price of a class, its own or the one behind it. */
export function priceOf(perMillion: PerMillion, of: TokenClass): number {
  const own = perMillion[of];
  if (own !== undefined) return own;
  // Input and output always have one.
  return of === 'input' || of === 'output' ? 0 : priceOf(perMillion, CLASS_FALLBACK[of]);
}

/** The dearest way in which a token can come in: nobody knows before what of it a cache takes or gives. */
export function dearestInput(perMillion: PerMillion): TokenClass {
  const ways = TOKEN_CLASSES.filter((of) => of !== 'output');
  return ways.reduce((a, b) => (priceOf(perMillion, b) > priceOf(perMillion, a) ? b : a));
}

export function tokensOf(tokens: Tokens): number {
  return TOKEN_CLASSES.reduce((sum, of) => sum + tokens[of], 0);
}

function millionths(tokens: Tokens, perMillion: PerMillion): bigint {
  return TOKEN_CLASSES.reduce((sum, of) => sum + BigInt(tokens[of]) * BigInt(priceOf(perMillion, of)), 0n);
}

function exact(micros: bigint): number | undefined {
  return micros <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(micros) : undefined;
}
