/** Entries that answer a query: their places from the index, themselves from the log. */
import { decodeCommit } from '#runtime/bus/codec';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import type { Entry } from '#schemas/commit';
import { type IndexQuery, matches } from './facets.ts';
import type { LogIndex, Place } from './log-index.ts';

/** Requests under way at once. */
const GETS_AT_ONCE = 64;
const PAGE_MAX = 512;

export interface FoundEntry {
  readonly seq: number;
  readonly shard: number;
  readonly index: number;
  readonly n: number;
  /** ms since the epoch. */
  readonly at: number;
  readonly entry: Entry;
  /** To go on after it. */
  readonly cursor: number;
}

export interface FindOptions {
  readonly order: 'oldest' | 'newest';
  /** 0 for all. */
  readonly limit: number;
  readonly after?: number;
  readonly signal?: AbortSignal;
}

/** As far as the index has come. An entry that has left the log, or does not answer there, is left out (X2). */
export async function* findEntries(
  index: Pick<LogIndex, 'find'>,
  reader: LogReader,
  query: IndexQuery,
  { order, limit, after, signal }: FindOptions,
): AsyncGenerator<FoundEntry, void, undefined> {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  let cursor = after;
  while (left > 0 && signal?.aborted !== true) {
    const page = { order, limit: Math.min(left, PAGE_MAX), ...(cursor !== undefined && { after: cursor }) };
    const places = index.find(query, page);
    for await (const found of readPlaces(reader, places)) {
      if (!matches(query, found, found.entry)) continue;
      yield found;
      left -= 1;
    }
    cursor = places.at(-1)?.cursor;
    if (places.length < page.limit) return;
  }
}

/** The entries of a whole range that answer a query, without an index. */
export async function* scanEntries(
  reader: LogReader,
  query: IndexQuery,
  signal?: AbortSignal,
): AsyncGenerator<FoundEntry, void, undefined> {
  const { first, last } = await reader.range();
  for await (const batch of reader.read(Math.max(first, query.from ?? first), last, signal)) {
    for (const message of batch) {
      for (const found of entriesOf(message)) if (matches(query, found, found.entry)) yield found;
    }
  }
}

async function* readPlaces(reader: LogReader, places: readonly Place[]): AsyncGenerator<FoundEntry> {
  for (let at = 0; at < places.length; ) {
    const wave: Place[][] = [];
    while (at < places.length && wave.length < GETS_AT_ONCE) {
      const { seq } = places[at] as Place;
      const same: Place[] = [];
      while (places[at]?.seq === seq) same.push(places[at++] as Place);
      wave.push(same);
    }
    const messages = await Promise.all(wave.map(([place]) => reader.get((place as Place).seq)));
    for (const [nth, message] of messages.entries()) {
      if (message === undefined) continue;
      const entries = entriesOf(message);
      for (const { n, cursor } of wave[nth] ?? []) {
        const found = entries[n];
        if (found !== undefined) yield { ...found, cursor };
      }
    }
  }
}

function entriesOf({ seq, bytes }: LogMessage): FoundEntry[] {
  const { shard, index, at, entries } = decodeCommit(bytes);
  return entries.map((entry, n) => ({ seq, shard, index, n, at, entry, cursor: 0 }));
}
