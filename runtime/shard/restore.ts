/** The state of a shard from its snapshot and its log. */
import { decodeCommit } from '#runtime/bus/codec';
import { FabricError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import type { Parcel } from './mailer.ts';
import type { BlobStore, EdgeGate, Logger, ShardLog } from './ports.ts';
import { applyTables, foldLog, readIds } from './recover.ts';
import { resumeIds } from './remembered-ids.ts';
import { damagedName } from './snapshot-format.ts';
import { type Base, isDamage, type Loaded, loadSnapshot, statedIn } from './snapshot-load.ts';
import type { ShardState } from './state.ts';

export interface RestoreOptions {
  readonly shard: number;
  readonly log: ShardLog;
  readonly blobs: BlobStore;
  readonly eventOf: EdgeGate['eventOf'];
  readonly logger: Logger;
  /** Where the log ends, and the epoch of who reads it. */
  readonly throughSeq: number;
  readonly epoch: number;
  /** Ids were looked for under this seed before: no other will do. */
  readonly seed?: number | undefined;
  readonly empty: () => ShardState;
  /** Called after every commit; may throw to end it early. */
  readonly checkWanted: () => void;
}

export interface Restored extends Loaded {
  /** What must still be sent outside. */
  readonly parcels: readonly Parcel[];
  /** Commits that were folded. */
  readonly folded: number;
  /** The ids are those of the snapshot, and what was folded. */
  readonly isResumed: boolean;
}

/** Throws `shard_moved`, `log_corrupt`, `diverged`, `blob_missing`, `log_unread`, and what the stores throw. */
export async function restoreShard(options: RestoreOptions): Promise<Restored> {
  for (;;) {
    const loaded = await load(options);
    try {
      return { ...loaded, ...(await fold(options, loaded)) };
    } catch (thrown) {
      if (!isDamage(thrown) || loaded.base === undefined) throw thrown;
      // Found on a page that the fold needed: without this snapshot, then.
      await passedOver(options, loaded.base.name, thrown);
      await distrust(options.blobs, loaded.base.name, thrown);
    }
  }
}

/** Leaves word that a snapshot must not be begun with again: something that it names is damaged. */
export async function distrust(
  blobs: Pick<BlobStore, 'put'>,
  manifest: string,
  damage: FabricError,
): Promise<void> {
  await blobs.put(damagedName(manifest), Buffer.from(damage.message, 'utf8'));
}

async function load(options: RestoreOptions): Promise<Loaded> {
  const { shard, blobs, log, throughSeq, epoch, empty } = options;
  return await loadSnapshot({
    shard,
    blobs,
    empty,
    passedOver: (snapshot, damage) => passedOver(options, snapshot, damage),
    stated: statedIn(log, shard, throughSeq),
    throughSeq,
    epoch,
  });
}

async function fold(
  options: RestoreOptions,
  { state, hydrator, base }: Loaded,
): Promise<Pick<Restored, 'parcels' | 'folded' | 'isResumed'>> {
  const { log, blobs, eventOf, throughSeq, checkWanted } = options;
  let isResumed = false;
  if (base !== undefined) {
    applyTables(state, base.tables);
    isResumed = await remember(options, state, base);
  }
  const from = state.index;
  const sources = { hydrator, blobs, eventOf };
  const parcels = await foldLog(state, log, throughSeq, sources, base?.tables.parcels ?? [], checkWanted);
  return { parcels, folded: state.index - from, isResumed };
}

/** Sets the ids that were remembered at a snapshot. False where they came from the log (I2). Throws `shard_moved`. */
async function remember(
  options: RestoreOptions,
  state: ShardState,
  { name, tables, ids }: Base,
): Promise<boolean> {
  const { log, blobs, seed } = options;
  if (state.dedupe.isOff) return false;
  if (ids !== undefined && (seed === undefined || seed === ids.seed)) {
    try {
      await resumeIds(state, blobs, ids);
      return true;
    } catch (thrown) {
      if (!isDamage(thrown)) throw thrown;
      await passedOver(options, name, thrown);
    }
  }
  await readIds(state, log, tables);
  return false;
}

/** Throws `shard_moved` where a later owner has let go of what is missing (N3): then nothing is damaged. */
async function passedOver(
  { shard, log, epoch, logger }: RestoreOptions,
  snapshot: string,
  damage: FabricError | undefined,
): Promise<void> {
  const head = damage === undefined ? undefined : await log.head();
  if (head !== undefined && decodeCommit(head.bytes).epoch > epoch) {
    throw new FabricError(shardErrors.shard_moved, `Shard ${shard} has another owner since epoch ${epoch}`);
  }
  if (damage === undefined) logger.info({ shard, snapshot }, 'snapshot_not_stated');
  else logger.error({ shard, snapshot, error: damage.toWire() }, 'snapshot_damaged');
}
