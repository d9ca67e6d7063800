/** Bytes of components, inputs and outputs: short text in the log, the rest in object stores under their digest. */
import { hash } from 'node:crypto';
import type { NatsConnection } from '@nats-io/nats-core';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import type { Subjects } from '#runtime/bus/subjects';
import type { BlobStore } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { type Blob, blobName, componentName, INLINE_CHARS_MAX } from '#schemas/sandbox';
import { chassisErrors } from './errors.ts';

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Components stay; what runs took and gave goes when its bucket has kept it for its time. */
export async function chassisBlobs(nc: NatsConnection, subjects: Subjects): Promise<BlobStore> {
  const components = await natsBlobs(nc, subjects, { bucket: subjects.buckets.boxes });
  const runs = await natsBlobs(nc, subjects, { bucket: subjects.buckets.runs, forgets: true });
  const storeOf = (name: string) => (name.startsWith(componentName('')) ? components : runs);
  return {
    put: async (name, bytes) => await storeOf(name).put(name, bytes),
    get: async (name) => await storeOf(name).get(name),
    delete: async (name) => await storeOf(name).delete(name),
    list: async (prefix) => await storeOf(prefix).list(prefix),
  };
}

export async function stored(blobs: Pick<BlobStore, 'put'>, bytes: Uint8Array): Promise<Blob> {
  const text = shortText(bytes);
  if (text !== undefined) return { text };
  const sha256 = hash('sha256', bytes);
  await blobs.put(blobName(sha256), bytes);
  return { sha256, bytes: bytes.byteLength };
}

export async function bytesOf(blobs: Pick<BlobStore, 'get'>, blob: Blob): Promise<Uint8Array> {
  if ('text' in blob) return new TextEncoder().encode(blob.text);
  return await storedBytes(blobs, blobName(blob.sha256), blob.sha256);
}

/** Throws `sandbox_missing_object` where they are gone, or are not those of the digest. */
export async function storedBytes(
  blobs: Pick<BlobStore, 'get'>,
  name: string,
  sha256: string,
): Promise<Uint8Array> {
  const bytes = await blobs.get(name);
  if (bytes !== undefined && hash('sha256', bytes) === sha256) return bytes;
  const what = bytes === undefined ? 'is not in the object store' : 'is not what its name says';
  throw new FabricError(chassisErrors.sandbox_missing_object, `${name} ${what}`);
}

function shortText(bytes: Uint8Array): string | undefined {
  if (bytes.byteLength > INLINE_CHARS_MAX) return undefined;
  try {
    return strictText.decode(bytes);
  } catch {
    return undefined;
  }
}
