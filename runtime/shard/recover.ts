/**
 * Recovery: the last snapshot, then the log after it, folded by the same step that wrote it. Every commit's link and
 * state digest is checked: a changed machine or a damaged log stops the shard instead of going on from a wrong state.
 */
import { decodeBody, decodeCommit } from '#runtime/bus/codec';
import type { Commit, Entry, Import } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { bodyName } from './bodies.ts';
import { equalBytes, openCommit, stateDigest } from './commit.ts';
import { Draft } from './draft.ts';
import { shardErrors } from './errors.ts';
import type { Hydrator } from './hydrate.ts';
import { putAside, takeOver } from './import.ts';
import { type Parcel, parcelsOf } from './mailer.ts';
import type { BlobStore, EdgeGate, ShardLog, StoredCommit } from './ports.ts';
import { readThrough } from './read-through.ts';
import { rememberIds, settle } from './settle.ts';
import type { Tables } from './snapshot-format.ts';
import type { ShardState } from './state.ts';
import { applyWork } from './step.ts';
import type { Cell } from './table.ts';
import { workOf } from './work.ts';

/** Sets the tables of a snapshot; its actors are in the state already. */
export function applyTables(state: ShardState, tables: Tables): void {
  state.index = tables.index;
  state.prev = tables.prev;
  state.seq = tables.seq;
  state.at = tables.at;
  state.epoch = tables.epoch;
  state.consumed = tables.consumed;
  state.acted = tables.acted;
  for (const [ref, count] of tables.versions ?? []) state.actors.versions.set(ref, count);
  state.needs.begin(state.actors.versions.keys());
  for (const [key, mark] of tables.senders) state.senders.set(key, mark);
  for (const local of tables.localMail) state.localMail.set(`${local.index}/${local.n}`, local);
  for (const [shard, mark] of tables.marks) state.marks.set(shard, mark);
  for (const [shard, index] of tables.sent) state.sent.set(shard, index);
}

/** Reads the ids of the window back from the log: they are in the commits, and in no snapshot. Throws `log_unread`. */
export async function readIds(state: ShardState, log: ShardLog, tables: Tables): Promise<void> {
  if (tables.idsFromSeq === 0) return;
  for await (const { seq, bytes } of readThrough(log, state.shard, tables.idsFromSeq - 1, tables.seq)) {
    rememberIds(state, decodeCommit(bytes), seq);
  }
}

/** What a fold reads beside the log. */
export interface Sources {
  readonly hydrator: Pick<Hydrator, 'hydrate'>;
  readonly blobs: Pick<BlobStore, 'get'>;
  readonly eventOf: EdgeGate['eventOf'];
  /** Looks on; recovery has none. */
  readonly watch?: FoldWatch;
}

/** What looks on while a log is folded again: replay. */
export interface FoldWatch {
  /** Called before the step of each entry; the draft holds those before it. */
  before(entry: Entry, draft: Draft): void;
  /** Called after it. */
  after?(entry: Entry, draft: Draft): void;
  /** A part of an import, which does not count yet. Throws where it is not what it should be. */
  imported(taken: Import, cells: readonly Cell[]): void;
  /** A commit gives another state digest than it recorded. True: go on from what the fold made. */
  diverged(commit: Commit, draft: Draft): boolean;
}

/**
 * Folds the log after the state's position through `throughSeq`. Returns what of it must still be sent outside.
 * `checkWanted` is called after every commit and may throw to end it early.
 */
export async function foldLog(
  state: ShardState,
  log: ShardLog,
  throughSeq: number,
  sources: Sources,
  waiting: readonly Parcel[],
  checkWanted: () => void,
): Promise<Parcel[]> {
  let parcels = [...waiting];
  for await (const stored of readThrough(log, state.shard, state.seq, throughSeq)) {
    parcels.push(...(await foldCommit(state, stored, sources)));
    if (state.acted >= 0 && parcels.length > 1024) parcels = parcels.filter((p) => p.index > state.acted);
    checkWanted();
  }
  return parcels.filter((p) => p.index > state.acted);
}

