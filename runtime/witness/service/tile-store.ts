/**
 * Full tiles and full entry bundles under their C2SP paths. What a signed checkpoint covers is never replaced by
 * anything else: a builder that read another log than the one that was signed must not spoil the tiles of that one.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import type { Subjects } from '#runtime/bus/subjects';
import type { BlobStore } from '#runtime/shard/ports';

/** Full tiles kept in memory, 8 to 17 KiB each: those that proofs near the end of the log need over and over. */
const CACHED_MAX = 128;

export interface TileStore {
  /** Undefined where it is not stored. */
  get(path: string): Promise<Uint8Array | undefined>;
  put(path: string, bytes: Uint8Array): Promise<void>;
}

export async function natsTiles(nc: NatsConnection, subjects: Subjects): Promise<TileStore> {
  return await natsBlobs(nc, subjects, { bucket: subjects.buckets.tiles });
}

/** The least recently used leaves first. What is altered in the store afterwards does not show through it. */
export function cachedTiles(store: Pick<BlobStore, 'get' | 'put'>): TileStore {
  const cached = new Map<string, Uint8Array>();
  const keep = (path: string, bytes: Uint8Array): Uint8Array => {
    cached.delete(path);
    cached.set(path, bytes);
    const [oldest] = cached.keys();
    if (cached.size > CACHED_MAX && oldest !== undefined) cached.delete(oldest);
    return bytes;
  };
  return {
    async get(path) {
      const bytes = cached.get(path) ?? (await store.get(path));
      return bytes === undefined ? undefined : keep(path, bytes);
    },
    async put(path, bytes) {
      await store.put(path, bytes);
      keep(path, bytes);
    },
  };
}
