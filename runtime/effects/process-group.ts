/**
 * A child process with everything it starts, as one group that ends as one.
 *
 * G1  Whatever the child started ends with it.
 * G2  The group never outlives the node, even one ended by SIGKILL: a guard holds the other end of a pipe that only
 *     the node keeps open, and kills the group when the pipe closes.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/** `$1` process group. Reads until the pipe from the node closes. */
const GUARD = 'while read -r _; do :; done; kill -s KILL -- "-$1" 2>/dev/null';

export interface ProcessGroup {
  readonly child: ChildProcess;
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
  /** To be called when the child has ended. */
  release(): void;
}

export interface GroupOptions {
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** Starts a program by its absolute path, with no shell. A program that cannot be started emits `error` on the child. */
export function startGroup(file: string, args: readonly string[], options: GroupOptions): ProcessGroup {
  const child = spawn(file, [...args], { ...options, detached: true, stdio: 'pipe' });
  const { pid } = child;
  if (pid === undefined) return { child, signal: () => undefined, release: () => undefined };
  const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', String(pid)], {
    detached: true,
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Without a guard the group still ends with every orderly end of the node.
  guard.on('error', () => undefined);
  guard.stdin.on('error', () => undefined);
  guard.unref();
  let released = false;
  const signal = (name: 'SIGTERM' | 'SIGKILL'): void => {
    if (released) return; // the number may belong to another group
    try {
      process.kill(-pid, name);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown; // the group has ended
    }
  };
  return {
    child,
    signal,
    release: () => {
      signal('SIGKILL'); // G1
      released = true;
      guard.kill('SIGKILL'); // before its pipe closes, for the same reason
    },
  };
}
