/** What short tasks of one tenant feel while others burn every core. */
import type { Jail } from '#runtime/sandbox/jail/pool';
import { LIMITS, running, taskOf } from '../../rig/jail.ts';
import { ATTACKER, attackWith } from './attack.ts';

const RUNS = 400;
/** As many as a pool of four leaves beside the one who is measured. */
const ATTACKERS = 3;
const BURN_MS = 2_000;
const RUNAWAYS = 30;
const RUNAWAY_MS = 200;

export interface Feeling {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function feel(jail: Jail): Promise<{ readonly alone: Feeling; readonly besides: Feeling }> {
  const alone = await measure(jail);
  const over = new AbortController();
  const burning = Array.from({ length: ATTACKERS }, (_, n) => burn(jail, n, over.signal));
  const besides = await measure(jail);
  over.abort();
  await Promise.all(burning);
  return { alone, besides };
}

/** How long after its limit a runaway is answered, which is when no thread of it can run again. */
export async function measureLateness(jail: Jail): Promise<Feeling> {
  const limits = { ...LIMITS, wallMs: RUNAWAY_MS };
  const times: number[] = [];
  for (let n = 0; n < RUNAWAYS; n += 1) {
    const { ms } = await jail.run(taskOf(running('for (;;);'), { tenant: ATTACKER, limits }));
    times.push(ms - RUNAWAY_MS);
  }
  return feelingOf(times);
}

async function burn(jail: Jail, n: number, signal: AbortSignal): Promise<void> {
  const limits = { ...LIMITS, wallMs: BURN_MS };
  while (!signal.aborted) {
    await attackWith(jail, running('for (;;);'), { tenant: `${ATTACKER}-${n}`, limits, signal });
  }
}

async function measure(jail: Jail): Promise<Feeling> {
  const task = taskOf(running('return input;'), { tenant: 'victim' });
  await jail.run(task);
  const times: number[] = [];
  for (let n = 0; n < RUNS; n += 1) {
    const startedAt = performance.now();
    await jail.run(task);
    times.push(performance.now() - startedAt);
  }
  return feelingOf(times);
}

function feelingOf(times: number[]): Feeling {
  times.sort((a, b) => a - b);
  const at = (part: number): number => times[Math.floor(times.length * part)] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
