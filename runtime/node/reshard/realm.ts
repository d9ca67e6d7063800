/** The realm that is dealt anew, as every part of the work has it. */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import type { Subjects } from '#runtime/bus/subjects';
import type { Registry } from '#runtime/machine/registry';
import type { BlobStore, Logger, ShardLog, StoredCommit } from '#runtime/shard/ports';
import { emptyState, type ShardState } from '#runtime/shard/state';
import { FabricError } from '#schemas/fabric-error';
import { nodeErrors } from '../errors.ts';
import type { Resources } from '../resources.ts';

export const JS_TIMEOUT_MS = 5_000;

export interface RealmParts {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly before: Subjects;
  readonly after: Subjects;
  readonly registry: Registry;
  readonly blobs: BlobStore;
  readonly logOf: (shard: number) => ShardLog;
  readonly log: Logger;
  readonly resources: Resources;
}

/** Where a shard's log ends. */
export interface Head {
  readonly seq: number;
  readonly index: number;
  readonly prev: Uint8Array;
  readonly at: number;
  readonly epoch: number;
}

export function headOf(last: StoredCommit | undefined): Head {
  if (last === undefined) return { seq: 0, index: -1, prev: new Uint8Array(32), at: 0, epoch: 0 };
  const { index, at, epoch } = decodeCommit(last.bytes);
  return { seq: last.seq, index, prev: sha256(last.bytes), at, epoch };
}

export function emptyShard(shard: number, registry: Registry, subjects: Subjects): ShardState {
  const shardOf = (address: string): number => subjects.shardOf(address);
  return emptyState({ shard, registry, shardOf, dedupeWindow: 0, dedupeSeed: 0 });
}

export function running(why: string): FabricError {
  return new FabricError(nodeErrors.realm_running, `The realm runs: ${why}`);
}
