/** Hands seeds out to worker processes until there are none left, time is up, or somebody has seen enough. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { PlanOverrides } from './plan.ts';
import type { Report, Task } from './worker.ts';

const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url));
const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
/** Seeds handed out at a time: a second of work at most. */
const CHUNK_DEFAULT = 25;
/** Longer than they take on any machine. */
const ANSWER_MS_MAX = 120_000;

export interface PoolOptions {
  /** The first seed. */
  readonly base: number;
  readonly schedules: number;
  /** No new seeds after this. */
  readonly limitMs: number;
  readonly workers: number;
  /** Seeds handed out at a time. */
  readonly chunk?: number;
  readonly overrides?: PlanOverrides;
  /** Name of a planted bug. */
  readonly bug?: string | undefined;
  /** Called with what each chunk gave. False: enough. */
  readonly heard: (report: Report) => boolean;
}

/** Resolves when every worker has ended. Throws where one could not run, or a schedule has no end. */
export async function runPool(options: PoolOptions): Promise<void> {
  const { base, schedules, limitMs, workers, chunk = CHUNK_DEFAULT, overrides = {}, bug, heard } = options;
  const until = performance.now() + limitMs;
  let next = base;
  let enough = false;
  const take = (): Task | undefined => {
    const count = Math.min(chunk, base + schedules - next);
    if (enough || count <= 0 || performance.now() >= until) return undefined;
    next += count;
    return { from: next - count, count, overrides };
  };
  const run = async (): Promise<void> => {
    // What runs with a bug planted is not the code whose coverage is asked for; compiled once it starts in half the time.
    const { NODE_V8_COVERAGE: coverage, ...rest } = process.env;
    const worker = fork(WORKER, bug === undefined ? [] : [bug], {
      env:
        bug === undefined
          ? { ...rest, ...(coverage !== undefined && { NODE_V8_COVERAGE: coverage }) }
          : { NODE_COMPILE_CACHE: COMPILED, ...rest },
      // A bug is planted in what is written, not in what a hook of the tests makes of it.
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    try {
      await answer(worker);
      for (let task = take(); task !== undefined; task = take()) {
        worker.send(task);
        if (!heard((await answer(worker, task)) as Report)) enough = true;
      }
    } finally {
      worker.kill();
    }
  };
  await Promise.all(
    Array.from({ length: Math.max(1, Math.min(workers, Math.ceil(schedules / chunk))) }, run),
  );
}

async function answer(worker: ChildProcess, task?: Task): Promise<unknown> {
  const ended = new AbortController();
  // A node that never lets go of its thread: no event of the schedule comes any more.
  const late = setTimeout(() => worker.kill('SIGKILL'), ANSWER_MS_MAX);
  try {
    return await Promise.race([
      once(worker, 'message', { signal: ended.signal }).then(([message]) => message as unknown),
      once(worker, 'exit', { signal: ended.signal }).then(([code]) => {
        const where = task === undefined ? '' : `, in seeds ${task.from} to ${task.from + task.count - 1}`;
        throw new Error(`A worker of the simulator ended with ${String(code)}, or did nothing${where}`);
      }),
    ]);
  } finally {
    clearTimeout(late);
    ended.abort();
  }
}
