/** Looks for the seed that shows a planted bug. */
import { runPool } from '../pool.ts';
import type { Failure } from '../worker.ts';
import { BUGS, type Bug } from './list.ts';

/** A bug that no seed shows within this is not found. */
const FIND_MS_MAX = 180_000;

/** Most show within a few. */
const CHUNK = 10;

export interface Found {
  /** Of the lowest seed that shows it among those that ran. */
  readonly failure: Failure | undefined;
  readonly schedules: number;
  readonly seconds: number;
}

/** The bug of that name. Throws with the names there are. */
export function namedBugs(name: string): readonly Bug[] {
  const found = BUGS.filter((bug) => bug.name === name);
  if (found.length > 0) return found;
  throw new RangeError(`There is no bug "${name}"; there are: ${BUGS.map((bug) => bug.name).join(', ')}`);
}

/** Runs seeds from 1 on until one shows the bug. */
export async function findBug(
  bug: Bug,
  workers: number,
  schedules = Number.MAX_SAFE_INTEGER,
): Promise<Found> {
  const startedAt = performance.now();
  let failure: Failure | undefined;
  let count = 0;
  await runPool({
    base: 1,
    schedules,
    chunk: CHUNK,
    limitMs: FIND_MS_MAX,
    workers,
    bug: bug.name,
    heard: (report) => {
      count += report.schedules;
      for (const each of report.failures)
        if (failure === undefined || each.seed < failure.seed) failure = each;
      return failure === undefined;
    },
  });
  return { failure, schedules: count, seconds: (performance.now() - startedAt) / 1000 };
}
