/** A node's connection to the server of its realm. */
import { connectBus } from '#runtime/bus/connection';
import { ensureNodeKey } from '#runtime/keys/key-store';
import type { OpenServer, ServerOptions } from './open-server.ts';
import type { Resources } from './resources.ts';

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
