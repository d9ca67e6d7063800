/** The processes of a jail are to die with their node, however that dies. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isProcessAlive } from '#runtime/bus/pid';

const HOLDER = fileURLToPath(new URL('./holder.ts', import.meta.url));
const GONE_MS_MAX = 10_000;
const LOOK_MS = 20;

/** Kills a node while a task runs, and says what became of the processes of its jail. */
export async function outlive(): Promise<string> {
  const node = spawn(process.execPath, ['--no-warnings', HOLDER], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(node, 'exit');
  await Promise.race([once(node.stdout, 'data'), ended]);
  const jailed = descendants(node.pid ?? 0);
  node.kill('SIGKILL');
  await ended;
  if (jailed.length === 0) return 'nothing ran';
  for (const until = performance.now() + GONE_MS_MAX; performance.now() < until; await pause(LOOK_MS)) {
    if (!jailed.some(isProcessAlive)) return 'gone';
  }
  return `${jailed.filter(isProcessAlive).length} still run`;
}

/** By the parent that /proc tells of each. */
function descendants(pid: number): number[] {
  const parents = readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      return [{ pid: Number(name), parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) }];
    } catch {
      return []; // it has just ended
    }
  });
  const below = (of: number): number[] =>
    parents.filter(({ parent }) => parent === of).flatMap((child) => [child.pid, ...below(child.pid)]);
  return below(pid);
}
