/** Named blobs in the object store: snapshots, and bodies too big for the log. */
import type { NatsConnection } from '@nats-io/nats-core';
import { Objm } from '@nats-io/obj';
import type { BlobStore } from '#runtime/shard/ports';
import type { Subjects } from './subjects.ts';

export async function natsBlobs(nc: NatsConnection, subjects: Subjects): Promise<BlobStore> {
  const store = await new Objm(nc).open(subjects.buckets.objects);
  return {
    async put(name, bytes) {
      await store.putBlob({ name }, bytes);
    },

    async get(name) {
      return (await store.getBlob(name)) ?? undefined;
    },

    async delete(name) {
      const info = await store.info(name);
      if (info !== null && !info.deleted) await store.delete(name);
    },

    async list(prefix) {
      const infos = await store.list();
      return infos.filter((i) => !i.deleted && i.name.startsWith(prefix)).map((i) => i.name);
    },
  };
}
