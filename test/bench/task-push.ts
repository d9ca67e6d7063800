/**
 * The push of new tasks to watchers, each with a connection of its own: the time from the wish to add a task until each of
 * them has heard that it is there to be claimed. One task at a time: nothing queues but the news of one and the same task.
 * Who watches is a process of its own, like the one that adds: the rest of the benchmark does not collect its garbage there.
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { quantile } from './measure.ts';
import { startProgram } from './process.ts';
import type { Durability, Realm } from './realm.ts';
import { type Row, rounded, row } from './row.ts';
import type { PushTimes, PushWish } from './task-push-program.ts';

export const PUSH = 'push of a new task';

const WATCHERS = 100;
const PUSHED = 300;
/** The first, not counted: those of programs that have only just started. */
const FIRST = 30;
const PROGRAM = fileURLToPath(new URL('./task-push-program.ts', import.meta.url));

export async function taskPush(realm: Realm, durability: Durability, scale: number): Promise<Row> {
  const pushed = Math.max(10, Math.ceil(PUSHED * scale));
  const wish: PushWish = { address: realm.address, watchers: WATCHERS, first: FIRST, pushed };
  const times = await pushTimes(wish);
  return row(`${PUSH} ${durability} to ${WATCHERS} watchers, from the wish to add it`, {
    p50Ms: at(times.heard, 0.5),
    p99Ms: at(times.heard, 0.99),
    firstP50Ms: at(times.first, 0.5),
    firstP99Ms: at(times.first, 0.99),
    addedP50Ms: at(times.added, 0.5),
    addedP99Ms: at(times.added, 0.99),
  });
}

async function pushTimes(wish: PushWish): Promise<PushTimes> {
  const program = startProgram([PROGRAM, JSON.stringify(wish)]);
  const said: string[] = [];
  program.onLine((line) => said.push(line));
  const [code] = (await once(program.child, 'close')) as [number | null];
  const told = said.find((line) => line.startsWith('{'));
  if (code !== 0 || told === undefined)
    throw new Error(`the watchers ended with ${code}: ${said.join('\n')}`);
  return JSON.parse(told) as PushTimes;
}

function at(times: readonly number[], q: number): number {
  return rounded(quantile(Float64Array.from(times).sort(), q), 3);
}
