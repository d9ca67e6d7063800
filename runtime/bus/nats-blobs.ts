/**
 * Named blobs in the object store: snapshots, and bodies too big for the log.
 *
 * O1  An object that is replaced while it is read is read anew, a few times.
 * O2  What lies under `body/` is named after its content: it is stored once and never replaced, but in a bucket that
 *     forgets, where what is put again begins its time anew.
 * O3  A put whose answer is lost may leave an object without its content: the client takes the pieces away again. That one
 *     is stored is believed for what can be read.
 */

import type { NatsConnection } from '@nats-io/nats-core';
import { Objm } from '@nats-io/obj';
import type { BlobStore } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';
import { ObjectReader } from './object-reader.ts';
import type { Subjects } from './subjects.ts';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from './tidy-jetstream.ts';

const CONTENT_ADDRESSED = 'body/';
const GET_ATTEMPTS_MAX = 5;

export interface BlobOptions {
  /** `buckets.objects` when absent. */
  readonly bucket?: string;
  /** The bucket keeps what it has for a time only (O2). */
  readonly forgets?: boolean;
}

export async function natsBlobs(
  nc: NatsConnection,
  subjects: Subjects,
  { bucket = subjects.buckets.objects, forgets = false }: BlobOptions = {},
): Promise<BlobStore> {
  const store = await new Objm(tidyJetStream(nc, { timeout: JETSTREAM_TIMEOUT_MS })).open(bucket);
  const reader = await ObjectReader.open(nc, bucket);
  return {
    async put(name, bytes) {
      const isForGood = name.startsWith(CONTENT_ADDRESSED) && !forgets;
      if (isForGood && (await isWhole(reader, name))) return;
      await store.putBlob({ name }, bytes);
    },

    async get(name) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await reader.get(name);
        } catch (thrown) {
          if (attempt === GET_ATTEMPTS_MAX || !isCorrupt(thrown)) throw thrown;
        }
      }
    },

    async delete(name) {
      const info = await store.info(name);
      if (info !== null && !info.deleted) await store.delete(name);
    },

    list: (prefix) => reader.list(prefix),
  };
}

function isCorrupt(thrown: unknown): boolean {
  return thrown instanceof FabricError && thrown.code === busErrors.object_corrupt.code;
}

/** O2, O3 */
async function isWhole(reader: ObjectReader, name: string): Promise<boolean> {
  try {
    return (await reader.get(name)) !== undefined;
  } catch (thrown) {
    if (isCorrupt(thrown)) return false;
    throw thrown;
  }
}
