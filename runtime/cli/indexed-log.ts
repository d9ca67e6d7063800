/** Entries of the log by its index where there is one, and from the log itself where there is none. */
import type { IndexQuery } from '#runtime/index/facets';
import { findEntries } from '#runtime/index/find-entries';
import { bringUp, openIndexIfThere } from './index-file.ts';
import type { Io, Out } from './io.ts';
import type { LogRange, Realm } from './realm.ts';
import type { LogItem } from './render/log.ts';

/** Reading fewer is quicker than explaining it. */
const WORTH_AN_INDEX_COMMITS = 50_000;

/** In the order of the log. Brings the index up to date first, and says on stderr how far it is. */
export async function* indexedLog(
  realm: Realm,
  query: IndexQuery,
  range: LogRange,
  { io, out }: { readonly io: Io; readonly out: Out },
): AsyncGenerator<LogItem, void, undefined> {
  const { follow, limit, signal } = range;
  if (!isNarrow(query)) {
    yield* realm.log(query, range);
    return;
  }
  using index = openIndexIfThere(realm, io.env);
  const reader = await realm.openLog();
  if (index === undefined) {
    const { first, last } = await reader.range();
    if (!follow && !out.json && last - first >= WORTH_AN_INDEX_COMMITS) {
      out.note(`Reads up to ${last - first + 1} commits; \`infrafabric index build\` makes this quick.`);
    }
    yield* realm.log(query, range);
    return;
  }
  await bringUp(index, reader, io, out);
  const { seq } = index.status();
  const order = limit > 0 ? 'newest' : 'oldest';
  const found = findEntries(index, reader, query, { order, limit, signal });
  if (order === 'newest') yield* (await Array.fromAsync(found, item)).reverse();
  else for await (const one of found) yield item(one);
  if (!out.json) out.note(`By the index, as far as sequence ${seq}.`);
  if (follow && !signal.aborted) {
    const from = Math.max(seq + 1, query.from ?? 1);
    yield* realm.log({ ...query, from }, { limit: 0, follow, signal });
  }
}

/** What an index finds without reading most of the log. */
function isNarrow({ actor, type, trace, conversation, task, message, severity }: IndexQuery): boolean {
  const isWorse = severity !== undefined && severity !== 'INFO';
  return isWorse || [actor, type, trace, conversation, task, message].some((value) => value !== undefined);
}

function item({ shard, index, n, at, entry }: LogItem): LogItem {
  return { shard, index, n, at, entry };
}
