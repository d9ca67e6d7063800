/** The record that makes a node the owner of a shard (P3): the expectation of every earlier owner is stale from it on. */
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import { FabricError } from '#schemas/fabric-error';
import type { Appender } from './append.ts';
import { sealCommit } from './commit.ts';
import { Draft } from './draft.ts';
import { shardErrors } from './errors.ts';
import type { ShardDeps } from './shard-types.ts';
import type { ShardState } from './state.ts';

/**
 * Appends an epoch record, whoever else tries the same at this moment. Returns its sequence and the new epoch.
 * Throws `log_refused` where the log takes nothing, `shards_changed`, and `lease_lost` where another went on with the
 * log and the lease is nobody's or another's by now.
 */
export async function writeEpoch(
  deps: Pick<ShardDeps, 'shard' | 'node' | 'log' | 'clock' | 'shards' | 'checkShards' | 'checkLease'>,
  appender: Appender,
  emptyState: () => ShardState,
): Promise<{ seq: number; epoch: number }> {
  for (;;) {
    const head = await deps.log.head();
    const state = emptyState();
    let shards: number | undefined;
    if (head !== undefined) {
      const last = decodeCommit(head.bytes);
      state.index = last.index;
      state.prev = sha256(head.bytes);
      state.at = last.at;
      state.epoch = last.epoch;
      state.consumed = last.consumed;
      state.acted = last.acted;
      if (last.import?.total !== undefined) {
        // Whoever knows another number has read it before it changed, or the change was given up.
        if (last.import.to !== deps.shards) await deps.checkShards?.();
        else shards = deps.shards;
      }
    }
    const epoch = state.epoch + 1;
    const draft = new Draft(state.index + 1, Math.max(state.at, deps.clock.now()));
    const { consumed, acted } = state;
    const sealed = sealCommit(state, draft, {
      consumed,
      acted,
      epoch,
      node: deps.node,
      ...(shards !== undefined && { shards }),
    });
    const result = await appender.append(sealed.bytes, head?.seq ?? 0);
    switch (result.kind) {
      case 'appended':
        return { seq: result.seq, epoch };
      case 'fenced':
        // An append may wait for its answer longer than the lease lasts, and the next owner has begun: whoever fences
        // that one without a lease leaves the shard to an owner that does not know it until it looks.
        await deps.checkLease?.();
        continue;
      case 'refused':
        throw new FabricError(
          shardErrors.log_refused,
          `The log of shard ${deps.shard} takes no epoch record: ${result.error.message}`,
        );
      case 'abandoned':
        throw new FabricError(shardErrors.shard_moved, `Shard ${deps.shard} was stopped while it started`);
    }
  }
}