/** Folds one commit that follows the state. Throws `log_corrupt`, `diverged`, `blob_missing`. */
export async function foldCommit(
  state: ShardState,
  stored: StoredCommit,
  sources: Sources,
): Promise<Parcel[]> {
  const { commit, hash } = openCommit(state, stored);
  const cold = coldIn(state, commit);
  if (cold !== undefined) await sources.hydrator.hydrate(state, cold);
  const draft = new Draft(commit.index, commit.at);
  const { watch } = sources;
  if (commit.import !== undefined) {
    const cells = putAside(state, commit.import);
    for (const cell of cells) draft.touched.add(cell);
    watch?.imported(commit.import, cells);
  }
  for (const entry of commit.entries) {
    const event =
      entry.blob === undefined || entry.op === 'dead' ? entry.event : await bodyOf(entry, sources);
    watch?.before(entry, draft);
    applyWork(state, draft, workOf(entry, event));
    watch?.after?.(entry, draft);
  }
  keepIncarnations(state, commit);
  const digest = stateDigest(draft.touched);
  if (!sameDigest(digest, commit.digest) && watch?.diverged(commit, draft) !== true)
    throw diverged(state, commit.index, stored.seq, draft, commit.entries);
  const parcels = parcelsOf(commit, state.shardOf, (target) => state.sent.get(target) ?? -1);
  settle(state, commit, hash, stored.seq);
  if (commit.node !== undefined) takeOver(state, commit);
  rememberIds(state, commit, stored.seq);
  return parcels;
}

/**
 * S3: a parent waits for the start of its child that the recorded mail names. In the draft that mail may lie at another
 * place, since a fold does not send again what no machine stepped: what was due, what was held, what could not begin.
 */
function keepIncarnations({ actors }: ShardState, { mail }: Commit): void {
  for (const { op, to, parent } of mail ?? []) {
    if (op !== 'spawn' || parent?.incarnation === undefined || parent.supervised === true) continue;
    const cell = actors.cell(parent.address);
    if (cell?.children?.get(parent.childId)?.address !== to) continue;
    cell.children.set(parent.childId, { address: to, incarnation: parent.incarnation });
  }
}

/** The commit's actors that are passivated; undefined where none is. */
function coldIn({ actors }: ShardState, { entries }: Commit): Set<string> | undefined {
  if (actors.resident === actors.size) return undefined;
  let cold: Set<string> | undefined;
  for (const { actor } of entries) {
    if (typeof actors.peek(actor) !== 'number') continue;
    cold ??= new Set();
    cold.add(actor);
  }
  return cold;
}

/** The event of an entry whose body lies in the blob store: the body itself, or an envelope's. */
async function bodyOf(entry: Entry, sources: Sources): Promise<unknown> {
  const bytes = await sources.blobs.get(bodyName(entry.blob?.hash ?? ''));
  if (bytes === undefined) {
    throw new FabricError(shardErrors.blob_missing, `The body of an event of ${entry.actor} is gone`, {
      details: { actor: entry.actor, blob: entry.blob },
    });
  }
  const value = decodeBody(bytes, entry.blob?.contentType);
  const isEnvelope = typeof value === 'object' && value !== null && 'performative' in value;
  return isEnvelope ? sources.eventOf(value) : value;
}

function sameDigest(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b);
}

function diverged(
  state: ShardState,
  index: number,
  seq: number,
  draft: Draft,
  stored: readonly Entry[],
): FabricError {
  const at = stored.findIndex((e, n) => JSON.stringify(e.after) !== JSON.stringify(draft.entries[n]?.after));
  const entry = stored[Math.max(at, 0)];
  return new FabricError(
    shardErrors.diverged,
    `Replaying commit ${index} of shard ${state.shard} gives another state than it recorded, at ${entry?.actor ?? 'an unknown actor'} (${entry?.machine ?? 'no machine'})`,
    {
      details: {
        shard: state.shard,
        index,
        seq,
        entry: at,
        actor: entry?.actor,
        recorded: entry?.after,
        replayed: draft.entries[Math.max(at, 0)]?.after,
      },
    },
  );
}
