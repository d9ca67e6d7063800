/**
 * One owner per data folder: a lock file with the owner's pid and, where the system tells, its start time.
 *
 * K1  A lock file is made whole by a hard link, which exactly one of several rivals can make.
 * K2  Only a dead owner's lock is replaced, by whoever holds the lock for replacing that very owner; so of several
 *     rivals that find the same dead owner one wins, and nobody ever removes a living owner's lock.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';
import { isStillAlive, processStartTime } from './pid.ts';

interface Owner {
  readonly pid: number;
  /** Tells a pid used again by another process. */
  readonly startedAt?: string | undefined;
}

/** A file that a crash left without an owner's name. */
const NOBODY: Owner = { pid: 0 };

let serial = 0;

/** Takes the folder or throws `data_locked` with the owner's pid. A dead owner's lock is taken over. */
export function lockDataFolder(folder: string): { release(): void } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'lock');
  serial += 1;
  const mine = `${path}.${process.pid}-${serial}.new`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, startedAt: processStartTime(process.pid) }), {
    mode: 0o600,
  });
  try {
    const owner = take(path, mine);
    if (owner === undefined) return { release: () => rmSync(path, { force: true }) };
    throw new FabricError(
      busErrors.data_locked,
      `The data folder ${folder} is in use by process ${owner.pid}`,
      { details: { folder, pid: owner.pid } },
    );
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Makes `path` a lock of ours; the living owner where there is one. */
function take(path: string, mine: string): Owner | undefined {
  for (;;) {
    // K1.
    if (linkUnlessPresent(mine, path)) return undefined;
    const owner = readOwner(path);
    if (owner === undefined) continue;
    if (isAlive(owner)) return owner;
    // K2.
    const guard = `${path}.after-${owner.pid}-${owner.startedAt ?? 0}`;
    const rival = take(guard, mine);
    if (rival !== undefined) return rival;
    try {
      if (sameOwner(readOwner(path), owner)) {
        const next = `${guard}.next`;
        rmSync(next, { force: true });
        linkSync(mine, next);
        renameSync(next, path);
        return undefined;
      }
    } finally {
      rmSync(guard, { force: true });
    }
  }
}

function linkUnlessPresent(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined where the file is gone. */
function readOwner(path: string): Owner | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const owner = JSON.parse(text) as Owner;
    return Number.isInteger(owner.pid) && owner.pid > 0 ? owner : NOBODY;
  } catch {
    // Torn by a power cut: its owner is gone with it.
    return NOBODY;
  }
}

function sameOwner(a: Owner | undefined, b: Owner): boolean {
  return a?.pid === b.pid && a.startedAt === b.startedAt;
}

function isAlive(owner: Owner): boolean {
  return owner.pid !== NOBODY.pid && isStillAlive(owner.pid, owner.startedAt);
}
