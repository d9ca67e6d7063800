/**
 * Where a recovery begins: the newest snapshot that the log states, or none.
 *
 * L1  A snapshot counts where a stored commit states the hash of its manifest, and all that is read of it has the hash
 *     that the manifest says. One that is not stated was not finished, or is not the realm's.
 * L2  A snapshot that does not count is passed over: the one before it does as well, and the log does without any.
 */
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import type { Commit, SnapshotStatement } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { equalBytes } from './commit.ts';
import { shardErrors } from './errors.ts';
import { Hydrator } from './hydrate.ts';
import type { BlobStore, ShardLog } from './ports.ts';
import { readThrough } from './read-through.ts';
import {
  damaged,
  decodeManifest,
  type Manifest,
  manifestsOf,
  namesOf,
  type RememberedIds,
  readBlob,
  readIndex,
  readTables,
  type Segment,
  snapshotPrefix,
  statementOf,
  type Tables,
} from './snapshot-format.ts';
import type { ShardState } from './state.ts';
import { PAGES_PER_SEGMENT_MAX } from './table.ts';

/** A segment as locations name it in this process. */
export interface LiveSegment extends Segment {
  readonly id: number;
}

/** A stored snapshot that was taken up. */
export interface Base {
  readonly name: string;
  readonly tables: Tables;
  readonly tablesName: string;
  readonly segments: readonly LiveSegment[];
  readonly ids: RememberedIds | undefined;
}

export interface Loaded {
  /** Empty where there is no snapshot; otherwise every actor of it is in the table. */
  readonly state: ShardState;
  readonly hydrator: Hydrator;
  readonly base: Base | undefined;
  /** Blobs of the shard's snapshots that the base does not need. */
  readonly garbage: readonly string[];
}

export interface LoadOptions {
  readonly shard: number;
  readonly blobs: BlobStore;
  readonly empty: () => ShardState;
  /** Told of a snapshot that does not count: that it is damaged, or that nothing states it. May throw. */
  readonly passedOver: (name: string, damage: FabricError | undefined) => void | Promise<void>;
  /** What the log states of a manifest, looked for after a sequence. Absent: every snapshot is believed. */
  readonly stated?: (manifest: string, afterSeq: number) => Promise<SnapshotStatement | undefined>;
  /** Where the log ends, and the epoch of who reads it. */
  readonly throughSeq?: number;
  readonly epoch?: number;
}

/**
 * Puts every actor of the snapshot into the table, passivated unless it has timers or effects; the tables are given
 * back, not applied. Throws `log_corrupt` where a snapshot stands behind the end of the log, `shard_moved` where it is a
 * later owner's, and what the stores throw.
 */
export async function loadSnapshot(options: LoadOptions): Promise<Loaded> {
  const { shard, blobs, empty, passedOver } = options;
  const names = await blobs.list(snapshotPrefix(shard));
  for (const name of manifestsOf(names)) {
    try {
      const manifest = await readManifest(options, name);
      if (manifest === undefined) {
        await passedOver(name, undefined);
        continue;
      }
      const state = empty();
      const hydrator = new Hydrator(shard, blobs);
      const base = await take(options, name, manifest, { state, hydrator });
      const live = new Set([name, ...namesOf(manifest)]);
      return { state, hydrator, base, garbage: names.filter((one) => !live.has(one)) };
    } catch (thrown) {
      if (!isDamage(thrown)) throw thrown;
      await passedOver(name, thrown);
    }
  }
  return { state: empty(), hydrator: new Hydrator(shard, blobs), base: undefined, garbage: names };
}

export function isDamage(thrown: unknown): thrown is FabricError {
  return thrown instanceof FabricError && thrown.code === shardErrors.snapshot_damaged.code;
}

/** What a shard's log states of a manifest, as far as its commit at `throughSeq`. Throws `log_unread`. */
export function statedIn(
  log: Pick<ShardLog, 'read'>,
  shard: number,
  throughSeq: number,
): NonNullable<LoadOptions['stated']> {
  async function* commits(afterSeq: number): AsyncIterable<Commit> {
    for await (const { bytes } of readThrough(log, shard, afterSeq, throughSeq)) yield decodeCommit(bytes);
  }
  return async (manifest, afterSeq) => await statementOf(manifest, commits(afterSeq));
}

/** A manifest that counts, as far as itself and its tables say (L1). Undefined where nothing states it. */
async function readManifest(
  { shard, blobs, stated, throughSeq, epoch }: LoadOptions,
  name: string,
): Promise<Manifest | undefined> {
  const bytes = await readBlob(blobs, name);
  const manifest = decodeManifest(name, shard, bytes);
  if (stated === undefined) return manifest;
  const { seq, epoch: writtenIn } = await readTables(blobs, manifest);
  // Whoever was paused after its epoch record finds what a later owner has written since.
  if (epoch !== undefined && writtenIn > epoch) {
    const message = `Shard ${shard} has another owner: epoch ${writtenIn} follows ${epoch}`;
    throw new FabricError(shardErrors.shard_moved, message);
  }
  if (throughSeq !== undefined && seq > throughSeq) {
    throw new FabricError(
      shardErrors.log_corrupt,
      `The snapshot of shard ${shard} is at message ${seq} of the log, but the log ends at ${throughSeq}: its tail is lost`,
      { details: { shard, snapshotSeq: seq, logSeq: throughSeq } },
    );
  }
  const statement = await stated(name, seq);
  if (statement === undefined) return undefined;
  if (!equalBytes(sha256(bytes), statement.hash)) throw damaged(name, 'is not what the log states');
  return manifest;
}

async function take(
  { shard, blobs }: LoadOptions,
  name: string,
  manifest: Manifest,
  { state, hydrator }: Pick<Loaded, 'state' | 'hydrator'>,
): Promise<Base> {
  const segments: LiveSegment[] = [];
  const hot: string[] = [];
  for (const segment of manifest.segments) {
    const index = await readIndex(blobs, shard, segment);
    const id = hydrator.register(segment.name, index.hashes);
    segments.push({ ...segment, id });
    for (const address of index.removed) state.actors.removeCold(address);
    for (const [page, addresses] of index.pages.entries()) {
      const location = id * PAGES_PER_SEGMENT_MAX + page;
      for (const address of addresses) state.actors.putCold(address, location);
    }
    for (const address of index.hot) hot.push(address);
  }
  await hydrator.hydrate(state, hot);
  const { tables: tablesName, ids } = manifest;
  return { name, tables: await readTables(blobs, manifest), tablesName, segments, ids };
}
