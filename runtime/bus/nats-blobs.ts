/**
 * Named blobs in the object store: snapshots, and bodies too big for the log.
 *
 * O1  `get` ends: the client's own reading of an object that is replaced meanwhile waits for ever for chunks that are
 *     gone. So it has a deadline and begins anew.
 * O2  What lies under `body/` is named after its content: it is stored once and never replaced.
 */

import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { type ObjectStore, Objm } from '@nats-io/obj';
import type { BlobStore } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';
import { isForbidden } from './forbidden.ts';
import { getSingly, listSingly } from './nats-blobs-singly.ts';
import type { Subjects } from './subjects.ts';
import { tidyJetStream } from './tidy-jetstream.ts';

const CONTENT_ADDRESSED = 'body/';
const GET_TIMEOUT_MS = 10_000;
const GET_ATTEMPTS_MAX = 3;

export interface BlobOptions {
  /** `buckets.objects` when absent. */
  readonly bucket?: string;
  /** How long a reader waits for the next piece. */
  readonly getTimeoutMs?: number;
}

export async function natsBlobs(
  nc: NatsConnection,
  subjects: Subjects,
  { bucket = subjects.buckets.objects, getTimeoutMs = GET_TIMEOUT_MS }: BlobOptions = {},
): Promise<BlobStore> {
  const store = await new Objm(tidyJetStream(nc)).open(bucket);
  return {
    async put(name, bytes) {
      if (name.startsWith(CONTENT_ADDRESSED) && (await isStored(store, name, bytes.byteLength))) return;
      await store.putBlob({ name }, bytes);
    },

    async get(name) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await readOnce(store, name, getTimeoutMs);
        } catch (error) {
          if (isForbidden(error)) return await getSingly(await jetstreamManager(nc), bucket, name);
          if (attempt === GET_ATTEMPTS_MAX) throw isCorrupt(error) ? corrupt(name, error) : error;
        }
      }
    },

    async delete(name) {
      const info = await store.info(name);
      if (info !== null && !info.deleted) await store.delete(name);
    },

    async list(prefix) {
      const infos = await store.list().catch((error: unknown) => {
        if (isForbidden(error)) return undefined;
        throw error;
      });
      if (infos === undefined) return await listSingly(await jetstreamManager(nc), bucket, prefix);
      return infos.filter((i) => !i.deleted && i.name.startsWith(prefix)).map((i) => i.name);
    },
  };
}

/** The client has no type for it. */
function isCorrupt(error: unknown): boolean {
  return error instanceof Error && error.message.includes('corrupt object');
}

function corrupt(name: string, cause: unknown): FabricError {
  return new FabricError(busErrors.object_corrupt, `${name} is not what was stored under its digest`, {
    details: { name },
    cause,
  });
}

/** O2 */
async function isStored(store: ObjectStore, name: string, size: number): Promise<boolean> {
  const info = await store.info(name);
  return info !== null && !info.deleted && info.size === size;
}

/** O1: one attempt. Rejects where nothing comes for so long, or the content is not what was put. */
async function readOnce(
  store: ObjectStore,
  name: string,
  timeoutMs: number,
): Promise<Uint8Array | undefined> {
  const found = await store.get(name);
  if (found === null) return undefined;
  // It says once more what reading says.
  found.error.catch(() => undefined);
  const reader = found.data.getReader();
  const chunks: Uint8Array[] = [];
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read(), name, timeoutMs);
      if (done) return Buffer.concat(chunks);
      chunks.push(value);
    }
  } catch (error) {
    // Ends the consumer that may still wait; what is said to that is of no interest.
    reader.cancel().catch(() => undefined);
    throw error;
  }
}

async function inTime<T>(work: Promise<T>, name: string, timeoutMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`Blob ${name} did not come in time`)), timeoutMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
