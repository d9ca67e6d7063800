/** The key registry's bucket over JetStream KV. */
import { JetStreamApiError } from '@nats-io/jetstream';
import type { KV, KvEntry } from '@nats-io/kv';
import type { Logger } from '#runtime/shard/ports';
import type { KeyStore } from './keys.ts';

/** "wrong last sequence": another write came first. */
const WRONG_LAST_SEQUENCE = 10_071;

/**
 * Reads may be stale at R3; a write on a stale revision is refused and tried again, so that only costs a round. What
 * stands in the bucket and is no record costs a line in the log, never the node.
 */
export function natsKeyStore(kv: KV, logger?: Logger): KeyStore {
  return {
    async get(kid) {
      const entry = await kv.get(kid);
      if (entry === null || entry.operation !== 'PUT') return undefined;
      return { value: jsonOf(entry), revision: entry.revision };
    },

    async put(kid, value, revision) {
      const body = JSON.stringify(value);
      try {
        await (revision === 0 ? kv.create(kid, body) : kv.update(kid, body, revision));
        return true;
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return false;
        throw error;
      }
    },

    async watch(changed) {
      // What is there comes first; `delta` says how much of it is left. An empty bucket sends nothing.
      const entries = await kv.watch();
      const loaded = Promise.withResolvers<void>();
      if ((await kv.status()).values === 0) loaded.resolve();
      const take = (entry: KvEntry): void => {
        if (entry.operation !== 'PUT') return;
        const value = jsonOf(entry);
        if (value === undefined) logger?.warn({ kid: entry.key, revision: entry.revision }, 'key_unreadable');
        else changed(entry.key, value);
      };
      const done = (async () => {
        try {
          for await (const entry of entries) {
            take(entry);
            if (entry.delta === 0) loaded.resolve();
          }
          loaded.resolve();
        } catch (error) {
          loaded.reject(error);
          logger?.error({ error: (error as Error).message }, 'keys_not_watched');
        }
      })();
      await loaded.promise;
      return {
        async close() {
          entries.stop();
          await done;
        },
      };
    },
  };
}

/** Undefined where it is no JSON. */
function jsonOf(entry: KvEntry): unknown {
  try {
    return entry.json();
  } catch {
    // Anybody who may write the bucket may have written this.
    return undefined;
  }
}
