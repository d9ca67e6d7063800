/** The NATS server of a realm: its own, started in the data folder, or one that runs already. */
import { readFileSync } from 'node:fs';
import { join as joinPath, resolve as resolvePath } from 'node:path';
import { AccessKeeper } from '#runtime/access/keeper';
import { caFile, freshServerFiles } from '#runtime/access/tls-files';
import type { Grants } from '#runtime/access/users';
import { connectBus } from '#runtime/bus/connection';
import { writePrivateFile } from '#runtime/bus/file';
import { lockDataFolder } from '#runtime/bus/lock';
import { ACCOUNTS_FILE, EmbeddedServer } from '#runtime/bus/server';
import { splitToken } from '#runtime/bus/servers';
import { systemClock } from '#runtime/bus/system';
import { ensureNodeKey } from '#runtime/keys/key-store';
import type { Logger } from '#runtime/shard/ports';
import type { RealmConfig } from '#schemas/config';
import { checkJoined } from './joined-folder.ts';
import { locateServer } from './locate-server.ts';
import type { Resources } from './resources.ts';

export interface ServerOptions {
  readonly config: RealmConfig;
  /** What the config names is relative to it. */
  readonly baseDir: string;
  readonly dataDir: string;
  /** URL of a server that runs already. */
  readonly join?: string | undefined;
  readonly grants: Grants;
  readonly log: Logger;
}

export interface OpenServer {
  readonly url: string;
  readonly token?: string;
  readonly websocketUrl?: string;
  /** PEM, and where it lies. */
  readonly ca?: string;
  readonly caFile?: string;
  /** Of a secure realm. */
  readonly access?: AccessKeeper;
  /** Where it is the realm's own. */
  readonly own?: EmbeddedServer;
}

/** Locks the data folder, and starts the server where none is named. Both end with the resources. */
export async function openServer(options: ServerOptions, resources: Resources): Promise<OpenServer> {
  const { config, baseDir, dataDir, join, grants, log } = options;
  const lock = lockDataFolder(dataDir);
  resources.defer(() => lock.release());
  const external = join ?? config.nats.url;
  checkJoined(dataDir, external !== undefined);
  const { port, websocketPort, secure, host } = config.nats;
  let access: AccessKeeper | undefined;
  if (secure) {
    await ensureNodeKey(dataDir);
    access = await AccessKeeper.open(dataDir, grants, log);
  }
  if (external !== undefined) {
    const caPath = config.nats.ca === undefined ? undefined : resolvePath(baseDir, config.nats.ca);
    if (access !== undefined) writePrivateFile(joinPath(dataDir, ACCOUNTS_FILE), access.accounts);
    return {
      ...splitToken(external),
      ...(caPath !== undefined && { caFile: caPath, ca: readFileSync(caPath, 'utf8') }),
      ...(access !== undefined && { access }),
    };
  }
  const tls =
    access === undefined
      ? undefined
      : freshServerFiles(dataDir, config.realm, host === undefined ? [] : [host], systemClock.now());
  const server = await EmbeddedServer.start({
    dataDir,
    binary: await locateServer(process.env),
    strict: config.durability === 'strict',
    logger: log,
    ...(access !== undefined &&
      tls !== undefined && {
        secure: { ...tls, accounts: access.accounts, ...(host !== undefined && { host }) },
      }),
    ...(port !== undefined && { port }),
    ...(websocketPort !== undefined && { websocketPort }),
  });
  resources.use(server);
  const { url, token, websocketUrl } = server;
  return {
    url,
    own: server,
    ...(token !== undefined && { token }),
    ...(websocketUrl !== undefined && { websocketUrl }),
    ...(tls !== undefined && { ca: tls.ca, caFile: caFile(dataDir) }),
    ...(access !== undefined && { access }),
  };
}

/** Signs on with the node's key where the realm is secure; closed with the resources. */
export async function connectServer(
  { url, token, ca }: OpenServer,
  { config, dataDir, log }: Pick<ServerOptions, 'config' | 'dataDir' | 'log'>,
  name: string,
  resources: Resources,
): ReturnType<typeof connectBus> {
  const { key } = config.nats.secure ? await ensureNodeKey(dataDir) : { key: undefined };
  const nc = await connectBus({
    url,
    ...(key !== undefined && { key }),
    ...(ca !== undefined && { ca }),
    name,
    logger: log,
    ...(token !== undefined && { token }),
  });
  resources.defer(() => nc.close());
  return nc;
}
