/**
 * What of the log a realm itself still needs: everything that a recovery of any of its shards would read.
 *
 * R1  A shard needs its log from the first commit on until a snapshot of it counts as it does for a recovery: stated by a
 *     commit of the shard, not distrusted, and whole, to the last page. What is stored and not stated takes nothing away.
 * R2  Of several snapshots the one that needs most decides, also where no commit states it yet.
 */
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import { equalBytes } from '#runtime/shard/commit';
import type { BlobStore } from '#runtime/shard/ports';
import {
  damaged,
  decodeManifest,
  type Manifest,
  manifestsOf,
  pageName,
  readBlob,
  readHashed,
  readIndex,
  readTables,
  snapshotPrefix,
  statementOf,
} from '#runtime/shard/snapshot-format';
import { isDamage } from '#runtime/shard/snapshot-load';
import type { LogReader } from '#runtime/witness/log-reader';
import type { Commit } from '#schemas/commit';

/** A snapshot may be replaced while it is looked at; one that is for ever half there is no snapshot. */
const LOOKS_MAX = 5;

export interface NeedSources {
  readonly blobs: Pick<BlobStore, 'get' | 'list'>;
  /** The stream: statements stand behind what a snapshot lets go of. */
  readonly log: Pick<LogReader, 'range' | 'read'>;
}

/**
 * The last sequence that no recovery reads: all before the oldest snapshot that is kept of any shard, and before the ids
 * that its retries are told by. 0 where a shard has no snapshot that counts (R1): it is folded from its first commit.
 */
export async function unneededThrough(sources: NeedSources, shards: number): Promise<number> {
  let through = Number.POSITIVE_INFINITY;
  for (let shard = 0; shard < shards; shard += 1) {
    through = Math.min(through, await unneededBy(sources, shard));
  }
  return Number.isFinite(through) ? through : 0;
}

/** What one shard does not need. Nothing that cannot be read counts as not needed. */
async function unneededBy(sources: NeedSources, shard: number): Promise<number> {
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const manifests = manifestsOf(await sources.blobs.list(snapshotPrefix(shard)));
    let isSafe = false;
    let through = Number.POSITIVE_INFINITY;
    try {
      for (const name of manifests) {
        const of = await looked(sources, shard, name);
        isSafe ||= of.counts;
        through = Math.min(through, of.unneeded);
      }
      return isSafe ? through : 0;
    } catch (thrown) {
      // Replaced while we looked: the newer one needs other commits, not always later ones.
      if (!isDamage(thrown)) throw thrown;
    }
  }
  return 0;
}

/** Throws `snapshot_damaged`. */
async function looked(
  sources: NeedSources,
  shard: number,
  name: string,
): Promise<{ readonly counts: boolean; readonly unneeded: number }> {
  const { blobs } = sources;
  const bytes = await readBlob(blobs, name);
  const manifest = decodeManifest(name, shard, bytes);
  const { seq, idsFromSeq } = await readTables(blobs, manifest);
  const unneeded = idsFromSeq === 0 ? seq : Math.min(seq, idsFromSeq - 1);
  const statement = await statementOf(name, commitsAfter(sources, shard, seq));
  if (statement === undefined) return { counts: false, unneeded };
  if (!equalBytes(sha256(bytes), statement.hash)) throw damaged(name, 'is not what the log states');
  await readPages(blobs, shard, manifest);
  return { counts: true, unneeded };
}

/** R1: without one page of it a recovery would read the log instead. */
async function readPages(blobs: NeedSources['blobs'], shard: number, { segments }: Manifest): Promise<void> {
  for (const segment of segments) {
    const { hashes } = await readIndex(blobs, shard, segment);
    for (const [page, hash] of hashes.entries())
      await readHashed(blobs, pageName(shard, segment.name, page), hash);
  }
}

async function* commitsAfter({ log }: NeedSources, shard: number, seq: number): AsyncIterable<Commit> {
  const { last } = await log.range();
  for await (const batch of log.read(seq + 1, last)) {
    for (const message of batch) if (message.shard === shard) yield decodeCommit(message.bytes);
  }
}
