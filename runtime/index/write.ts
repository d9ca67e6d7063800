/** Writes commits into the tables, within a transaction of the caller. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import type { LogMessage } from '#runtime/witness/log-reader';
import type { Commit } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { facetsOf, severityRank } from './facets.ts';
import type { IndexState } from './state.ts';
import { INSERT_ENTRY, keyOf, rowIdOf } from './tables.ts';
import type { Words } from './words.ts';

/** A span grows to so many entries. */
const SPAN_ENTRIES_MAX = 4_096;

interface Span {
  first: number;
  last: number;
  entries: number;
  atMin: number;
  atMax: number;
}

export class BatchWriter {
  readonly #words: Words;
  readonly #insert: StatementSync;
  readonly #lastSpan: StatementSync;
  readonly #saveSpan: StatementSync;

  constructor(db: DatabaseSync, words: Words) {
    this.#words = words;
    this.#insert = db.prepare(INSERT_ENTRY);
    this.#lastSpan = db.prepare('SELECT * FROM span ORDER BY first DESC LIMIT 1');
    this.#saveSpan = db.prepare('INSERT OR REPLACE INTO span VALUES (?,?,?,?,?)');
  }

  /** Adds what comes after `state`; returns how far that is. */
  write(batch: readonly LogMessage[], state: IndexState): IndexState {
    let { seq, at, entries, unreadable } = state;
    let lastBytes: Uint8Array | undefined;
    let span = this.#openSpan();
    for (const message of batch) {
      if (message.seq <= seq) continue;
      seq = message.seq;
      lastBytes = message.bytes;
      const commit = readable(message.bytes);
      if (commit === undefined) {
        unreadable += 1;
        continue;
      }
      at = commit.at;
      for (let n = 0; n < commit.entries.length; n++) {
        const id = this.#add(commit, seq, n);
        if (span !== undefined && span.entries >= SPAN_ENTRIES_MAX) {
          this.#close(span);
          span = undefined;
        }
        span ??= { first: id, last: id, entries: 0, atMin: at, atMax: at };
        span.last = id;
        span.entries += 1;
        span.atMin = Math.min(span.atMin, at);
        span.atMax = Math.max(span.atMax, at);
        entries += 1;
      }
    }
    if (span !== undefined) this.#close(span);
    const hash = lastBytes === undefined ? state.hash : Buffer.from(sha256(lastBytes)).toString('hex');
    return { ...state, seq, hash, at, entries, unreadable };
  }

  #add(commit: Commit, seq: number, n: number): number {
    const entry = commit.entries[n] as Commit['entries'][number];
    const facets = facetsOf(entry);
    const word = (text: string | undefined): number | null =>
      text === undefined ? null : this.#words.idOf(text);
    const key = (text: string | undefined): number | null => (text === undefined ? null : keyOf(text));
    const id = rowIdOf(seq, n);
    this.#insert.run(
      id,
      commit.shard,
      commit.index,
      commit.at,
      this.#words.idOf(facets.actor),
      this.#words.idOf(facets.type),
      this.#words.idOf(facets.op),
      word(facets.event),
      severityRank(facets.severity),
      key(facets.trace),
      word(facets.conversation),
      word(facets.task),
      this.#words.idOf(facets.cause),
      key(facets.message),
      word(facets.sender),
    );
    return id;
  }

  #openSpan(): Span | undefined {
    const found = this.#lastSpan.get();
    if (found === undefined || Number(found['entries']) >= SPAN_ENTRIES_MAX) return undefined;
    const [first, last, entries] = [found['first'], found['last'], found['entries']].map(Number) as [
      number,
      number,
      number,
    ];
    return { first, last, entries, atMin: Number(found['at_min']), atMax: Number(found['at_max']) };
  }

  #close({ first, last, entries, atMin, atMax }: Span): void {
    this.#saveSpan.run(first, last, entries, atMin, atMax);
  }
}

/** Undefined for what is no commit: `verify` reports it, an index passes it over. */
function readable(bytes: Uint8Array): Commit | undefined {
  try {
    return decodeCommit(bytes);
  } catch (error) {
    if (error instanceof FabricError) return undefined;
    throw error;
  }
}
