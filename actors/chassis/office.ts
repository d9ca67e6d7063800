/** What a node runs sandboxed tasks with: a jail, the turns of its places, the components it knows, and the world. */
import { join } from 'node:path';
import type { DriverRealm } from '#runtime/effects/driver';
import type { HttpDriverOptions } from '#runtime/effects/http';
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import type { Clock } from '#runtime/shard/ports';
import { toWireError } from '#schemas/fabric-error';
import { componentName } from '#schemas/sandbox';
import { chassisBlobs, storedBytes } from './blobs.ts';
import { type Chamber, type ChamberOptions, levelOf, openChamber } from './chamber.ts';
import { KnownComponents } from './known-components.ts';
import type { Floor } from './run.ts';
import { Turns } from './turns.ts';
import { realmWorld } from './world.ts';

/** Tasks of a node that run at a time. */
export const PLACES_DEFAULT = 4;
/** Tasks that wait on a node: at a second each, four places need four minutes for them. */
export const QUEUE_MAX_DEFAULT = 1_000;
/** Of the node's data: components that passed the gate. */
const CACHE_FOLDER = 'components';

export interface SandboxOptions extends ChamberOptions {
  readonly queueMax?: number;
  readonly http?: Pick<HttpDriverOptions, 'allowHosts' | 'allowPrivate' | 'allowEnv'>;
}

export interface Office extends AsyncDisposable {
  readonly turns: Turns;
  readonly floor: Floor;
  readonly clock: Clock;
}

export async function openOffice(realm: DriverRealm, options: SandboxOptions): Promise<Office> {
  const { nc, subjects, clock, logger, dataDir } = realm;
  const { places = PLACES_DEFAULT, queueMax = QUEUE_MAX_DEFAULT, http } = options;
  const chamber: Chamber = await openChamber({
    ...options,
    places,
    cacheFolder: join(dataDir, CACHE_FOLDER),
    onCacheFault: (error) => logger.warn({ error: toWireError(error) }, 'sandbox.cache_failed'),
  });
  const level = levelOf(chamber.layers);
  for (const { name, isOn, seen } of chamber.layers) {
    if (!isOn) logger.warn({ layer: name, seen }, 'sandbox.layer_missing');
  }
  const blobs = await chassisBlobs(nc, subjects);
  const load = async (sha256: string): Promise<GatedComponent> =>
    await chamber.gate(await storedBytes(blobs, componentName(sha256), sha256));
  const known = new KnownComponents(load, clock);
  const turns = new Turns({ places, queueMax, clock });
  const world = realmWorld({ nc, subjects, ...(http !== undefined && { http }) });
  return {
    turns,
    clock,
    floor: {
      blobs,
      world,
      level,
      component: (sha256) => known.get(sha256),
      run: (task) => chamber.run(task),
    },
    async [Symbol.asyncDispose]() {
      turns.close();
      await chamber[Symbol.asyncDispose]();
    },
  };
}
