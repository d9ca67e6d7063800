/** Leases on a JetStream KV bucket whose entries have a TTL of their own. */

import { JetStreamApiError, jetstream } from '@nats-io/jetstream';
import { Kvm, KvWatchInclude } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { watchRows } from '#runtime/bus/kv-watch';
import { tidyJetStream } from '#runtime/bus/tidy-jetstream';
import type { LeaseStore } from './lease-store.ts';

/** "wrong last sequence": the key has another revision. */
const WRONG_LAST_SEQUENCE = 10_071;
/** Within the shortest TTL. */
const REQUEST_TIMEOUT_MS = 1_000;

export async function natsLeases(nc: NatsConnection, bucket: string): Promise<LeaseStore> {
  const kv = await new Kvm(tidyJetStream(nc)).open(bucket);
  const js = jetstream(nc, { timeout: REQUEST_TIMEOUT_MS });

  async function isOurs(publish: Promise<{ seq: number }>): Promise<number | undefined> {
    try {
      return (await publish).seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return undefined;
      throw error;
    }
  }

  // `kv.update` drops the TTL of a key: the entry is published as the bucket stores it.
  async function write(
    key: string,
    value: string,
    revision: number,
    ttlMs: number,
  ): Promise<number | undefined> {
    const options = { expect: { lastSubjectSequence: revision }, ttl: `${Math.ceil(ttlMs / 1_000)}s` };
    return await isOurs(js.publish(`$KV.${bucket}.${key}`, value, options));
  }

  return {
    update: write,

    async create(key, value, ttlMs) {
      const created = await write(key, value, 0, ttlMs);
      if (created !== undefined) return created;
      const found = await kv.get(key);
      if (found !== null && found.operation === 'PUT') return undefined;
      // An expired or removed key leaves a marker: the next write follows its revision.
      return await write(key, value, found?.revision ?? 0, ttlMs);
    },

    async remove(key, revision) {
      try {
        await kv.delete(key, { previousSeq: revision });
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return;
        throw error;
      }
    },

    async get(key) {
      // The copy that leads answers: a bucket that was opened, not made, takes no direct reads, which any copy answers.
      const found = await kv.get(key);
      if (found === null || found.operation !== 'PUT') return undefined;
      return { value: found.string(), revision: found.revision };
    },

    async watchFreed(key, freed) {
      const entries = await kv.watch({ key, include: KvWatchInclude.UpdatesOnly });
      const done = (async () => {
        for await (const entry of entries) if (entry.operation !== 'PUT') freed();
      })();
      return {
        async close() {
          entries.stop();
          await done;
        },
      };
    },

    watch: (prefix, heard) =>
      watchRows(nc, kv, `${prefix}>`, (key, entry) => {
        heard(key, entry && { value: entry.string(), revision: entry.revision });
      }),
  };
}
