/**
 * The read model of the log: which entries are about what, in one SQLite file that can be thrown away at any time.
 *
 * X1  What it holds of a commit, and that it holds it, are written in one transaction: killed at any point it goes on
 *     where it stopped, with nothing twice and nothing missing.
 * X2  It holds no bodies. Entries are read from the log, and one that does not answer the query there is left out.
 * X3  An index of another format, realm or log, and a file that SQLite finds damaged, is built anew, never trusted.
 * X4  Memory does not grow with the log: batches, the page cache and the words in memory are bounded.
 */
import { closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { sha256 } from '#runtime/bus/codec';
import type { LogMessage, LogRange, LogReader } from '#runtime/witness/log-reader';
import { FabricError } from '#schemas/fabric-error';
import { indexErrors } from './errors.ts';
import type { IndexQuery } from './facets.ts';
import { isCorrupt, sqlite } from './sqlite.ts';
import { type IndexState, loadState, saveState } from './state.ts';
import { createIndexes, dropIndexes, INDEX_FORMAT, placeOf, prepareFile, rowIdOf, TABLES } from './tables.ts';
import { type Bounds, type Page, statementOf } from './where.ts';
import { Words } from './words.ts';
import { BatchWriter } from './write.ts';

/** One transaction each: large enough that its cost is spread thin, small enough to be done in some 20 ms. */
const BATCH_COMMITS_MAX = 4_096;
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
/** From so many new commits on, indexes are dropped and made once at the end. */
const BULK_COMMITS_MIN = 50_000;
/** Sequences whose entries are deleted at once. */
const PRUNE_STEP = 50_000;

/** Place of an entry: sequence of its commit, and its number in it. */
export interface Place {
  readonly seq: number;
  readonly n: number;
  /** Goes on after it, given to {@link Page.after}. */
  readonly cursor: number;
}

export interface CatchUp {
  readonly signal?: AbortSignal;
  /** After each transaction. */
  readonly onProgress?: (seq: number, last: number) => void;
}

export interface IndexStatus extends IndexState {
  readonly file: string;
  /** Of the file and its write-ahead log. */
  readonly bytes: number;
}

export class LogIndex {
  readonly #file: string;
  readonly #realm: string;
  #db: DatabaseSync;
  #words: Words;
  #writer: BatchWriter;
  #rebuilt: string | undefined;

  private constructor(file: string, realm: string, db: DatabaseSync) {
    this.#file = file;
    this.#realm = realm;
    this.#db = db;
    this.#words = new Words(db);
    this.#writer = new BatchWriter(db, this.#words);
  }

  /**
   * Opens the index of a realm, an empty one where there is none or what is there is of no use (X3). Throws
   * `sqlite_missing`, `index_unusable`.
   */
  static open(file: string, realm: string): LogIndex {
    try {
      const { db, why } = openFile(file, realm);
      const index = new LogIndex(file, realm, db);
      index.#rebuilt = why;
      return index;
    } catch (cause) {
      if (cause instanceof FabricError) throw cause;
      throw unusable(file, cause);
    }
  }

  /** Why what was there is being built anew; undefined where it is not. */
  get rebuilt(): string | undefined {
    return this.#rebuilt;
  }

  status(): IndexStatus {
    return { ...this.#state(), file: this.#file, bytes: sizeOf(this.#file) };
  }

  /** Reads what is new in the log, up to its present end. Throws `index_unusable`. */
  async catchUp(reader: LogReader, { signal, onProgress }: CatchUp = {}): Promise<void> {
    const range = await reader.range();
    try {
      await this.#makeSure(reader, range);
      const { seq, entries } = this.#state();
      const lag = range.last - seq;
      if (lag > BULK_COMMITS_MIN && lag > entries) this.#inTransaction(() => this.#setWhole(false));
      this.#prune(range.first);
      for await (const batch of gathered(reader.read(Math.max(seq + 1, range.first), range.last, signal))) {
        this.#write(batch);
        onProgress?.(batch.at(-1)?.seq ?? seq, range.last);
      }
      if (signal?.aborted === true) return;
      if (!this.#state().whole) this.#inTransaction(() => this.#setWhole(true));
      if (lag > BATCH_COMMITS_MAX) this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      this.#startAnew('the file was damaged');
      await this.catchUp(reader, { ...(signal && { signal }), ...(onProgress && { onProgress }) });
    }
  }

  /** Adds commits as they are written; those it has already are passed over. */
  add(batch: readonly LogMessage[]): void {
    this.#write(batch);
  }

  /**
   * Places of entries that answer the query, as far as the index has come. Throws `index_unusable` where the file turns
   * out to be damaged: it is then empty, and built anew by the next `catchUp`.
   */
  find(query: IndexQuery, page: Page): Place[] {
    try {
      return this.#find(query, page);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      this.#startAnew('the file was damaged');
      throw unusable(this.#file, error);
    }
  }

  /** What SQLite finds wrong when it looks at every page; empty where all is well. Takes seconds for each GB. */
  problems(): string[] {
    try {
      const found = this.#db.prepare('PRAGMA integrity_check(10)').all();
      return found.map((row) => String(row['integrity_check'])).filter((line) => line !== 'ok');
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      return [(error as Error).message];
    }
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  #find(query: IndexQuery, page: Page): Place[] {
    const bounds = this.#boundsOf(query);
    if (bounds === 'none') return [];
    const statement = statementOf(query, page, (word) => this.#words.find(word), bounds);
    if (statement === undefined) return [];
    const rows = this.#db.prepare(statement.sql).all(...statement.values);
    return rows.map(({ id }) => ({ ...placeOf(Number(id)), cursor: Number(id) }));
  }

  #write(batch: readonly LogMessage[]): void {
    try {
      this.#inTransaction(() => {
        // Another process may have come further meanwhile (X1).
        saveState(this.#db, this.#writer.write(batch, this.#state()));
      });
    } catch (error) {
      this.#words.forget();
      throw error;
    }
  }

  #state(): IndexState {
    const state = loadState(this.#db);
    if (state === undefined) throw unusable(this.#file, undefined);
    return state;
  }

  #setWhole(whole: boolean): void {
    if (whole) createIndexes(this.#db);
    else dropIndexes(this.#db);
    saveState(this.#db, { ...this.#state(), whole });
  }

  /** X3: the last commit that is in must be that of this log. */
  async #makeSure(reader: LogReader, range: LogRange): Promise<void> {
    const { seq, hash } = this.#state();
    if (seq === 0) return;
    const last = seq < range.first || seq > range.last ? undefined : await reader.get(seq);
    if (last !== undefined && hexHash(last.bytes) === hash) return;
    this.#startAnew('it was made from another log');
  }

  /** What has left the log leaves the index. */
  #prune(first: number): void {
    const state = this.#state();
    for (let from = state.first; from < first; from += PRUNE_STEP) {
      const next = Math.min(first, from + PRUNE_STEP);
      this.#inTransaction(() => {
        const { changes } = this.#db.prepare('DELETE FROM entry WHERE id < ?').run(rowIdOf(next, 0));
        this.#db.prepare('DELETE FROM span WHERE last < ?').run(rowIdOf(next, 0));
        const now = this.#state();
        saveState(this.#db, { ...now, first: next, entries: now.entries - Number(changes) });
      });
    }
  }

  /** Row ids between which the times of a query lie. */
  #boundsOf({ since, until }: IndexQuery): Bounds | 'none' | undefined {
    if (since === undefined && until === undefined) return undefined;
    const { first, last } =
      this.#db
        .prepare('SELECT min(first) AS first, max(last) AS last FROM span WHERE at_max >= ? AND at_min <= ?')
        .get(since ?? 0, until ?? Number.MAX_SAFE_INTEGER) ?? {};
    return typeof first === 'number' && typeof last === 'number' ? { first, last } : 'none';
  }

  #inTransaction(work: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #startAnew(why: string): void {
    this.#db.close();
    removeIndex(this.#file);
    this.#db = openFile(this.#file, this.#realm).db;
    this.#words = new Words(this.#db);
    this.#writer = new BatchWriter(this.#db, this.#words);
    this.#rebuilt = why;
  }
}

/** Removes the file of an index, and what SQLite keeps beside it. */
export function removeIndex(file: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${file}${suffix}`, { force: true });
}

function openFile(file: string, realm: string): { readonly db: DatabaseSync; readonly why?: string } {
  const found = tryOpen(file, realm);
  if (typeof found !== 'string') return { db: found };
  removeIndex(file);
  const again = tryOpen(file, realm);
  if (typeof again === 'string') throw unusable(file, undefined);
  return { db: again, why: found };
}

/** The open file, or why it is of no use. */
function tryOpen(file: string, realm: string): DatabaseSync | string {
  const { DatabaseSync } = sqlite();
  mkdirSync(dirname(file), { recursive: true });
  // Addresses and conversations are nobody else's business.
  closeSync(openSync(file, 'a', 0o600));
  const isNew = statSync(file).size === 0;
  const db = new DatabaseSync(file);
  try {
    prepareFile(db);
    if (isNew) begin(db, realm);
    const state = loadState(db);
    if (state?.format === INDEX_FORMAT && state.realm === realm) return db;
    db.close();
    if (state === undefined) return 'it does not say how far it had come';
    return state.realm === realm ? 'its format is another' : 'it is of another realm';
  } catch (error) {
    db.close();
    if (isCorrupt(error) || isUnlikeOurs(error)) return 'the file was damaged';
    throw error;
  }
}

function begin(db: DatabaseSync, realm: string): void {
  db.exec('BEGIN IMMEDIATE');
  // Two processes may have found it empty.
  const isEmpty = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get() === undefined;
  if (isEmpty) {
    db.exec(TABLES);
    createIndexes(db);
    const nothing = { seq: 0, hash: '', at: 0, entries: 0, unreadable: 0, first: 1, whole: true };
    saveState(db, { format: INDEX_FORMAT, realm, ...nothing });
  }
  db.exec('COMMIT');
}

/** Some other database: our tables are not in it. */
function isUnlikeOurs(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('no such table');
}

async function* gathered(batches: AsyncIterable<readonly LogMessage[]>): AsyncGenerator<LogMessage[]> {
  let gathering: LogMessage[] = [];
  let bytes = 0;
  for await (const batch of batches) {
    gathering.push(...batch);
    for (const message of batch) bytes += message.bytes.byteLength;
    if (gathering.length < BATCH_COMMITS_MAX && bytes < BATCH_BYTES_MAX) continue;
    yield gathering;
    gathering = [];
    bytes = 0;
  }
  if (gathering.length > 0) yield gathering;
}

function sizeOf(file: string): number {
  const sizes = ['', '-wal'].map((suffix) => statSync(`${file}${suffix}`, { throwIfNoEntry: false })?.size);
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

function hexHash(bytes: Uint8Array): string {
  return Buffer.from(sha256(bytes)).toString('hex');
}

function unusable(file: string, cause: unknown): FabricError {
  const message = cause instanceof Error ? cause.message : 'it cannot be read';
  return new FabricError(indexErrors.index_unusable, `The index ${file} cannot be used: ${message}`, {
    cause,
    details: { file },
  });
}
