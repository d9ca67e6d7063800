/** Sums as CSV: a line for each row and currency, with whole micro-units and as a decimal. */

import { formatMoney } from '#schemas/money';
import { TOKEN_CLASSES } from '#schemas/price';
import { csvLine } from '../csv.ts';
import type { Dimension, Sums } from './sums.ts';

export function sumsCsv({ rows }: Sums, by: readonly Dimension[]): string[] {
  const head = [
    ...by,
    'records',
    ...TOKEN_CLASSES,
    'unpriced',
    'estimated',
    'currency',
    'amountMicros',
    'amount',
  ];
  const lines = rows.flatMap(({ key, records, tokens, amounts, unpriced, estimated }) => {
    const priced = Object.entries(amounts);
    // Tokens stand on the first line of a row only: columns can be added up.
    return (priced.length === 0 ? [['', 0] as const] : priced).map(([currency, micros], n) =>
      csvLine([
        ...by.map((dimension) => key[dimension] ?? ''),
        n === 0 ? records : 0,
        ...TOKEN_CLASSES.map((of) => (n === 0 ? tokens[of] : 0)),
        n === 0 ? unpriced : 0,
        n === 0 ? estimated : 0,
        currency,
        micros,
        formatMoney(micros),
      ]),
    );
  });
  return [csvLine(head), ...lines];
}
