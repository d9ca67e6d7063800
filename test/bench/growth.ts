/**
 * How asks grow with node processes: a realm of 1, 2 and 4 nodes beside as many limit loops, on the same servers with the
 * same number of copies, in turn.
 */
import { duel } from './duel.ts';
import { limitOn } from './limit/limit.ts';
import { BenchNodes } from './nodes.ts';
import { type BenchCluster, type BenchServer, benchCluster, benchServer } from './rig.ts';
import type { Row } from './row.ts';
import type { Suite } from './suite.ts';

const NODES = [1, 2, 4] as const;
const CALLERS = [1, 64, 512] as const;
const ACTORS = 1_000;
/** Two for each of the most nodes: they stay the same while nodes join. */
const SHARDS = 8;
/** There are many cases, and the whole is to take less than five minutes. */
const ROUNDS_MAX = 3;
const ROUND_MS_MAX = 1_000;

/** What keeps the log. */
interface Storage {
  readonly name: string;
  readonly copies: number;
  open(): Promise<BenchServer | BenchCluster>;
}

const STORAGES: readonly Storage[] = [
  { name: 'R1 synced', copies: 1, open: () => benchServer(true) },
  { name: 'R3', copies: 3, open: () => benchCluster(3, false) },
  { name: 'R3 synced', copies: 3, open: () => benchCluster(3, true) },
];

function benchOf({ name }: Storage, nodes: number, callers: number): string {
  return `${name}, ${nodes} ${nodes === 1 ? 'node' : 'nodes'}, ${callers} callers`;
}

export const growth: Suite = {
  benches: STORAGES.flatMap((storage) =>
    NODES.flatMap((nodes) => CALLERS.map((callers) => benchOf(storage, nodes, callers))),
  ),
  async *run(wanted, { rounds, roundMs, profileDir }) {
    const effort = { rounds: Math.min(rounds, ROUNDS_MAX), roundMs: Math.min(roundMs, ROUND_MS_MAX) };
    for (const storage of STORAGES) {
      const isWanted = (nodes: number): boolean =>
        CALLERS.some((callers) => wanted(benchOf(storage, nodes, callers)));
      if (NODES.some(isWanted)) yield* grow(storage, wanted, effort, profileDir);
    }
  },
};

async function* grow(
  storage: Storage,
  wanted: (bench: string) => boolean,
  effort: { readonly rounds: number; readonly roundMs: number },
  profileDir: string | undefined,
): AsyncGenerator<Row> {
  const { copies } = storage;
  await using bus = await storage.open();
  await using realm = await BenchNodes.start({ bus, copies, shards: SHARDS, profileDir });
  const kernel = {
    ask: (actor: string) => realm.client.ask(`counter/${actor}`, { type: 'inc' }),
    cpu: () => realm.cpu(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  for (const count of NODES) {
    while (realm.nodes.length < count) await realm.add();
    const places = await realm.placed();
    await using limit = await limitOn(bus, { loops: count, copies, profileDir });
    for (const callers of CALLERS) {
      const bench = benchOf(storage, count, callers);
      if (!wanted(bench)) continue;
      const row = await duel({ bench, callers, actors: ACTORS, limit, kernel, ...effort });
      const shardsOnBusiest = Math.max(...[...places.values()].map((shards) => shards.length));
      yield { ...row, shards: SHARDS, shardsOnBusiest };
    }
  }
}
