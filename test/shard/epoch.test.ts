/** Who begins a shard fences whoever owned it before, and nobody once its own lease has gone (P3). */
import test from 'ava';
import { decodeCommit } from '#runtime/bus/codec';
import { createRegistry } from '#runtime/machine/registry';
import { Appender } from '#runtime/shard/append';
import { writeEpoch } from '#runtime/shard/epoch';
import type { ShardLog } from '#runtime/shard/ports';
import { emptyState } from '#runtime/shard/state';
import { MemoryBus, VirtualClock } from '#runtime/testing/testing';

/** A node whose first append gets no answer while another begins the same shard. */
function race() {
  const clock = new VirtualClock();
  const bus = new MemoryBus({ shards: 1, clock });
  const quiet = (): void => undefined;
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const stateOptions = { shard: 0, registry: createRegistry([]), shardOf: () => 0, dedupeWindow: 0 };
  const begin = (node: string, log: ShardLog, checkLease?: () => Promise<void>) =>
    writeEpoch(
      { shard: 0, node, log, clock, ...(checkLease && { checkLease }) },
      new Appender(log, clock, logger),
      () => emptyState({ ...stateOptions, dedupeSeed: 0 }),
    );
  const log = bus.log(0);
  let isFirst = true;
  const slow: ShardLog = {
    ...log,
    append: async (bytes, expectedSeq) => {
      if (!isFirst) return await log.append(bytes, expectedSeq);
      isFirst = false;
      await begin('quick', log);
      return { kind: 'unclear', reason: 'No answer' };
    },
  };
  const owners = () => bus.commits(0).map(({ bytes }) => decodeCommit(bytes).node);
  return { owners, beginSlow: (checkLease?: () => Promise<void>) => begin('slow', slow, checkLease) };
}

test('who is overtaken while it begins fences the other as long as the lease is its own', async (t) => {
  const { owners, beginSlow } = race();
  let looks = 0;
  const { epoch } = await beginSlow(async () => {
    looks += 1;
  });
  t.is(epoch, 2);
  t.is(looks, 1);
  t.deepEqual(owners(), ['quick', 'slow']);
});

test('who is overtaken while it begins, and whose lease has gone, leaves the shard to the other', async (t) => {
  const { owners, beginSlow } = race();
  await t.throwsAsync(
    beginSlow(() => Promise.reject(new Error('lost'))),
    { message: 'lost' },
  );
  t.deepEqual(owners(), ['quick']);
});
