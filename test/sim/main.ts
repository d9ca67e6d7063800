/**
 * `npm run sim`: schedules of a simulated realm, each from its seed.
 *
 *   npm run sim                          a minute of fresh seeds
 *   npm run sim -- --minutes 30          longer
 *   npm run sim -- --schedules 1000 --base 1
 *   npm run sim -- --seed 7              one schedule again, with its trace where it fails (--trace: always)
 *   npm run sim -- --seed 7   --ops 10   the same with fewer operations, to find the smallest that fails
 *   npm run sim -- --bugs                every planted bug, and the first seed that finds it
 *   npm run sim -- --bug fence_off       the same of one of them; with --seed: that schedule with the bug
 *
 * `--json` for a line each. Ends with 1 where a promise was broken, or a bug was not found.
 */
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { findBug, namedBugs } from './bugs/find.ts';
import { BUGS } from './bugs/list.ts';
import { plant } from './bugs/plant.ts';
import type { PlanOverrides } from './plan.ts';
import { runPool } from './pool.ts';
import type { Failure, Report } from './worker.ts';

const SEED_MAX = 2 ** 31;
const VIOLATIONS_SHOWN = 5;
const REDRAWS_PER_SECOND = 4;

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string' },
    base: { type: 'string' },
    minutes: { type: 'string' },
    schedules: { type: 'string' },
    ops: { type: 'string' },
    faults: { type: 'string' },
    workers: { type: 'string' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    bug: { type: 'string' },
    bugs: { type: 'boolean', default: false },
  },
});
const overrides: PlanOverrides = {
  ...(flags.ops !== undefined && { ops: Number(flags.ops) }),
  ...(flags.faults !== undefined && { faults: Number(flags.faults) }),
};
const workers = flags.workers === undefined ? availableParallelism() : Number(flags.workers);

const isSound =
  flags.seed !== undefined
    ? await one(Number(flags.seed))
    : flags.bugs || flags.bug !== undefined
      ? await bugs()
      : await many();
process.exitCode = isSound ? 0 : 1;

/** One schedule, in this process. */
async function one(seed: number): Promise<boolean> {
  const [bug] = flags.bug === undefined ? [] : namedBugs(flags.bug);
  if (bug !== undefined) plant(bug);
  const { runSchedule } = await import('./schedule.ts');
  const { trace, ...result } = await runSchedule(seed, { ...overrides, trace: true });
  const failed = result.violations.length > 0;
  if (flags.json) {
    print(JSON.stringify({ ...result, ...((failed || flags.trace) && { trace }) }));
  } else {
    if (failed || flags.trace) for (const line of trace) print(line);
    print(`seed ${seed}: ${JSON.stringify(result.plan)}`);
    print(`${result.events} events, ${result.commits} commits, trace sha256 ${result.digest}`);
    for (const what of result.violations) print(`violation: ${what}`);
    if (!failed) print('every promise held');
  }
  return !failed;
}

async function many(): Promise<boolean> {
  const schedules = flags.schedules === undefined ? SEED_MAX : Number(flags.schedules);
  const minutes = Number(flags.minutes ?? (flags.schedules === undefined ? 1 : Number.POSITIVE_INFINITY));
  const base = Number(flags.base ?? randomInt(SEED_MAX));
  const startedAt = performance.now();
  const failures: Failure[] = [];
  const sum = { schedules: 0, events: 0, commits: 0, virtualMs: 0 };
  const bar = barOf(Number.isFinite(minutes) ? minutes * 60_000 : schedules, Number.isFinite(minutes));
  if (!flags.json) print(`base seed ${base}`);
  await runPool({
    base,
    schedules,
    limitMs: minutes * 60_000,
    workers,
    overrides,
    heard: (report) => {
      add(sum, report);
      for (const failure of report.failures) {
        failures.push(failure);
        if (flags.json) print(JSON.stringify({ failure }));
        else tell(failure);
      }
      bar(
        Number.isFinite(minutes) ? performance.now() - startedAt : sum.schedules,
        sum.schedules,
        failures.length,
      );
      return true;
    },
  });
  bar(undefined, 0, 0);
  const seconds = (performance.now() - startedAt) / 1000;
  const perMinute = Math.round((sum.schedules / seconds) * 60);
  const total = { base, ...sum, seconds: Math.round(seconds), perMinute, failed: failures.length };
  if (flags.json) print(JSON.stringify(total));
  else {
    print(
      `${sum.schedules} schedules from seed ${base}, ${perMinute} a minute: ${sum.commits} commits, ` +
        `${(sum.virtualMs / 3_600_000).toFixed(1)} h of their time; ${failures.length} failed`,
    );
  }
  return failures.length === 0;
}

/** Every planted bug, or one: the first seed that finds it, from 1 on, within a minute. */
async function bugs(): Promise<boolean> {
  let isSound = true;
  for (const bug of flags.bug === undefined ? BUGS : namedBugs(flags.bug)) {
    const found = await findBug(bug, workers);
    isSound &&= found.failure !== undefined;
    if (flags.json) print(JSON.stringify({ bug: bug.name, breaks: bug.breaks, ...found }));
    else if (found.failure === undefined) print(`${bug.name}: NOT FOUND in ${found.schedules} schedules`);
    else {
      print(`${bug.name}: seed ${found.failure.seed} after ${found.seconds.toFixed(1)} s (${bug.breaks})`);
      print(`  ${short(found.failure.violations[0] ?? '')}`);
    }
  }
  return isSound;
}

function add(
  sum: { schedules: number; events: number; commits: number; virtualMs: number },
  report: Report,
): void {
  sum.schedules += report.schedules;
  sum.events += report.events;
  sum.commits += report.commits;
  sum.virtualMs += report.virtualMs;
}

function tell({ seed, violations }: Failure): void {
  print(`seed ${seed} failed; again with: npm run sim -- --seed ${seed}`);
  for (const what of violations.slice(0, VIOLATIONS_SHOWN)) print(`  ${short(what)}`);
}

function short(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** A bar in a terminal. Called without a value it ends. */
function barOf(
  total: number,
  isTime: boolean,
): (at: number | undefined, done: number, failed: number) => void {
  if (process.stderr.isTTY !== true || flags.json) return () => {};
  const bar = new SingleBar({
    format: `{bar} {percentage}% · {done} schedules${isTime ? '' : ` of ${total}`} · {failed} failed`,
    barCompleteChar: '━',
    barIncompleteChar: '─',
    barsize: 30,
    fps: REDRAWS_PER_SECOND,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(total, 0, { done: 0, failed: 0 });
  return (at, done, failed) => {
    if (at === undefined) bar.stop();
    else bar.update(Math.min(at, total), { done, failed });
  };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
