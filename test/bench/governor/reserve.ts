/**
 * Reserve and commit on one budget tree of four levels, beside plain asks of the same realm, in turn.
 *
 * Each is an ask, answered after its commit: `opsPerSec` counts both. `ratio` is that beside plain asks; `pairsPerSec` counts
 * a reservation with its commit as one.
 */
import { type Budgets, openBudgets } from '#actors/governor/budgets';
import type { Client } from '#runtime/client/client';
import { closedLoop, type Figures, figures } from '../measure.ts';
import { median, type Row, rounded, row } from '../row.ts';
import type { Suite } from '../suite.ts';
import { onRealms, underEach } from './on-realms.ts';

const LEAVES = 16;
const WARM_UP_MS = 1_000;

const cases = underEach((durability) =>
  [64, 512].map((callers) => ({
    bench: `reserve + commit ${durability}, ${callers} callers, 4 levels`,
    durability,
    callers,
  })),
);

export const reserve: Suite = {
  benches: cases.map(({ bench }) => bench),
  run: (wanted, { rounds, roundMs, profileDir }) =>
    onRealms(cases, wanted, profileDir, async function* (client, chosen) {
      const budgets = await treeOf(client);
      for (const { bench, callers } of chosen)
        yield await measured(bench, client, budgets, { callers, rounds, roundMs });
    }),
};

/** Realm, swarm, session, task. */
async function treeOf(client: Client): Promise<Budgets> {
  const operator = openBudgets(client);
  const limit = { micros: 1e14, tokens: 1e14 };
  await operator.set('realm', { currency: 'EUR', limit });
  await operator.set('swarm:a', { parent: 'realm', limit });
  for (let n = 0; n < LEAVES; n += 1) {
    await operator.set(`session:${n}`, { parent: 'swarm:a', limit });
    await operator.set(`task:${n}`, { parent: `session:${n}`, limit });
  }
  return operator;
}

interface Effort {
  readonly callers: number;
  readonly rounds: number;
  readonly roundMs: number;
}

async function measured(
  bench: string,
  client: Client,
  budgets: Budgets,
  { callers, rounds, roundMs }: Effort,
): Promise<Row> {
  const pair = async (_n: number, caller: number): Promise<void> => {
    const held = await budgets.reserve(`task:${caller % LEAVES}`, { micros: 1_000, tokens: 100 });
    if (!held.granted) throw held.error;
    await budgets.commit(held.reservation.id, { micros: 900, tokens: 90 });
  };
  const plain = async (_n: number, caller: number): Promise<void> => {
    await client.ask(`counter/k${caller % LEAVES}`, { type: 'inc' });
  };
  const of = async (operation: typeof pair, durationMs: number) =>
    figures(await closedLoop({ callers, durationMs, operation }));
  for (const operation of [pair, plain]) await of(operation, Math.min(WARM_UP_MS, roundMs));
  const pairs: Figures[] = [];
  const plains: Figures[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Each goes first in every other round.
    for (const isPair of round % 2 === 0 ? [true, false] : [false, true])
      (isPair ? pairs : plains).push(await of(isPair ? pair : plain, roundMs));
  }
  const ratio = median(
    pairs.map(({ opsPerSec }, n) => (2 * opsPerSec) / (plains[n]?.opsPerSec ?? Number.NaN)),
  );
  const pairsPerSec = median(pairs.map(({ opsPerSec }) => opsPerSec));
  return row(bench, {
    opsPerSec: 2 * pairsPerSec,
    p50Ms: rounded(median(pairs.map(({ p50Ms }) => p50Ms)) / 2, 3),
    p99Ms: rounded(median(pairs.map(({ p99Ms }) => p99Ms)) / 2, 3),
    limitOpsPerSec: median(plains.map(({ opsPerSec }) => opsPerSec)),
    ratio: rounded(ratio, 2),
    pairsPerSec,
    pairsRatio: rounded(ratio / 2, 2),
  });
}
