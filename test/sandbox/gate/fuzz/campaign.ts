/**
 * A campaign: batches of random modules through one process for each tier of the engine, and mutants of them here.
 * The processes end with it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type Comparison, compare } from './compare.ts';
import { type MutantFate, tryMutant } from './mutants.ts';
import { TIERS } from './tiers.ts';

/** How many modules a process is asked for at a time. */
const BATCH = 200;

export interface Tally {
  modules: number;
  /** By tier. */
  readonly compared: Record<string, number>;
  readonly mutants: Record<MutantFate, number>;
}

interface Order {
  readonly seeds: readonly number[];
}

/** Resolves to what was done. Throws at the first difference, with its seed. */
export async function campaign(
  modules: number,
  seed: number,
  progress: (tally: Tally) => void,
): Promise<Tally> {
  const tally: Tally = { modules: 0, compared: {}, mutants: { refused: 0, passed: 0, invalid: 0 } };
  const tiers = TIERS.map((tier) => ({ ...tier, child: engine(tier.execArgv) }));
  try {
    for (let from = seed; from < seed + modules; from += BATCH) {
      const seeds = Array.from(
        { length: Math.min(BATCH, seed + modules - from) },
        (_, index) => from + index,
      );
      const answers = await Promise.all(
        tiers.map(async ({ name, child, every }) => ({
          name,
          seen: await ask(child, { seeds: seeds.filter((each) => each % every === 0) }),
        })),
      );
      for (const { name, seen } of answers) tally.compared[name] = (tally.compared[name] ?? 0) + seen.length;
      mustAgree(answers);
      for (const each of seeds) tally.mutants[tryMutant(each)] += 1;
      tally.modules += seeds.length;
      progress(tally);
    }
    return tally;
  } finally {
    for (const { child } of tiers) child.kill();
  }
}

/** The other side: answers orders until its parent goes. */
export function serveOrders(): void {
  process.on('message', ({ seeds }: Order) => process.send?.(seeds.map(compare)));
}

function engine(execArgv: readonly string[]): ChildProcess {
  const main = new URL('main.ts', import.meta.url);
  return fork(main, ['--engine'], { execArgv: [...execArgv], serialization: 'advanced' });
}

async function ask(child: ChildProcess, order: Order): Promise<readonly Comparison[]> {
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(
      `The engine ended with ${code ?? signal} in modules ${order.seeds[0]} to ${order.seeds.at(-1)}`,
    );
  });
  child.send(order);
  const [answer] = await Promise.race([once(child, 'message'), ended]);
  return answer as readonly Comparison[];
}

function mustAgree(
  answers: readonly { readonly name: string; readonly seen: readonly Comparison[] }[],
): void {
  const first = new Map<number, { readonly name: string; readonly digest: string }>();
  for (const { name, seen } of answers) {
    for (const { seed, digest, difference } of seen) {
      if (difference !== undefined)
        throw new Error(`Module ${seed} on ${name} differs when metered: ${difference}`);
      const other = first.get(seed);
      if (other === undefined) first.set(seed, { name, digest });
      else if (other.digest !== digest)
        throw new Error(`Module ${seed} differs between ${other.name} and ${name}`);
    }
  }
}
