/** The first ask: from `up` on an empty folder to its answer, of the package as users have it and of a checkout. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNatsServer } from '#deploy/nats-server';
import { builtPackage } from './package.ts';
import { SOURCES, startRealm } from './realm.ts';
import { median, type Row, rounded, row } from './row.ts';
import type { Suite } from './suite.ts';

const PACKAGE = 'first ask after up on an empty folder';
const CHECKOUT = "first ask, from a checkout's sources";

export const start: Suite = {
  benches: [PACKAGE, CHECKOUT],
  async *run(wanted, { rounds }) {
    if (wanted(PACKAGE)) yield await measured(PACKAGE, await builtPackage(), rounds);
    if (wanted(CHECKOUT)) yield await measured(CHECKOUT, SOURCES, rounds);
  },
};

async function measured(bench: string, program: string, rounds: number): Promise<Row> {
  await using owned = new AsyncDisposableStack();
  // A cache of its own: the first start compiles, as on a machine that never ran it; those that count do not.
  const cache = await mkdtemp(join(tmpdir(), 'infrafabric-bench-cache-'));
  owned.defer(() => rm(cache, { recursive: true, force: true }));
  const server = await findNatsServer();
  const env = { XDG_CACHE_HOME: cache, INFRAFABRIC_NATS_SERVER: server?.path };
  const cold = await firstAsk(program, env);
  const starts = [];
  for (let i = 0; i < rounds; i++) starts.push(await firstAsk(program, env));
  const times = starts.map(({ ms }) => ms);
  return row(bench, {
    p50Ms: rounded(median(times), 0),
    p99Ms: rounded(Math.max(...times), 0),
    nodeCpuMs: rounded(median(starts.map(({ nodeCpuMs }) => nodeCpuMs)), 0),
    coldMs: rounded(cold.ms, 0),
    runs: rounds,
  });
}

/** `nodeCpuMs`: what its node had used by then, user and system. */
async function firstAsk(
  program: string,
  env: NodeJS.ProcessEnv,
): Promise<{ readonly ms: number; readonly nodeCpuMs: number }> {
  const began = performance.now();
  await using realm = await startRealm({ durability: 'strict', isFirst: true, program, env });
  await realm.client.ask('counter/first', { type: 'inc' });
  const ms = performance.now() - began;
  const { cpuUs } = await realm.node.usage();
  return { ms, nodeCpuMs: cpuUs / 1_000 };
}
