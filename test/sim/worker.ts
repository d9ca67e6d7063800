/** Runs schedules in a process of its own: with a bug planted, or without. */
import { BUGS } from './bugs/list.ts';
import { plant } from './bugs/plant.ts';
import type { PlanOverrides } from './plan.ts';

export interface Task {
  readonly from: number;
  readonly count: number;
  readonly overrides: PlanOverrides;
}

export interface Failure {
  readonly seed: number;
  readonly violations: readonly string[];
}

export interface Report {
  readonly schedules: number;
  readonly events: number;
  readonly commits: number;
  readonly virtualMs: number;
  readonly failures: readonly Failure[];
}

const [, , name] = process.argv;
const bug = BUGS.find((each) => each.name === name);
if (bug !== undefined) plant(bug);
const { runSchedule } = await import('./schedule.ts');

process.on('message', (task: Task) => {
  void work(task).then((report) => process.send?.(report));
});
process.send?.('ready');

async function work({ from, count, overrides }: Task): Promise<Report> {
  const failures: Failure[] = [];
  let schedules = 0;
  let events = 0;
  let commits = 0;
  let virtualMs = 0;
  for (let seed = from; seed < from + count; seed++) {
    const result = await runSchedule(seed, overrides);
    events += result.events;
    commits += result.commits;
    virtualMs += result.virtualMs;
    if (result.violations.length > 0) failures.push({ seed, violations: result.violations });
    schedules += 1;
    // Who looks for a planted bug has found it.
    if (bug !== undefined && failures.length > 0) break;
  }
  return { schedules, events, commits, virtualMs, failures };
}
