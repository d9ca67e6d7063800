/** A price table in the forms that `readPrices` reads; what is written and read again is the same. */
import { stringify } from 'yaml';
import { formatMoney } from '#schemas/money';
import type { PriceRow } from '#schemas/price';
import { csvLine } from '../csv.ts';
import { COLUMNS } from './read.ts';

export function pricesYaml(rows: readonly PriceRow[]): string {
  return stringify({ prices: rows.map(written) });
}

export function pricesCsv(rows: readonly PriceRow[]): string {
  const lines = rows.map((row) => {
    const fields: Readonly<Record<string, unknown>> = written(row);
    return csvLine(
      COLUMNS.map((name) => (name === 'aliases' ? row.aliases.join(' ') : String(fields[name] ?? ''))),
    );
  });
  return `${[csvLine(COLUMNS), ...lines].join('\n')}\n`;
}

function written({ provider, model, aliases, currency, from, until, perMillion, outputMax }: PriceRow) {
  const prices = Object.fromEntries(
    Object.entries(perMillion).flatMap(([name, micros]) =>
      micros === undefined ? [] : [[name, formatMoney(micros)]],
    ),
  );
  return {
    provider,
    model,
    ...(aliases.length > 0 && { aliases }),
    currency,
    from: dateOf(from),
    ...(until !== null && { until: dateOf(until) }),
    ...prices,
    ...(outputMax !== undefined && { outputMax }),
  };
}

/** A day where it is one: what people write. */
export function dateOf(at: number): string {
  const text = new Date(at).toISOString();
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : text;
}
