/** Recovery: a node that starts over a long log without a snapshot. */
import { closedLoop } from './measure.ts';
import { startRealm } from './realm.ts';
import { rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const ENTRIES = 1_000_000;
const ACTORS = 10_000;
const CALLERS = 4_096;
/** No snapshot is written before: all of the log is folded. */
const NEVER = 10_000_000;
const LIMITS = { snapshotEvery: NEVER, queueMax: 8_192 };

/** A log of this size may have to wait for the disk. */
const PATIENCE_MS = 120_000;

const BENCH = 'recovery of 1M entries';

export const recovery: Suite = {
  benches: [BENCH],
  async *run(_wanted, { scale, profileDir }) {
    const count = Math.ceil(ENTRIES * scale);
    await using realm = await startRealm({ durability: 'relaxed', limits: LIMITS, profileDir });
    const built = await closedLoop({
      callers: CALLERS,
      count,
      operation: (n) =>
        realm.client.ask(`counter/k${n % ACTORS}`, { type: 'inc' }, { timeoutMs: PATIENCE_MS }),
    });
    const before = performance.now();
    const lines = await realm.restart();
    const restartMs = performance.now() - before;
    // The shards of a node recover side by side: the slowest is the wall time of all.
    const foldMs = Math.max(...lines.filter((l) => l.event === 'shard_recovered').map((l) => l.ms ?? 0));
    const { reply } = await realm.client.ask('counter/k0', { type: 'get' });
    const expected = Math.ceil(count / ACTORS);
    if ((reply as { n: number }).n !== expected)
      throw new Error(`k0 is ${JSON.stringify(reply)}, not ${expected}`);
    yield row(BENCH, {
      opsPerSec: Math.round((count * 1000) / foldMs),
      entries: count,
      foldMs: rounded(foldMs, 0),
      stopAndStartMs: rounded(restartMs, 0),
      buildOpsPerSec: Math.round((count * 1000) / built.elapsedMs),
    });
  },
};
