/**
 * A child process that cannot outlive its parent.
 *
 * V2  A pipe that only the parent holds open ends the child, even after the parent's SIGKILL.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Runs the arguments as a command and ends its whole process group when the pipe on descriptor 3 closes; what does not
 * end on SIGTERM is killed after ten seconds. The watch stands before the command does, so no moment is without one.
 */
const WRAPPER = `
trap 'kill -TERM $server 2>/dev/null' TERM INT
( trap '' TERM INT
  while read -r _; do :; done <&3
  kill -TERM 0
  tries=0
  while [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
  kill -KILL 0 ) 2>/dev/null &
watch=$!
"$@" 3<&- &
server=$!
while :; do
  wait $server; code=$?
  kill -0 $server 2>/dev/null || break
done
kill -KILL $watch 2>/dev/null
exit $code
`;

/** How often a process that is no child of ours is looked at: the system tells its end to nobody but its parent. */
const FOREIGN_END_CHECK_MS = 20;

/**
 * Starts `binary`; its standard error is piped. SIGTERM to the child reaches the binary. It is in a process group of
 * its own: Ctrl-C in a terminal ends the parent, which then ends it in order.
 */
export function spawnTethered(binary: string, args: readonly string[]): ChildProcess {
  const child = spawn('/bin/sh', ['-c', WRAPPER, 'tether', binary, ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    detached: true,
  });
  // Where only the wrapper was killed, this ends the rest.
  child.once('exit', () => {
    signalGroup(child, 'SIGTERM');
    child.stdio[3]?.destroy();
  });
  return child;
}

/** Signals everything that the child started and that still runs. */
export function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid !== undefined) signalTo(-child.pid, signal);
}

/**
 * Ends a process that an earlier owner left behind and waits until it is gone; after `graceMs` it is killed. `isOurs`
 * sees the command line where the system tells it, so that a pid used again by another program is left alone.
 */
export async function endLeftover(
  pid: number,
  isOurs: (commandLine: string) => boolean,
  graceMs: number,
): Promise<void> {
  const killAt = performance.now() + graceMs;
  for (let signal: NodeJS.Signals | 0 = 'SIGTERM'; isRunning(pid, isOurs); ) {
    signalTo(pid, signal);
    await new Promise((resolve) => setTimeout(resolve, FOREIGN_END_CHECK_MS));
    signal = performance.now() > killAt ? 'SIGKILL' : 0;
  }
}

function signalTo(pid: number, signal: NodeJS.Signals | 0): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function isRunning(pid: number, isOurs: (commandLine: string) => boolean): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return isOurs(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
  } catch {
    // No /proc (macOS): the pid file was ours, so is its process. With /proc it ended just now.
    return process.platform !== 'linux';
  }
}
