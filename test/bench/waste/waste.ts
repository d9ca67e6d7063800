/**
 * How much of what is paid is wasted: work that failed, was done again, or went to a worker that matches less than seven
 * tenths, over all that was paid. The same workload for every way of giving work away; docs/waste.md describes it.
 */
import { quantile } from '../measure.ts';
import { type Row, rounded, row } from '../row.ts';
import type { Suite } from '../suite.ts';
import { POLICIES } from './policies.ts';
import { HOUR_MS, TASKS, type Workload, workloadOf } from './workload.ts';
import { type Result, run } from './world.ts';

const SEEDS = [1, 2, 3, 4, 5];
/** The same workers, with so much less success each. */
const LOSS = 0.05;
const LESS_RELIABLE = [', workers 5 points less reliable', LOSS] as const;
/** Cases that are run on the harder workload too. */
const HARDER: ReadonlySet<string> = new Set(['random assignment', 'governor', 'who knows the truth']);

const NAMES = Object.keys(POLICIES) as (keyof typeof POLICIES)[];

export const waste: Suite = {
  benches: NAMES,
  async *run(wanted, { scale }) {
    // Reputations need work to be learned from: fewer tasks say something else.
    const seeds = scale < 1 ? SEEDS.slice(0, 1) : SEEDS;
    for (const [addition, loss] of [['', 0] as const, LESS_RELIABLE]) {
      const workloads = seeds.map((seed) => ({ seed, workload: workloadOf(seed, { loss }) }));
      for (const name of NAMES) {
        if (!wanted(name) || (loss > 0 && !HARDER.has(name))) continue;
        const results = workloads.map(({ seed, workload }) => resultOf(name, seed, workload));
        yield rowOf(`${name}${addition}`, results);
      }
    }
  },
};

function resultOf(name: keyof typeof POLICIES, seed: number, workload: Workload): Result {
  return run(workload, POLICIES[name](seed, workload), seed);
}

function rowOf(name: string, results: readonly Result[]): Row {
  const shares = results.map(({ wastedMicros, costMicros }) => (100 * wastedMicros) / costMicros);
  return row(name, {
    wastePercent: rounded(mean(shares), 1),
    wastePercentMin: rounded(Math.min(...shares), 1),
    wastePercentMax: rounded(Math.max(...shares), 1),
    failedPercent: mean(
      results.map(({ failedMicros, costMicros }) => (100 * failedMicros) / costMicros),
      1,
    ),
    mismatchedPercent: mean(
      results.map(({ mismatchedMicros, costMicros }) => (100 * mismatchedMicros) / costMicros),
      1,
    ),
    costPerCompleted: mean(
      results.map(({ costMicros, completed }) => costMicros / completed / 1e6),
      2,
    ),
    completedPercent: mean(
      results.map(({ completed }) => (100 * completed) / TASKS),
      1,
    ),
    waitHoursP99: mean(
      results.map(({ waitsMs }) => quantile(waitsMs, 0.99) / HOUR_MS),
      1,
    ),
    workersUsed: mean(
      results.map(({ workersUsed }) => workersUsed),
      0,
    ),
  });
}

function mean(values: readonly number[], digits = 9): number {
  return rounded(values.reduce((sum, value) => sum + value, 0) / values.length, digits);
}
