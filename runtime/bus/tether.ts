/**
 * A child process that cannot outlive its parent.
 *
 * V2  A pipe that only the parent holds open ends the child, even after the parent's SIGKILL.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Runs `$1` with the other arguments and ends it when the pipe on descriptor 3 closes. The shell is the parent that
 * outlives ours. A server that does not end on SIGTERM is killed after ten seconds.
 */
const WRAPPER = `
"$@" 3<&- &
server=$!
trap 'kill -TERM $server 2>/dev/null' TERM INT
( while read -r _; do :; done <&3
  kill -TERM $server 2>/dev/null
  tries=0
  while kill -0 $server 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -gt 100 ] && kill -KILL $server 2>/dev/null
    sleep 0.1
  done ) &
watch=$!
while :; do
  wait $server; code=$?
  kill -0 $server 2>/dev/null || break
done
kill $watch 2>/dev/null
exit $code
`;

/** How often a process that is no child of ours is looked at: the system tells its end to nobody but its parent. */
const FOREIGN_END_CHECK_MS = 20;

/** Starts `binary`; its standard error is piped. SIGTERM to the child reaches the binary. */
export function spawnTethered(binary: string, args: readonly string[]): ChildProcess {
  const child = spawn('/bin/sh', ['-c', WRAPPER, 'tether', binary, ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  // Where only the wrapper was killed, this is what ends the rest.
  child.once('exit', () => child.stdio[3]?.destroy());
  return child;
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
