/**
 * Price tables that people write, in YAML and CSV: prices as decimals for a million tokens, times as dates.
 *
 * R1  Everything wrong is told at once, each with file, line and column; with one problem nothing is taken.
 * R2  A price has at most six digits behind the point, and becomes the same micro-units whichever way it is written.
 */
import { parse } from 'csv-parse/sync';
import { z } from 'zod';
import { conflictsOf } from '#machines/prices/table';
import { type Place, Problems } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { Places, readSource } from '#runtime/supervise/source';
import { PRICE_ROWS_MAX, type PriceRow, priceRowSchema } from '#schemas/price';
import { costErrors } from '../errors.ts';
import { microsOf } from '../money.ts';

/** A day, or a moment with its zone. */
const DATE = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

const price = z.union([z.string(), z.number()]).transform((value, context) => {
  const micros = microsOf(value);
  if (micros !== undefined) return micros;
  const message = 'expected a price for a million tokens, with six digits behind the point at most';
  context.issues.push({ code: 'custom', message, input: value });
  return z.NEVER;
});

const date = z.string().transform((value, context) => {
  const at = DATE.test(value) ? Date.parse(value) : Number.NaN;
  // A day that the month has not is another one to Date.
  if (!Number.isNaN(at) && (value.length > 10 || new Date(at).toISOString().startsWith(value))) return at;
  const message = 'expected a date such as 2026-01-31, or with a time and its zone, 2026-01-31T12:00:00Z';
  context.issues.push({ code: 'custom', message, input: value });
  return z.NEVER;
});

const { provider, model, aliases, currency, outputMax } = priceRowSchema.shape;

export const writtenPriceSchema = z
  .strictObject({
    provider,
    model,
    aliases,
    currency: currency.default('USD'),
    from: date.describe('Midnight UTC of a date, or a moment.'),
    until: date.optional().describe('Not included; until the next row of the model begins when absent.'),
    input: price,
    cachedInput: price.optional(),
    cacheWrite: price.optional(),
    cacheWriteLong: price.optional(),
    output: price,
    outputMax,
  })
  .describe('A row of a price table: prices for a million tokens.');

export const priceFileSchema = z
  .strictObject({ prices: z.array(writtenPriceSchema).max(PRICE_ROWS_MAX) })
  .describe('A price table.');

/** Columns of the CSV form, the first five and `output` needed. */
export const COLUMNS = [
  'provider',
  'model',
  'aliases',
  'currency',
  'from',
  'until',
  'input',
  'cachedInput',
  'cacheWrite',
  'cacheWriteLong',
  'output',
  'outputMax',
] as const;

interface Found {
  readonly row: PriceRow;
  readonly place: Place;
}

/** Rows of a file, by its ending: `.csv`, or YAML. Throws `bad_prices`. */
export function readPrices(file: string, text: string): PriceRow[] {
  const problems = new Problems(costErrors.bad_prices);
  const found = /\.csv$/i.test(file) ? readCsv(file, text, problems) : readYaml(file, text, problems);
  for (const { n, what } of conflictsOf(found.map(({ row }) => row))) {
    const place = found[n]?.place;
    if (place !== undefined) problems.add(place, what);
  }
  problems.throwIfAny();
  return found.map(({ row }) => row);
}

function readYaml(file: string, text: string, problems: Problems): Found[] {
  const places = new Places();
  const data = readSource(text, { file, places, problems });
  if (data === undefined) return [];
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    problems.add({ file, line: 1, column: 1 }, 'holds no price table: expected "prices", a list');
    return [];
  }
  const parsed = checkSchema(priceFileSchema, data, places, problems);
  return (parsed?.prices ?? []).map((written, n) => ({
    row: rowOf(written),
    place: places.at(data, ['prices', n]).place,
  }));
}

/** A record with the line it begins on. */
interface CsvRecord {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

function readCsv(file: string, text: string, problems: Problems): Found[] {
  const [head, ...rows] = csvRecords(file, text, problems);
  if (head === undefined) return [];
  const names = head.record.map((name) => name.trim());
  const unknown = names.filter((name) => !(COLUMNS as readonly string[]).includes(name));
  for (const name of unknown)
    problems.add({ file, line: 1, column: 1 }, `unknown column "${name}": known are ${COLUMNS.join(', ')}`);
  if (rows.length > PRICE_ROWS_MAX)
    problems.add({ file, line: 1, column: 1 }, `more than ${PRICE_ROWS_MAX} rows`);
  if (problems.any) return [];
  return rows.flatMap(({ record, info }, at) => {
    // `lines` is the last line of a record; quoted ones may have several.
    const before = at === 0 ? head.info.lines : (rows[at - 1]?.info.lines ?? 0);
    const place = { file, line: Math.min(before + 1, info.lines), column: 1 };
    const fields = names.map((name, n) => [name, (record[n] ?? '').trim()] as const);
    if (record.length > names.length)
      problems.add(place, `${record.length} fields, the head has ${names.length}`);
    const data = Object.fromEntries(fields.filter(([, value]) => value !== '').map(typed));
    const parsed = writtenPriceSchema.safeParse(data);
    for (const issue of parsed.error?.issues ?? []) {
      const name = String(issue.path[0] ?? 'row');
      const value = data[name];
      problems.add(
        place,
        `"${name}": ${value === undefined ? 'is missing' : `${issue.message}, not ${JSON.stringify(value)}`}`,
      );
    }
    return parsed.success ? [{ row: rowOf(parsed.data), place }] : [];
  });
}

function csvRecords(file: string, text: string, problems: Problems): readonly CsvRecord[] {
  try {
    // Whitespace and byte order marks are what spreadsheets leave behind.
    return parse(text, {
      bom: true,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: 10_000,
    }) as unknown as CsvRecord[];
  } catch (thrown) {
    const { message, lines } = thrown as Error & { readonly lines?: number };
    problems.add({ file, line: lines ?? 1, column: 1 }, message);
    return [];
  }
}

function typed([name, value]: readonly [string, string]): [string, unknown] {
  if (name === 'aliases') return [name, value.split(/\s+/)];
  return [name, name === 'outputMax' && /^\d+$/.test(value) ? Number(value) : value];
}

function rowOf(written: z.output<typeof writtenPriceSchema>): PriceRow {
  const { input, cachedInput, cacheWrite, cacheWriteLong, output, until, outputMax: max, ...rest } = written;
  const since = new Date(written.from).toISOString();
  return {
    ...rest,
    id: `${rest.provider}/${rest.model}@${since.endsWith('T00:00:00.000Z') ? since.slice(0, 10) : since}`,
    until: until ?? null,
    perMillion: {
      input,
      ...(cachedInput !== undefined && { cachedInput }),
      ...(cacheWrite !== undefined && { cacheWrite }),
      ...(cacheWriteLong !== undefined && { cacheWriteLong }),
      output,
    },
    ...(max !== undefined && { outputMax: max }),
  };
}
