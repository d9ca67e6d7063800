/** Builds the bytes of a commit, and checks them against a fold. */
import { decodeCommit, encode, encodeCommit, sha256 } from '#runtime/bus/codec';
import { COMMIT_FORMAT, type Commit, type Import, type SnapshotStatement } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import type { Draft } from './draft.ts';
import { shardErrors } from './errors.ts';
import type { StoredCommit } from './ports.ts';
import type { ShardState } from './state.ts';
import type { Cell } from './table.ts';

export interface SealedCommit {
  readonly commit: Commit;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

export interface Positions {
  readonly consumed: number;
  readonly acted: number;
  readonly epoch: number;
  /** Only in an epoch record. */
  readonly node?: string;
  /** Only in the epoch record that lets an import count. */
  readonly shards?: number;
  readonly import?: Import;
  readonly snapshot?: SnapshotStatement;
}

/** Encodes a draft as the commit after `state`. */
export function sealCommit(state: ShardState, draft: Draft, positions: Positions): SealedCommit {
  const digest = stateDigest(draft.touched);
  const commit: Commit = {
    format: COMMIT_FORMAT,
    shard: state.shard,
    index: draft.index,
    prev: state.prev,
    at: draft.at,
    ...positions,
    entries: draft.entries,
    ...(draft.mail.length > 0 && { mail: draft.mail }),
    ...(draft.effects.length > 0 && { effects: draft.effects }),
    ...(draft.timers.length > 0 && { timers: draft.timers }),
    ...(digest !== undefined && { digest }),
  };
  const bytes = encodeCommit(commit);
  return { commit, bytes, hash: sha256(bytes) };
}

/** SHA-256 over address, machine and encoded state of every touched actor; undefined where none was. */
export function stateDigest(touched: ReadonlySet<Cell>): Uint8Array | undefined {
  if (touched.size === 0) return undefined;
  const parts: unknown[] = [];
  for (const cell of touched) {
    parts.push(cell.address, cell.machine.ref, cell.machine.persist(cell.state));
    if (cell.failed !== undefined) parts.push(cell.failed);
  }
  return sha256(encode(parts));
}

/** Decodes a stored commit and checks that it follows `state`. Throws `log_corrupt`. */
export function openCommit(state: ShardState, stored: StoredCommit): SealedCommit {
  const commit = decodeCommit(stored.bytes);
  const where = { shard: state.shard, seq: stored.seq, index: commit.index };
  if (commit.shard !== state.shard || commit.index !== state.index + 1) {
    throw new FabricError(
      shardErrors.log_corrupt,
      `Message ${stored.seq} of the log is commit ${commit.index} of shard ${commit.shard}; commit ${state.index + 1} of shard ${state.shard} was due`,
      { details: where },
    );
  }
  if (!equalBytes(commit.prev, state.prev)) {
    throw new FabricError(
      shardErrors.log_corrupt,
      `Commit ${commit.index} of shard ${state.shard} does not carry the hash of the commit before it`,
      { details: where },
    );
  }
  return { commit, bytes: stored.bytes, hash: sha256(stored.bytes) };
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && Buffer.compare(a, b) === 0;
}
