/** What the system tells of a process by its pid. */
import { readFileSync } from 'node:fs';

/** A zombie has ended: it only waits for its parent to look. */
const ZOMBIE = 'Z';

/** True while a process of this pid runs. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return statField(pid, 0) !== ZOMBIE;
}

/** Field 22 of /proc/<pid>/stat: a pid used again by another process has another one. Undefined where the system does not tell. */
export function processStartTime(pid: number): string | undefined {
  return statField(pid, 19);
}

/**
 * True while the process runs that had this pid when its start time was written down. By the pid alone where one of the
 * two times is not known.
 */
export function isStillAlive(pid: number, startTime: string | undefined): boolean {
  if (!isProcessAlive(pid)) return false;
  const now = processStartTime(pid);
  return now === undefined || startTime === undefined || now === startTime;
}

/** Fields behind the command, from the state on. */
function statField(pid: number, at: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command in parentheses may hold anything; the fields count from behind it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[at];
  } catch {
    // No /proc on this system, or the process is gone.
    return undefined;
  }
}
