/** A query as SQL: pure. */
import type { IndexQuery } from './facets.ts';
import { keyOf, rowIdOf } from './tables.ts';

export interface Page {
  readonly limit: number;
  readonly order: 'oldest' | 'newest';
  /** Row id of the last entry of the page before. */
  readonly after?: number;
}

export interface Statement {
  readonly sql: string;
  readonly values: readonly number[];
}

/** Row ids between which a time range lies, both included. */
export interface Bounds {
  readonly first: number;
  readonly last: number;
}

/** Words of a query that repeat in the log. */
const WORDS = ['actor', 'type', 'conversation', 'task', 'sender'] as const;

/**
 * Undefined where a word of the query is not in the log at all. The most telling condition names the index; SQLite
 * would have to guess, for there are no statistics, and a wrong guess reads the whole table.
 */
export function statementOf(
  query: IndexQuery,
  { limit, order, after }: Page,
  wordId: (word: string) => number | undefined,
  bounds?: Bounds,
): Statement | undefined {
  const conditions: string[] = [];
  const values: number[] = [];
  const also = (condition: string, value: number): void => {
    conditions.push(condition);
    values.push(value);
  };
  for (const name of WORDS) {
    const word = query[name];
    if (word === undefined) continue;
    const id = wordId(word);
    if (id === undefined) return undefined;
    also(`${name} = ?`, id);
  }
  if (query.trace !== undefined) also('trace = ?', keyOf(query.trace));
  if (query.message !== undefined) also('message = ?', keyOf(query.message));
  // As literals: SQLite then sees that the partial index holds them all, in the order of the log.
  if (isWorse(query)) conditions.push(query.severity === 'HIGH' ? 'severity > 1' : 'severity > 0');
  if (query.since !== undefined) also('at >= ?', query.since);
  if (query.until !== undefined) also('at <= ?', query.until);
  if (bounds !== undefined) {
    also('id >= ?', bounds.first);
    also('id <= ?', bounds.last);
  }
  if (query.from !== undefined) also('id >= ?', rowIdOf(query.from, 0));
  if (after !== undefined) also(order === 'oldest' ? 'id > ?' : 'id < ?', after);
  const by = indexFor(query);
  const source = by === undefined ? 'entry NOT INDEXED' : `entry INDEXED BY ${by}`;
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  const direction = order === 'oldest' ? 'ASC' : 'DESC';
  values.push(limit);
  return { sql: `SELECT id FROM ${source}${where} ORDER BY id ${direction} LIMIT ?`, values };
}

/** From the most to the least telling; none for what bounds row ids alone. */
function indexFor(query: IndexQuery): string | undefined {
  if (query.message !== undefined) return 'by_message';
  if (query.trace !== undefined) return 'by_trace';
  if (query.actor !== undefined) return 'by_actor';
  if (query.conversation !== undefined) return 'by_conversation';
  if (query.task !== undefined) return 'by_task';
  if (isWorse(query)) return query.severity === 'HIGH' ? 'by_high' : 'by_warn';
  return query.type === undefined ? undefined : 'by_type';
}

function isWorse({ severity }: IndexQuery): boolean {
  return severity !== undefined && severity !== 'INFO';
}
