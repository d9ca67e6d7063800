/**
 * The NATS server of a realm: its own, started in the data folder, or one that runs already. Loads little, so that the
 * server begins before the node has loaded what it runs with; only a secure realm needs keys and certificates.
 */
import { readFileSync } from 'node:fs';
import { join as joinPath, resolve as resolvePath } from 'node:path';
import type { AccessKeeper } from '#runtime/access/keeper';
import { writePrivateFile } from '#runtime/bus/file';
import { lockDataFolder } from '#runtime/bus/lock';
import { ACCOUNTS_FILE, EmbeddedServer } from '#runtime/bus/server';
import { splitToken } from '#runtime/bus/servers';
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
  /** Called once the realm's own server runs; it takes connections some time later. */
  readonly begun?: () => void;
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
  const { config, baseDir, dataDir, join, begun, log } = options;
  const lock = lockDataFolder(dataDir);
  resources.defer(() => lock.release());
  const external = join ?? config.nats.url;
  checkJoined(dataDir, external !== undefined);
  const { port, websocketPort, secure, host } = config.nats;
  const secured = secure ? await import('./secure-server.ts') : undefined;
  const access = await secured?.openAccess(config, dataDir, log);
  if (external !== undefined) {
    const caPath = config.nats.ca === undefined ? undefined : resolvePath(baseDir, config.nats.ca);
    if (access !== undefined) writePrivateFile(joinPath(dataDir, ACCOUNTS_FILE), access.accounts);
    return {
      ...splitToken(external),
      ...(caPath !== undefined && { caFile: caPath, ca: readFileSync(caPath, 'utf8') }),
      ...(access !== undefined && { access }),
    };
  }
  const tls = secured?.serverFiles(config, dataDir);
  const server = await EmbeddedServer.start({
    dataDir,
    binary: await locateServer(process.env),
    strict: config.durability === 'strict',
    logger: log,
    ...(begun !== undefined && { begun }),
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
    ...(tls !== undefined && { ca: tls.ca, caFile: tls.caFile }),
    ...(access !== undefined && { access }),
  };
}
