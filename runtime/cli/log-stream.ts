/** The log as the command line reads it: as it is stored, in the stream or the archive, whoever owns the shards. */
import { decodeCommit } from '#runtime/bus/codec';
import { matches } from '#runtime/index/facets';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import type { LogQuery, LogRange } from './realm.ts';
import type { LogItem } from './render/log.ts';

/** A look back for the last n begins this many commits before the end, and goes back further while too few match. */
const LOOK_BACK_MIN = 64;
const LOOK_BACK_GROWTH = 8;

/** Entries in the order of the log. Ends at the present, unless followed. */
export async function* readLog(
  reader: LogReader,
  query: LogQuery,
  { limit, follow, signal }: LogRange,
): AsyncGenerator<LogItem, void, undefined> {
  const { first: begin, last: end } = await reader.range();
  const first = Math.max(begin, query.from ?? 1);
  if (limit > 0) yield* await lastMatches(reader, query, limit, first, end, signal);
  else if (first <= end) {
    const since = query.from === undefined ? query.since : undefined;
    const from = since === undefined ? first : await seqStoredAt(reader, since, first, end);
    yield* itemsIn(reader.read(from, end, signal), query, signal);
  }
  if (follow) yield* itemsIn(reader.follow(Math.max(first, end + 1), signal), query, signal);
}

/** The first sequence that was stored at a time or later, by halving. */
export async function seqStoredAt(
  reader: LogReader,
  at: number,
  first: number,
  last: number,
): Promise<number> {
  let [low, high] = [first, last + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const message = await reader.get(middle);
    if (message !== undefined && message.storedAt >= at) high = middle;
    else low = middle + 1;
  }
  return low;
}

async function lastMatches(
  reader: LogReader,
  query: LogQuery,
  limit: number,
  first: number,
  end: number,
  signal: AbortSignal,
): Promise<LogItem[]> {
  for (let back = Math.max(LOOK_BACK_MIN, limit); ; back *= LOOK_BACK_GROWTH) {
    const from = Math.max(first, end - back + 1);
    const found: LogItem[] = [];
    if (from <= end) {
      for await (const item of itemsIn(reader.read(from, end, signal), query, signal)) {
        found.push(item);
        if (found.length > limit) found.shift();
      }
    }
    if (found.length >= limit || from === first || from > end || signal.aborted) return found;
  }
}

async function* itemsIn(
  batches: AsyncIterable<readonly LogMessage[]>,
  query: LogQuery,
  signal: AbortSignal,
): AsyncGenerator<LogItem, void, undefined> {
  for await (const batch of batches) {
    for (const message of batch) {
      const items = itemsOf(message, query);
      if (items === 'past' || signal.aborted) return;
      yield* items;
    }
  }
}

/** The entries of a commit that match; `past` once a commit is later than wanted. */
function itemsOf({ bytes, storedAt }: LogMessage, query: LogQuery): LogItem[] | 'past' {
  const { since, until } = query;
  const { shard, index, at, entries } = decodeCommit(bytes);
  if (since !== undefined && at < since) return [];
  // Shards' clocks may differ a little; the stream's own time decides when to stop.
  if (until !== undefined && at > until) return storedAt > until ? 'past' : [];
  return entries.flatMap((entry, n) =>
    matches(query, { at }, entry) ? [{ shard, index, n, at, entry }] : [],
  );
}
