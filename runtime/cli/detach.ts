/** Starts a node as a process of its own, and waits until it answers or has failed. */
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { RunFile } from '#runtime/node/api';
import { FabricError } from '#schemas/fabric-error';
import { cliErrors } from './errors.ts';
import type { Io } from './io.ts';
import { NODE_LOG, readRun } from './locate.ts';

/** Recovery of a big log takes seconds; a node that takes longer is watched in its log instead. */
const START_TIMEOUT_MS = 60_000;
/** The run file of another process cannot be awaited, only looked for. */
const LOOK_EVERY_MS = 20;
const LOG_LINES_SHOWN = 15;

export interface Detached {
  readonly run: RunFile;
  readonly log: string;
  readonly tookMs: number;
  /** Why it ended, once it has. */
  readonly failure: () => FabricError | undefined;
}

/** Runs this same command line without --detach. Throws `start_failed`. */
export async function startDetached(dataDir: string, io: Io): Promise<Detached> {
  const startedAt = Date.now();
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const log = join(dataDir, NODE_LOG);
  const logFd = openSync(log, 'a', 0o600);
  const logFrom = fstatSync(logFd).size;
  const [program = process.execPath, ...args] = io.self;
  const attached = args.filter((arg) => !['--detach', '-d', '--json'].includes(arg));
  const child = spawn(program, attached, {
    cwd: io.cwd,
    env: { ...io.env, NO_COLOR: '1' },
    detached: true,
    stdio: ['ignore', logFd, logFd],
  });
  closeSync(logFd);
  let ended: string | undefined;
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code, signal) => {
    ended = `it ended with ${signal ?? `exit code ${code}`}`;
  });
  while (Date.now() - startedAt < START_TIMEOUT_MS) {
    const run = readRun(dataDir);
    if (run !== undefined && run.pid === child.pid) {
      child.unref();
      const failure = () => (ended === undefined ? undefined : failed(ended, log, logFrom));
      return { run, log, tookMs: Date.now() - startedAt, failure };
    }
    if (ended !== undefined) throw failed(ended, log, logFrom);
    await pause(LOOK_EVERY_MS, undefined, { signal: io.signal });
  }
  child.kill('SIGTERM');
  throw failed(`it does not answer after ${START_TIMEOUT_MS / 1_000} s`, log, logFrom);
}

/** With the last lines that this start wrote. */
function failed(why: string, log: string, logFrom: number): FabricError {
  const tail = readFileSync(log).subarray(logFrom).toString().trimEnd().split('\n').slice(-LOG_LINES_SHOWN);
  return new FabricError(cliErrors.start_failed, [`The node did not start: ${why}`, ...tail].join('\n'), {
    details: { log },
  });
}
