/** A node's connection to the server of its realm. */
import { connectBus } from '#runtime/bus/connection';
import { ensureNodeKey } from '#runtime/keys/key-store';
import { orAborted } from './abort.ts';
import type { OpenServer, ServerOptions } from './open-server.ts';
import type { Resources } from './resources.ts';

interface ConnectOptions extends Pick<ServerOptions, 'config' | 'dataDir' | 'log'> {
  /** Ends the waiting for a server that says nothing. */
  readonly signal?: AbortSignal | undefined;
}

/** Signs on with the node's key where the realm is secure; closed with the resources. */
export async function connectServer(
  { url, token, ca }: OpenServer,
  { config, dataDir, log, signal }: ConnectOptions,
  name: string,
  resources: Resources,
): ReturnType<typeof connectBus> {
  const { key } = config.nats.secure ? await ensureNodeKey(dataDir) : { key: undefined };
  const connecting = connectBus({
    url,
    ...(key !== undefined && { key }),
    ...(ca !== undefined && { ca }),
    name,
    logger: log,
    ...(token !== undefined && { token }),
  });
  try {
    const nc = await orAborted(connecting, signal);
    resources.defer(() => nc.close());
    return nc;
  } catch (thrown) {
    // What nobody waits for any more closes when it comes.
    connecting.then(
      (nc) => nc.close(),
      () => undefined,
    );
    throw thrown;
  }
}
