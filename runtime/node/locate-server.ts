/** The nats-server binary that a realm of its own runs. */
import { findNatsServer } from '#deploy/nats-server';
import { busErrors } from '#runtime/bus/errors';
import { FabricError } from '#schemas/fabric-error';

/** `INFRAFABRIC_NATS_SERVER`, PATH, the cache. Throws `server_missing`. */
export async function locateServer(env: NodeJS.ProcessEnv): Promise<string> {
  const found = await findNatsServer({ env });
  if (found !== undefined) return found.path;
  throw new FabricError(
    busErrors.server_missing,
    'No nats-server was found: not in INFRAFABRIC_NATS_SERVER, on PATH, or in the cache',
  );
}
