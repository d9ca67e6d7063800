/**
 * Reading a shard's log up to a commit that is known to stand there. A connection that breaks, or a server that lags behind
 * the leader, gives less than there is and says nothing of it: an id that is missed then would count twice.
 */
import { FabricError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import type { ShardLog, StoredCommit } from './ports.ts';

/** Commits after `afterSeq` through `throughSeq`, which is one of them. Throws `log_unread` where they end before. */
export async function* readThrough(
  log: Pick<ShardLog, 'read'>,
  shard: number,
  afterSeq: number,
  throughSeq: number,
): AsyncGenerator<StoredCommit> {
  let last = afterSeq;
  if (throughSeq <= afterSeq) return;
  for await (const stored of log.read(afterSeq, throughSeq)) {
    last = stored.seq;
    yield stored;
  }
  if (last === throughSeq) return;
  throw new FabricError(
    shardErrors.log_unread,
    `The log of shard ${shard} could be read through message ${last}; it goes on to ${throughSeq}`,
    { details: { shard, seq: last, throughSeq } },
  );
}
