/** Watching the rows of a key-value bucket from what stands in it on. */
import type { KV, KvEntry } from '@nats-io/kv';

/** A marker that goes between listing and watching is never told: nobody waits longer for it. */
const READY_MS_MAX = 1_000;

/**
 * Tells every row that matches `pattern`, removed ones that left a marker too, then each change until closed. Resolves
 * once every present row was told.
 */
export async function watchRows(
  kv: KV,
  pattern: string,
  heard: (entry: KvEntry) => void,
): Promise<{ close(): Promise<void> }> {
  const known = new Set<string>();
  // An empty bucket has nothing to list, and each consumer takes the server some writes.
  if ((await kv.status()).values > 0) for await (const key of await kv.keys(pattern)) known.add(key);
  const ready = Promise.withResolvers<void>();
  const check = (): void => {
    if (known.size === 0) ready.resolve();
  };
  const entries = await kv.watch({ key: pattern });
  const done = (async () => {
    for await (const entry of entries) {
      heard(entry);
      // A row that went meanwhile is told as its removal.
      if (known.delete(entry.key)) check();
    }
    ready.resolve();
  })();
  check();
  const timer = setTimeout(ready.resolve, READY_MS_MAX);
  await ready.promise;
  clearTimeout(timer);
  return {
    async close() {
      entries.stop();
      await done;
    },
  };
}
