/** The key registry's bucket over JetStream KV. */
import { JetStreamApiError } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import type { KeyStore } from './keys.ts';

/** "wrong last sequence": another write came first. */
const WRONG_LAST_SEQUENCE = 10_071;

/** Reads may be stale at R3; a write on a stale revision is refused and tried again, so that only costs a round. */
export function natsKeyStore(kv: KV): KeyStore {
  return {
    async get(kid) {
      const entry = await kv.get(kid);
      if (entry === null || entry.operation !== 'PUT') return undefined;
      return { value: entry.json(), revision: entry.revision };
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
      const done = (async () => {
        for await (const entry of entries) {
          if (entry.operation === 'PUT') changed(entry.key, entry.json());
          if (entry.delta === 0) loaded.resolve();
        }
        loaded.resolve();
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
