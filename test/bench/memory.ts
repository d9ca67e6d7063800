/** Spawning and what it leaves in memory. */
import { closedLoop, figures } from './measure.ts';
import { peakRssBytes, usageOf } from './process.ts';
import { type Realm, startRealm } from './realm.ts';
import { rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const SPAWNED_STRICT = 100_000;
const MANY = 1_000_000;
const RESIDENT = 200_000;
const CALLERS = 512;
const MIB = 2 ** 20;
/** A log of this size may have to wait for the disk. */
const PATIENCE_MS = 120_000;

const SPAWN = 'spawn strict, 512 callers';
const MILLION = 'spawn 1M actors relaxed, 512 callers';
const BYTES = 'bytes per idle resident actor';

export const memory: Suite = {
  benches: [SPAWN, MILLION, BYTES],
  async *run(wanted, { scale, profileDir }) {
    const sized = (count: number) => Math.ceil(count * scale);
    if (wanted(SPAWN)) {
      await using realm = await startRealm({ durability: 'strict', profileDir });
      yield row(SPAWN, { ...figures(await spawn(realm, 'a', sized(SPAWNED_STRICT))) });
    }
    if (wanted(MILLION)) {
      await using realm = await startRealm({ durability: 'relaxed', profileDir });
      const count = sized(MANY);
      const sample = await spawn(realm, 'a', count);
      const { shards } = await realm.status();
      const server = realm.serverPid === undefined ? undefined : usageOf(realm.serverPid);
      yield row(MILLION, {
        ...figures(sample),
        actors: shards.reduce((n, { actors }) => n + actors, 0),
        resident: shards.reduce((n, { resident }) => n + resident, 0),
        nodeRssMiB: rounded((await realm.node.usage()).rssBytes / MIB, 0),
        nodePeakRssMiB: mib(peakRssBytes(realm.node.pid)),
        serverRssMiB: mib(server?.rssBytes),
      });
    }
    if (wanted(BYTES)) yield await bytesPerActor(sized(RESIDENT), profileDir);
  },
};

/** Growth of the collected heap; the table of message ids is kept small, for it belongs to messages, not actors. */
async function bytesPerActor(count: number, profileDir: string | undefined) {
  const limits = { residentMax: 10_000_000, dedupeWindow: 2 };
  await using realm = await startRealm({ durability: 'relaxed', limits, profileDir });
  await spawn(realm, 'warm', Math.ceil(count / 10));
  const before = await realm.node.usage('usage after gc');
  await spawn(realm, 'a', count);
  const after = await realm.node.usage('usage after gc');
  return row(BYTES, {
    actors: count,
    heapBytesPerActor: Math.round((after.heapBytes - before.heapBytes) / count),
    rssBytesPerActor: Math.round((after.rssBytes - before.rssBytes) / count),
  });
}

function spawn(realm: Realm, name: string, count: number) {
  return closedLoop({
    callers: CALLERS,
    count,
    operation: (n) => realm.client.ask(`counter/${name}${n}`, { type: 'inc' }, { timeoutMs: PATIENCE_MS }),
  });
}

function mib(bytes: number | undefined): number | null {
  return bytes === undefined ? null : rounded(bytes / MIB, 0);
}
