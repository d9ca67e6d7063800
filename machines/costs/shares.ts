/** Sums of records, by currency. Pure; an addition that would not be exact is no addition. */
import type { Amounts, CostRecord, Share } from '#schemas/cost';
import { tokensOf } from './amount.ts';

export const NO_SHARE: Share = { records: 0, tokens: 0, amounts: {} };
/** Where no name is given. */
export const NONE = '(none)';
/** Where names go that a map has no room for. */
export const OTHERS = '(others)';

/** Undefined where a sum leaves the numbers that are exact, or there are too many of them. */
export function plus(share: Share, record: CostRecord): Share | undefined {
  const amounts = plusAmount(share.amounts, record);
  const tokens = share.tokens + tokensOf(record.tokens);
  if (amounts === undefined || !Number.isSafeInteger(tokens)) return undefined;
  return { records: share.records + 1, tokens, amounts };
}

/** Adds to the share of a name; a new name beyond `max` is one of the others. */
export function plusTo(
  shares: Readonly<Record<string, Share>>,
  name: string,
  record: CostRecord,
  max: number,
): Readonly<Record<string, Share>> {
  const isRoom = Object.hasOwn(shares, name) || Object.keys(shares).length < max;
  const key = isRoom ? name : OTHERS;
  const before = Object.hasOwn(shares, key) ? shares[key] : undefined;
  // A part of a sum that is exact.
  const after = plus(before ?? NO_SHARE, record) ?? NO_SHARE;
  return { ...shares, [key]: after };
}

/** More is nobody's real money: a book keeps a sum of each. */
const CURRENCIES_MAX = 16;

function plusAmount(amounts: Amounts, { price, amountMicros }: CostRecord): Amounts | undefined {
  if (price === null || amountMicros === null) return amounts;
  const isKnown = Object.hasOwn(amounts, price.currency);
  if (!isKnown && Object.keys(amounts).length >= CURRENCIES_MAX) return undefined;
  const sum = (isKnown ? (amounts[price.currency] ?? 0) : 0) + amountMicros;
  return Number.isSafeInteger(sum) ? { ...amounts, [price.currency]: sum } : undefined;
}
