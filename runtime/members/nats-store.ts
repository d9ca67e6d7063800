/** Rows of nodes in a JetStream KV bucket whose entries may have a TTL of their own. */

import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { watchRows } from '#runtime/bus/kv-watch';
import { tidyJetStream } from '#runtime/bus/tidy-jetstream';
import type { MemberStore } from './store.ts';

/** Within the shortest TTL. */
const REQUEST_TIMEOUT_MS = 1_000;

export async function natsMembers(nc: NatsConnection, bucket: string): Promise<MemberStore> {
  const kv = await new Kvm(tidyJetStream(nc)).open(bucket);
  const js = jetstream(nc, { timeout: REQUEST_TIMEOUT_MS });
  return {
    async put(key, value, ttlMs) {
      const ttl = ttlMs === undefined ? {} : { ttl: `${Math.ceil(ttlMs / 1_000)}s` };
      // `kv.put` has no TTL: the entry is published as the bucket stores it.
      await js.publish(`$KV.${bucket}.${key}`, value, ttl);
    },
    remove: (key) => kv.delete(key),
    async get(key) {
      const found = await kv.get(key);
      return found === null || found.operation !== 'PUT' ? undefined : found.string();
    },
    watch: (heard) => watchRows(nc, kv, '>', (key, entry) => heard(key, entry?.string())),
  };
}
