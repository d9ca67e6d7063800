/** What the server of a secure realm needs: who may sign on, and its certificate. */
import { AccessKeeper } from '#runtime/access/keeper';
import { caFile, freshServerFiles } from '#runtime/access/tls-files';
import { openKinds } from '#runtime/access/users';
import { Subjects } from '#runtime/bus/subjects';
import { systemClock } from '#runtime/bus/system';
import { ensureNodeKey } from '#runtime/keys/key-store';
import type { Logger } from '#runtime/shard/ports';
import type { RealmConfig } from '#schemas/config';

export async function openAccess(config: RealmConfig, dataDir: string, log: Logger): Promise<AccessKeeper> {
  await ensureNodeKey(dataDir);
  const subjects = new Subjects(config.prefix, config.shards);
  return await AccessKeeper.open(dataDir, { rules: config.access, kinds: openKinds(config), subjects }, log);
}

/** A fresh certificate, for this machine's names and the host of the config. */
export function serverFiles({ realm, nats: { host } }: RealmConfig, dataDir: string) {
  const files = freshServerFiles(dataDir, realm, host === undefined ? [] : [host], systemClock.now());
  return { ...files, caFile: caFile(dataDir) };
}
