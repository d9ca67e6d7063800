/** Replaying a log in a process of the built package, beside reading, hashing and decoding the same commits here. */
import { builtins } from '#actors/index';
import { decodeCommit } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { Subjects } from '#runtime/bus/subjects';
import { REPLAY_WORKER } from '#runtime/cli/replay-worker';
import { replayInJail } from '#runtime/replay/jail';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { realmConfigSchema } from '#schemas/config';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';
import { closedLoop } from './measure.ts';
import { builtPackage, ROOT } from './package.ts';
import { startRealm } from './realm.ts';
import { median, rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const ENTRIES = 1_000_000;
const ACTORS = 10_000;
const CALLERS = 512;
const BENCH = 'replay of 1M entries';

export const replay: Suite = {
  benches: [BENCH],
  async *run(_wanted, { rounds, scale, profileDir }) {
    const count = Math.ceil(ENTRIES * scale);
    const program = await builtPackage();
    await using realm = await startRealm({ durability: 'relaxed', profileDir });
    await closedLoop({
      callers: CALLERS,
      count,
      operation: (n) => realm.client.ask(`counter/k${n % ACTORS}`, { type: 'inc' }),
    });
    const log = await natsLogReader(realm.client.connection, new Subjects('if', 1));
    const { last } = await log.range();
    const kinds = { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } };
    const config = realmConfigSchema.parse({ realm: 'bench', kinds });
    const times: { readonly limitMs: number; readonly ownMs: number }[] = [];
    for (let i = 0; i < rounds; i += 1) {
      let began = performance.now();
      for await (const batch of log.read(1, last)) {
        for (const { bytes } of batch) {
          nodePrimitives.sha256(bytes);
          decodeCommit(bytes);
        }
      }
      const limitMs = performance.now() - began;
      began = performance.now();
      const { divergence, entries } = await replayInJail({
        program: [program, REPLAY_WORKER],
        packageRoot: ROOT,
        order: { config, baseDir: ROOT, driverNames: [...Object.keys(builtins.drivers), ...KERNEL_DRIVERS] },
        log,
        first: 1,
        through: last,
        blobs: { get: async () => undefined, list: async () => [] },
        signal: new AbortController().signal,
      });
      if (divergence !== undefined || entries < count)
        throw new Error(`${entries} entries, ${JSON.stringify(divergence)}`);
      times.push({ limitMs, ownMs: performance.now() - began });
    }
    const perSec = (ms: number): number => Math.round((count * 1_000) / ms);
    yield row(BENCH, {
      opsPerSec: perSec(median(times.map(({ ownMs }) => ownMs))),
      limitOpsPerSec: perSec(median(times.map(({ limitMs }) => limitMs))),
      ratio: rounded(median(times.map(({ limitMs, ownMs }) => limitMs / ownMs)), 2),
      commits: last,
    });
  },
};
