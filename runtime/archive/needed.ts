/** What of the log a realm itself still needs: everything that a recovery of any of its shards would read. */
import { decode } from '#runtime/bus/codec';
import type { BlobStore } from '#runtime/shard/ports';

interface TablesLike {
  readonly seq: number;
  readonly idsFromSeq: number;
}

/**
 * The last sequence that no recovery reads: all before the oldest snapshot that is kept of any shard, and before the ids
 * that its retries are told by. 0 where a shard has no snapshot: it is folded from its first commit.
 */
export async function unneededThrough(blobs: BlobStore, shards: number): Promise<number> {
  let through = Number.POSITIVE_INFINITY;
  for (let shard = 0; shard < shards; shard += 1) {
    const manifests = (await blobs.list(`snapshot/${shard}/`)).filter((name) => name.includes('/manifest-'));
    if (manifests.length === 0) return 0;
    for (const name of manifests) {
      const manifest = await blobs.get(name);
      // Replaced while we looked: the one that is newer needs less.
      if (manifest === undefined) continue;
      const { tables } = decode(manifest) as { readonly tables: string };
      const bytes = await blobs.get(tables);
      if (bytes === undefined) continue;
      const { seq, idsFromSeq } = decode(bytes) as TablesLike;
      through = Math.min(through, idsFromSeq === 0 ? seq : Math.min(seq, idsFromSeq - 1));
    }
  }
  return Number.isFinite(through) ? through : 0;
}
