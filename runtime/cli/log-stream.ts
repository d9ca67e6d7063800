/** The log as the command line reads it: straight from its stream, whoever owns the shards. */
import { DeliverPolicy, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { decodeCommit } from '#runtime/bus/codec';
import type { Subjects } from '#runtime/bus/subjects';
import { matches } from '#runtime/index/facets';
import type { LogQuery, LogRange } from './realm.ts';
import type { LogItem } from './render/log.ts';

/** A look back for the last n begins this many commits before the end, and goes back further while too few match. */
const LOOK_BACK_MIN = 64;
const LOOK_BACK_GROWTH = 8;

/** Entries in the order of the stream. Ends at the present, unless followed. */
export async function* readLog(
  nc: NatsConnection,
  subjects: Subjects,
  query: LogQuery,
  range: LogRange,
): AsyncGenerator<LogItem, void, undefined> {
  const { state } = await (await jetstreamManager(nc)).streams.info(subjects.streams.log);
  const end = state.last_seq;
  const first = Math.max(state.first_seq, query.from ?? 1);
  if (range.limit > 0) yield* await lastMatches(nc, subjects, query, range, first, end);
  else if (state.messages > 0 && first <= end)
    yield* read(nc, subjects, query, startOf(query, first), end, range.signal);
  if (range.follow)
    yield* read(
      nc,
      subjects,
      query,
      { seq: Math.max(first, end + 1) },
      Number.POSITIVE_INFINITY,
      range.signal,
    );
}

type Start = { readonly seq: number } | { readonly time: number };

function startOf({ since, from }: LogQuery, firstSeq: number): Start {
  return since === undefined || from !== undefined ? { seq: firstSeq } : { time: since };
}

async function lastMatches(
  nc: NatsConnection,
  subjects: Subjects,
  query: LogQuery,
  { limit, signal }: LogRange,
  first: number,
  end: number,
): Promise<LogItem[]> {
  for (let back = Math.max(LOOK_BACK_MIN, limit); ; back *= LOOK_BACK_GROWTH) {
    const from = Math.max(first, end - back + 1);
    const found: LogItem[] = [];
    if (from <= end) {
      for await (const item of read(nc, subjects, query, { seq: from }, end, signal)) {
        found.push(item);
        if (found.length > limit) found.shift();
      }
    }
    if (found.length >= limit || from === first || from > end || signal.aborted) return found;
  }
}

async function* read(
  nc: NatsConnection,
  subjects: Subjects,
  query: LogQuery,
  start: Start,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<LogItem, void, undefined> {
  const consumer = await jetstream(nc).consumers.get(subjects.streams.log, {
    ...('seq' in start
      ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: start.seq }
      : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(start.time).toISOString() }),
  });
  // Where nothing is left to come, a consumer would wait for ever.
  if (end !== Number.POSITIVE_INFINITY && (await consumer.info(true)).num_pending === 0) return;
  const messages = await consumer.consume();
  const stop = (): void => messages.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const message of messages) {
      if (message.seq > end) return;
      const items = itemsOf(message, query);
      if (items === 'past') return;
      yield* items;
      if (message.seq >= end || (end !== Number.POSITIVE_INFINITY && message.info.pending === 0)) return;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    await messages.close();
  }
}

/** The entries of a commit that match; `past` once a commit is later than wanted. */
function itemsOf(message: JsMsg, query: LogQuery): LogItem[] | 'past' {
  const { since, until } = query;
  const { shard, index, at, entries } = decodeCommit(message.data);
  if (since !== undefined && at < since) return [];
  // Shards' clocks may differ a little; the stream's own time decides when to stop.
  if (until !== undefined && at > until) return message.info.timestampNanos / 1e6 > until ? 'past' : [];
  return entries.flatMap((entry, n) =>
    matches(query, { at }, entry) ? [{ shard, index, n, at, entry }] : [],
  );
}
