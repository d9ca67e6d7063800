/** Money as cost tables show it: decimals of a currency, which are whole micro-units everywhere else. Pure and exact. */
import type { Amounts } from '#schemas/cost';
import { formatMoney, parseMoney } from '#schemas/money';

/** Micro-units of `2.50` or 0.075; undefined for what has more than six digits behind the point, or is no amount. */
export function microsOf(text: string | number): number | undefined {
  return parseMoney(String(text).trim());
}

/** `12.50 USD`. */
export function money(micros: number, currency: string): string {
  return `${formatMoney(micros)} ${currency}`;
}

/** Currencies side by side, in the order of their names. */
export function moneyOf(amounts: Amounts): string {
  const parts = Object.entries(amounts).sort(([a], [b]) => (a < b ? -1 : 1));
  return parts.length === 0 ? '–' : parts.map(([currency, micros]) => money(micros, currency)).join(' + ');
}
