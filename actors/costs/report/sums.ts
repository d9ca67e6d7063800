/**
 * Sums of cost records by what one asks for. Pure.
 *
 * S1  Exact: added as whole micro-units, in BigInt; currencies are never added to one another.
 * S2  The rows add up to the total: each record is in one row.
 */
import type { Amounts, CostRecord, Tokens } from '#schemas/cost';
import { FabricError } from '#schemas/fabric-error';
import { TOKEN_CLASSES } from '#schemas/price';
import { costErrors } from '../errors.ts';

export const DIMENSIONS = [
  'session',
  'task',
  'model',
  'provider',
  'day',
  'swarm',
  'source',
  'trace',
] as const;
export type Dimension = (typeof DIMENSIONS)[number];

export interface Sum {
  readonly records: number;
  readonly tokens: Tokens;
  readonly amounts: Amounts;
  /** Records without a price: in no amount. */
  readonly unpriced: number;
  /** Records whose tokens were not counted by the provider. */
  readonly estimated: number;
}

export interface SumRow extends Sum {
  /** By dimension; null where the record names none. */
  readonly key: Readonly<Record<string, string | null>>;
}

export interface Sums {
  readonly rows: readonly SumRow[];
  readonly total: Sum;
}

/** The dearest rows first; days in their order. Throws `bad_time_zone`, `sum_not_exact`. */
export function sumsOf(records: readonly CostRecord[], by: readonly Dimension[], timeZone = 'UTC'): Sums {
  const dayOf = days(timeZone);
  const keyOf = (record: CostRecord): SumRow['key'] =>
    Object.fromEntries(by.map((dimension) => [dimension, partOf(record, dimension, dayOf)]));
  const groups = Map.groupBy(records, (record) => JSON.stringify(Object.values(keyOf(record))));
  const rows = [...groups.values()].map((group) => ({
    key: group[0] === undefined ? {} : keyOf(group[0]),
    ...sum(group),
  }));
  const isByDay = by.includes('day');
  const name = ({ key }: SumRow): string => Object.values(key).join(' ');
  rows.sort((a, b) => {
    const byDay = isByDay ? compare(a.key['day'] ?? '', b.key['day'] ?? '') : 0;
    return byDay || dearness(b) - dearness(a) || compare(name(a), name(b));
  });
  return { rows, total: sum(records) };
}

function sum(records: readonly CostRecord[]): Sum {
  const amounts = new Map<string, bigint>();
  const tokens: Record<string, number> = Object.fromEntries(TOKEN_CLASSES.map((of) => [of, 0]));
  let [unpriced, estimated] = [0, 0];
  for (const record of records) {
    for (const of of TOKEN_CLASSES) tokens[of] = (tokens[of] ?? 0) + record.tokens[of];
    if (record.counted === 'estimated') estimated += 1;
    if (record.price === null || record.amountMicros === null) unpriced += 1;
    else {
      const { currency } = record.price;
      amounts.set(currency, (amounts.get(currency) ?? 0n) + BigInt(record.amountMicros));
    }
  }
  const exact = [...amounts].map(([currency, micros]) => [currency, exactly(micros)] as const);
  return {
    records: records.length,
    tokens: tokens as unknown as Tokens,
    amounts: Object.fromEntries(exact.toSorted(([a], [b]) => compare(a, b))),
    unpriced,
    estimated,
  };
}

/** S1. */
function exactly(micros: bigint): number {
  if (micros <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(micros);
  throw new FabricError(costErrors.sum_not_exact, `${micros} micro-units are more than a report can tell`);
}

function partOf(record: CostRecord, dimension: Dimension, dayOf: (at: number) => string): string | null {
  switch (dimension) {
    case 'day':
      return dayOf(record.at);
    case 'model':
      return `${record.provider}/${record.model}`;
    default:
      return record[dimension];
  }
}

function days(timeZone: string): (at: number) => string {
  try {
    const format = new Intl.DateTimeFormat('en-CA', {
      timeZone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
    });
    return (at) => format.format(at);
  } catch (cause) {
    throw new FabricError(costErrors.bad_time_zone, `There is no time zone "${timeZone}"`, { cause });
  }
}

/** Only for an order: not a sum of money. */
function dearness({ amounts }: Sum): number {
  return Object.values(amounts).reduce((sum, micros) => sum + micros, 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
