/**
 * The price table of a realm. Every change is an entry; a row keeps saying what it said unless it is replaced on purpose, for
 * records name it.
 */
import type { AnyEventObject } from 'xstate';
import {
  PRICE_ROWS_MAX,
  type PricePage,
  type PriceReply,
  type PriceRow,
  type PriceTable,
  priceActionSchema,
} from '#schemas/price';
import { decidedMachine, type Heard, type Outcome } from './decided.ts';
import { conflictsOf, sorted } from './prices/table.ts';

/** Of a page: with the row that goes beyond it, half of what one step may put out. */
const PAGE_CHARS = 100_000;
/** Who may set prices. */
const SETTERS: ReadonlySet<string> = new Set(['operator', 'person', 'governor']);

interface Prices extends PriceTable {
  readonly status: 'open';
}

export const prices = {
  name: 'prices',
  version: 1,
  machine: decidedMachine<Prices>({
    id: 'prices',
    version: '1',
    statuses: ['open'],
    hears: ['price.*'],
    drivers: [],
    context: () => ({ status: 'open', revision: 0, rows: [] }),
    decide,
  }),
};

function decide({ revision, rows }: Prices, { event, from = '' }: Heard): Outcome<Prices> {
  const parsed = priceActionSchema.safeParse(actionOf(event));
  if (!parsed.success) return refused('bad_action', 'this is not an action of a price table');
  const action = parsed.data;
  if (action.action === 'get') {
    return { reply: pageOf({ revision, rows }, action.skip) };
  }
  if (!SETTERS.has(from.slice(0, Math.max(0, from.indexOf('/')))))
    return refused('not_permitted', `${from} may not set prices`);
  const before = new Map(rows.map((row) => [row.id, row]));
  const isSame = (row: PriceRow): boolean => canonical(before.get(row.id)) === canonical(row);
  const changed = action.rows.filter((row) => before.has(row.id) && !isSame(row)).map(({ id }) => id);
  const added = action.rows.filter(({ id }) => !before.has(id)).map(({ id }) => id);
  const same = action.rows.length - changed.length - added.length;
  if (changed.length > 0 && !action.replace) {
    const conflicts = changed.map((row) => ({ row, what: 'says something else already' }));
    return refused(
      'price_conflict',
      `${changed.join(', ')}: there is such a row, with other prices`,
      conflicts,
    );
  }
  const next = sorted(new Map([...before, ...action.rows.map((row) => [row.id, row] as const)]).values());
  if (next.length > PRICE_ROWS_MAX)
    return refused('table_full', `a table has ${PRICE_ROWS_MAX} rows at most`);
  const conflicts = conflictsOf(next).map(({ n, what }) => ({ row: next[n]?.id ?? '', what }));
  if (conflicts.length > 0)
    return refused('price_conflict', conflicts.map(({ what }) => what).join('; '), conflicts.slice(0, 20));
  if (added.length + changed.length === 0)
    return { reply: { accepted: true, revision, added, changed, same } satisfies PriceReply };
  const reply: PriceReply = { accepted: true, revision: revision + 1, added, changed, same };
  return {
    patch: { revision: revision + 1, rows: next },
    reply,
    tell: [{ type: 'price.changed', revision: revision + 1 }],
    log: {
      severity: changed.length > 0 ? 'WARN' : 'INFO',
      message: { type: 'prices_changed', by: from, revision: revision + 1, added, changed },
    },
  };
}

function pageOf({ revision, rows }: PriceTable, skip: number): PricePage {
  let [end, chars] = [skip, 0];
  while (end < rows.length && chars < PAGE_CHARS) {
    chars += JSON.stringify(rows[end]).length;
    end += 1;
  }
  return { revision, rows: rows.slice(skip, end), next: end < rows.length ? end : null };
}

function canonical(row: PriceRow | undefined): string {
  if (row === undefined) return '';
  const { perMillion, ...rest } = row;
  const fields = Object.entries({ ...rest, ...perMillion }).filter(([, value]) => value !== undefined);
  return JSON.stringify(fields.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function actionOf({ type, ...rest }: AnyEventObject): unknown {
  return { ...rest, action: type.slice('price.'.length) };
}

function refused(
  code: (PriceReply & { accepted: false })['code'],
  reason: string,
  conflicts?: (PriceReply & { accepted: false })['conflicts'],
): Outcome<Prices> {
  const reply: PriceReply = { accepted: false, code, reason, ...(conflicts !== undefined && { conflicts }) };
  return { reply };
}
