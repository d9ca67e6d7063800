/** One owner per data folder: a lock file with the owner's pid and, where the system tells, its start time. */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';

interface Owner {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: a pid used again by another process has another one. */
  readonly startedAt?: string;
}

/** Takes the folder or throws `data_locked` with the owner's pid. A dead owner's lock is taken over. */
export function lockDataFolder(folder: string): { release(): void } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'lock');
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, startedAt: startTime(process.pid) }), {
    mode: 0o600,
  });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        // A link is made by exactly one of several rivals.
        linkSync(mine, path);
        return { release: () => rmSync(path, { force: true }) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const owner = readOwner(path);
      if (attempt > 0 || (owner !== undefined && isAlive(owner))) {
        const pid = owner?.pid ?? 0;
        throw new FabricError(
          busErrors.data_locked,
          `The data folder ${folder} is in use by process ${pid}`,
          {
            details: { folder, pid },
          },
        );
      }
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Owner;
  } catch {
    // Gone meanwhile, or torn by a crash while it was written: nobody owns it.
    return undefined;
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const startedAt = startTime(owner.pid);
  return startedAt === undefined || owner.startedAt === undefined || startedAt === owner.startedAt;
}

function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command in parentheses may hold anything; the fields count from behind it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
