/** Child processes that are measured. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { CpuTimes } from './subject.ts';

/** Clock ticks of /proc: 100 a second on every Linux in use. */
const TICK_US = 10_000;

/** What the probe tells. */
export interface Usage {
  /** User and system, since the start. */
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** JavaScript heap and the buffers it holds. */
  readonly heapBytes: number;
}

export type Question = 'usage' | 'usage after gc';

export interface Measured {
  readonly child: ChildProcess;
  readonly pid: number;
  usage(question?: Question): Promise<Usage>;
  /** Every line of standard output and error. */
  onLine(handler: (line: string) => void): void;
  /** SIGTERM, and waits for the end. */
  end(): Promise<void>;
}

export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A CPU profile is left there. */
  readonly profileDir?: string | undefined;
}

const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGTERM');
});

/** Lets a child not outlive this process, however that ends short of SIGKILL. */
export function owned(child: ChildProcess): ChildProcess {
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  return child;
}

/** Runs a Node program under the probe. */
export function startProgram(args: readonly string[], options: ProgramOptions = {}): Measured {
  const { profileDir } = options;
  const child = owned(
    spawn(
      process.execPath,
      [
        '--expose-gc',
        `--import=${new URL('./probe.mjs', import.meta.url).href}`,
        ...(profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]),
        ...args,
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        env: { ...process.env, ...options.env },
        cwd: options.cwd,
      },
    ),
  );
  const handlers: ((line: string) => void)[] = [];
  for (const input of [child.stdout, child.stderr]) {
    if (input === null) continue;
    createInterface({ input }).on('line', (line) => {
      for (const handler of handlers) handler(line);
    });
  }
  return {
    child,
    pid: child.pid ?? 0,
    async usage(question = 'usage') {
      const answer = once(child, 'message');
      child.send(question);
      const [usage] = (await answer) as [Usage];
      return usage;
    },
    onLine: (handler) => {
      handlers.push(handler);
    },
    end: () => endChild(child),
  };
}

/** SIGTERM, and waits for the end. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

export interface ServerUsage {
  readonly cpuUs: number;
  readonly rssBytes: number;
}

/** CPU time and memory of any process; undefined off Linux. */
export function usageOf(pid: number): ServerUsage | undefined {
  if (process.platform !== 'linux') return undefined;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { cpuUs: (Number(fields[11]) + Number(fields[12])) * TICK_US, rssBytes: Number(rss) * 1024 };
}

/** CPU time of programs and of the servers that they use, each added up. */
export async function cpuOf(programs: readonly Measured[], serverPids: readonly number[]): Promise<CpuTimes> {
  const usages = await Promise.all(programs.map((program) => program.usage()));
  const servers = serverPids.map((pid) => usageOf(pid)?.cpuUs);
  return {
    loopUs: usages.reduce((sum, { cpuUs }) => sum + cpuUs, 0),
    serverUs: servers.reduce<number | undefined>(
      (sum, us) => (sum === undefined || us === undefined ? undefined : sum + us),
      0,
    ),
  };
}

/** The largest memory a process ever had; undefined off Linux. */
export function peakRssBytes(pid: number): number | undefined {
  if (process.platform !== 'linux') return undefined;
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** The nats-server below a process; undefined off Linux. */
export function serverBelow(pid: number): number | undefined {
  if (process.platform !== 'linux') return undefined;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean);
    for (const child of children.map(Number)) {
      if (readFileSync(`/proc/${child}/comm`, 'utf8').trim() === 'nats-server') return child;
      const deeper = serverBelow(child);
      if (deeper !== undefined) return deeper;
    }
  }
  return undefined;
}
