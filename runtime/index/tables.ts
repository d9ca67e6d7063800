/**
 * The tables. `span` says of each few thousand entries between which times they lie, which finds a time range without an
 * index of its own: shards' clocks differ a little, so times are not quite in the order of the log. Words that repeat (addresses, event types, conversations) are numbers into `word`; ids that hardly ever do
 * (traces, messages) are 52 bits of a hash, for the log confirms every find anyway.
 */
import { hash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';

/** Another format is another file: it is built anew. */
export const INDEX_FORMAT = 1;
/** Entries of one commit have places below this; sequences up to 2^33 stay exact in a double. */
const PLACES = 2 ** 20;
/** Pages in memory: what a build may take, in KiB. */
const CACHE_KIB = 65_536;
const BUSY_TIMEOUT_MS = 10_000;
const KEY_HEX_DIGITS = 13;

export const TABLES = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
  CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL, idx INTEGER NOT NULL, at INTEGER NOT NULL,
    actor INTEGER NOT NULL, type INTEGER NOT NULL, op INTEGER NOT NULL, event INTEGER, severity INTEGER NOT NULL,
    trace INTEGER, conversation INTEGER, task INTEGER, cause INTEGER NOT NULL, message INTEGER, sender INTEGER
  );
  CREATE TABLE span (first INTEGER PRIMARY KEY, last INTEGER, entries INTEGER, at_min INTEGER, at_max INTEGER);`;

const INDEXES: Readonly<Record<string, string>> = {
  by_actor: 'entry(actor)',
  by_type: 'entry(type)',
  by_warn: 'entry(id) WHERE severity > 0',
  by_high: 'entry(id) WHERE severity > 1',
  by_trace: 'entry(trace) WHERE trace IS NOT NULL',
  by_conversation: 'entry(conversation) WHERE conversation IS NOT NULL',
  by_task: 'entry(task) WHERE task IS NOT NULL',
  by_message: 'entry(message) WHERE message IS NOT NULL',
};

export const INSERT_ENTRY = 'INSERT INTO entry VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)';

export function prepareFile(db: DatabaseSync): void {
  db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cell_size_check = ON');
  db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
}

/** Sorted once at the end of a large build, they cost a third of what they cost entry by entry. */
export function createIndexes(db: DatabaseSync): void {
  for (const [name, on] of Object.entries(INDEXES)) db.exec(`CREATE INDEX IF NOT EXISTS ${name} ON ${on}`);
}

export function dropIndexes(db: DatabaseSync): void {
  for (const name of Object.keys(INDEXES)) db.exec(`DROP INDEX IF EXISTS ${name}`);
}

/** Row id of an entry: in the order of the log. */
export function rowIdOf(seq: number, n: number): number {
  return seq * PLACES + n;
}

export function placeOf(rowId: number): { readonly seq: number; readonly n: number } {
  return { seq: Math.floor(rowId / PLACES), n: rowId % PLACES };
}

/** What stands for an id that hardly ever repeats. */
export function keyOf(id: string): number {
  return Number.parseInt(hash('sha256', id, 'hex').slice(0, KEY_HEX_DIGITS), 16);
}
