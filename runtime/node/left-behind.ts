/**
 * Leases that a crashed node of this data folder left behind. Whoever holds the folder's lock knows that its last
 * owner is dead, so nobody has to wait for them to expire.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePrivateFile } from '#runtime/bus/file';
import { holderOf } from '#runtime/claims/lease';
import type { LeaseStore } from '#runtime/claims/lease-store';

const OWNER_FILE = 'node-id';

/**
 * Frees the leases of the folder's last owner, then names `nodeId` as the owner. Call only with the folder's lock
 * held, and before any lease is taken: a crash in between leaves the last owner named.
 */
export async function freeLeftBehind(
  dataDir: string,
  nodeId: string,
  leases: LeaseStore,
  keys: readonly string[],
): Promise<void> {
  const file = join(dataDir, OWNER_FILE);
  const last = readOwner(file);
  if (last !== undefined) await Promise.all(keys.map((key) => free(leases, key, last)));
  writePrivateFile(file, `${nodeId}\n`);
}

async function free(leases: LeaseStore, key: string, holder: string): Promise<void> {
  const found = await leases.get(key);
  // Compare-and-swap: whoever took it meanwhile keeps it.
  if (found !== undefined && holderOf(found) === holder) await leases.remove(key, found.revision);
}

function readOwner(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
