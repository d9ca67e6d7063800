/**
 * Watching the rows of a key-value bucket from what stands in it on.
 *
 * A row that ends by its TTL leaves a marker for a while (`MARKER_TTL_MS`). Who was cut off for longer finds nothing of
 * it: what was told is held against what stands there, after each reconnect and once in that time, for a partition
 * between servers ends no connection.
 */
import { jetstreamManager } from '@nats-io/jetstream';
import type { KV, KvEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';

/** A marker that goes between listing and watching is never told: nobody waits longer for it. */
const READY_MS_MAX = 1_000;
/** No longer than a marker stays. */
const LOOK_MS = 60_000;
/** After a look that failed: servers that come back elect first. */
const LOOK_AGAIN_MS = 5_000;

/**
 * Tells every row that matches `pattern`, then each change, until closed: undefined for a row that went, also for one
 * that left a marker before. Resolves once every present row was told.
 */
export async function watchRows(
  nc: NatsConnection,
  kv: KV,
  pattern: string,
  heard: (key: string, entry: KvEntry | undefined) => void,
): Promise<{ close(): Promise<void> }> {
  const known = new Set<string>();
  const { bucket, values } = await kv.status();
  // An empty bucket has nothing to list, and each consumer takes the server some writes.
  if (values > 0) for await (const key of await kv.keys(pattern)) known.add(key);
  const ready = Promise.withResolvers<void>();
  const check = (): void => {
    if (known.size === 0) ready.resolve();
  };
  /** Revisions of the rows that were told and did not go. */
  const told = new Map<string, number>();
  const entries = await kv.watch({ key: pattern });
  const done = (async () => {
    for await (const entry of entries) {
      const { key, revision, operation } = entry;
      if (operation === 'PUT') told.set(key, revision);
      else told.delete(key);
      heard(key, operation === 'PUT' ? entry : undefined);
      // A row that went meanwhile is told as its removal.
      if (known.delete(key)) check();
    }
    ready.resolve();
  })();
  check();
  const timer = setTimeout(ready.resolve, READY_MS_MAX);
  await ready.promise;
  clearTimeout(timer);
  const looks = lookAfter(nc, async () => {
    for (const key of await missing(nc, bucket, pattern, told)) {
      told.delete(key);
      heard(key, undefined);
    }
  });
  return {
    async close() {
      looks.close();
      entries.stop();
      await done;
    },
  };
}

/** Keys of which nothing stands there any more, not even a marker, which the watch tells. */
async function missing(
  nc: NatsConnection,
  bucket: string,
  pattern: string,
  told: ReadonlyMap<string, number>,
): Promise<string[]> {
  if (told.size === 0) return [];
  const prefix = `$KV.${bucket}.`;
  const before = new Map(told);
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const { state } = await jsm.streams.info(`KV_${bucket}`, { subjects_filter: `${prefix}${pattern}` });
  const isMissing = ([key, revision]: [string, number]): boolean =>
    state.subjects?.[prefix + key] === undefined &&
    // A copy that lags behind, as after a partition, does not know the row yet.
    revision <= state.last_seq &&
    told.get(key) === revision;
  return [...before].filter(isMissing).map(([key]) => key);
}

function lookAfter(nc: NatsConnection, look: () => Promise<void>): { close(): void } {
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;
  const lookIn = (delayMs: number): void => {
    clearTimeout(timer);
    if (!isClosed && !nc.isClosed()) timer = setTimeout(tryLook, delayMs).unref();
  };
  const tryLook = (): void => {
    look().then(
      () => lookIn(LOOK_MS),
      () => lookIn(LOOK_AGAIN_MS),
    );
  };
  const status = nc.status();
  void (async () => {
    for await (const { type } of status) {
      if (isClosed) return;
      if (type === 'reconnect') tryLook();
    }
  })();
  lookIn(LOOK_MS);
  return {
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
