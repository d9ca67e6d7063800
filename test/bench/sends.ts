/** Sends: published and acknowledged by the server, and then handled by their actors. */
import { setTimeout as pause } from 'node:timers/promises';
import { Subjects } from '#runtime/bus/subjects';
import { closedLoop, figures } from './measure.ts';
import { type Durability, type Realm, startRealm } from './realm.ts';
import { median, type Row, row } from './row.ts';
import type { Suite } from './suite.ts';

const ACTORS = 100;
const POLL_MS = 5;
const WARM_UP_MS = 1_000;

const cases = (['strict', 'relaxed'] as const).flatMap((durability) =>
  [64, 512].map((callers) => ({ bench: `send ${durability}, ${callers} callers`, durability, callers })),
);

export const sends: Suite = {
  benches: cases.map(({ bench }) => bench),
  async *run(wanted, { rounds, roundMs, profileDir }) {
    for (const durability of ['strict', 'relaxed'] satisfies Durability[]) {
      const chosen = cases.filter((one) => one.durability === durability && wanted(one.bench));
      if (chosen.length === 0) continue;
      await using realm = await startRealm({ durability, profileDir });
      for (const { bench, callers } of chosen) {
        await round(realm, callers, Math.min(WARM_UP_MS, roundMs));
        const all: Awaited<ReturnType<typeof round>>[] = [];
        for (let i = 0; i < rounds; i++) all.push(await round(realm, callers, roundMs));
        yield medians(bench, all);
      }
    }
  },
};

function medians(bench: string, all: Awaited<ReturnType<typeof round>>[]): Row {
  const of = (key: keyof (typeof all)[number]) => median(all.map((one) => one[key] ?? Number.NaN));
  return row(bench, {
    opsPerSec: of('opsPerSec'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    handledPerSec: of('handledPerSec'),
    cpuUsPerSend: of('cpuUsPerSend'),
  });
}

/** Handled: from the first send until the last one is consumed by a commit. */
async function round(realm: Realm, callers: number, durationMs: number) {
  const { shardCount = 1 } = await realm.status();
  const lastSeq: number[] = Array.from({ length: shardCount }, () => 0);
  const cpuBefore = (await realm.node.usage()).cpuUs;
  const began = performance.now();
  const sample = await closedLoop({
    callers,
    durationMs,
    operation: async (n) => {
      const address = `counter/s${n % ACTORS}`;
      const { seq } = await realm.client.send(address, { type: 'inc' });
      const shard = new Subjects('if', shardCount).shardOf(address);
      lastSeq[shard] = Math.max(lastSeq[shard] ?? 0, seq);
    },
  });
  for (;;) {
    const { shards } = await realm.status();
    if (shards.every(({ shard, consumed }) => consumed >= (lastSeq[shard] ?? 0))) break;
    await pause(POLL_MS);
  }
  const handledMs = performance.now() - began;
  const cpuUs = (await realm.node.usage()).cpuUs - cpuBefore;
  return {
    ...figures(sample),
    handledPerSec: Math.round((sample.ops * 1000) / handledMs),
    cpuUsPerSend: Math.round((cpuUs / sample.ops) * 10) / 10,
  };
}
