/** What of the log a realm itself still needs: everything that a recovery of any of its shards would read. */
import { decode } from '#runtime/bus/codec';
import type { BlobStore } from '#runtime/shard/ports';

interface TablesLike {
  readonly seq: number;
  readonly idsFromSeq: number;
}

/** A snapshot may be replaced while it is looked at; one that is for ever half there is no snapshot. */
const LOOKS_MAX = 5;

/**
 * The last sequence that no recovery reads: all before the oldest snapshot that is kept of any shard, and before the ids
 * that its retries are told by. 0 where a shard has no snapshot: it is folded from its first commit.
 */
export async function unneededThrough(blobs: BlobStore, shards: number): Promise<number> {
  let through = Number.POSITIVE_INFINITY;
  for (let shard = 0; shard < shards; shard += 1) {
    through = Math.min(through, await unneededBy(blobs, shard));
  }
  return Number.isFinite(through) ? through : 0;
}

/** What one shard does not need. Nothing that cannot be read counts as not needed. */
async function unneededBy(blobs: BlobStore, shard: number): Promise<number> {
  looking: for (let look = 0; look < LOOKS_MAX; look += 1) {
    const manifests = (await blobs.list(`snapshot/${shard}/`)).filter((name) => name.includes('/manifest-'));
    if (manifests.length === 0) return 0;
    let through = Number.POSITIVE_INFINITY;
    for (const name of manifests) {
      const manifest = await blobs.get(name);
      const tables = manifest === undefined ? undefined : (decode(manifest) as { readonly tables: string });
      const bytes = tables === undefined ? undefined : await blobs.get(tables.tables);
      // Replaced while we looked: the newer one needs other commits, not always later ones.
      if (bytes === undefined) continue looking;
      const { seq, idsFromSeq } = decode(bytes) as TablesLike;
      through = Math.min(through, idsFromSeq === 0 ? seq : Math.min(seq, idsFromSeq - 1));
    }
    return through;
  }
  return 0;
}
