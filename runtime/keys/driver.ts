/** Driver `keyring`: how an order, which is an entry of the log, reaches the registry that the gates read. */
import type { KeyRegistry } from '#runtime/edge/keys';
import type { Driver } from '#runtime/effects/driver';
import { FabricError } from '#schemas/fabric-error';
import { KEYRING_ACTOR, KEYRING_DRIVER, type KeyringContext, type RegistryUpdate } from '#schemas/keyring';
import { keyErrors } from './errors.ts';

type Registry = Pick<KeyRegistry, 'add' | 'revoke'>;

/** Writes the records of an order; again under the same key it ends the same. */
export function keyringDriver(registry: () => Registry): Driver {
  return {
    name: KEYRING_DRIVER,
    run: async ({ actor, input }) => {
      if (actor !== KEYRING_ACTOR) {
        throw new FabricError(keyErrors.keyring_driver_misused, `${actor} has no business with keys`);
      }
      // The keyring wrote it, from an order that was checked against its schema.
      await writeRegistry(registry(), input as RegistryUpdate);
      return {};
    },
  };
}

/** Makes the registry say what the keyring says, whatever it missed or lost. */
export async function rebuildRegistry(
  registry: Registry,
  { keys }: Pick<KeyringContext, 'keys'>,
): Promise<void> {
  await writeRegistry(registry, { keys: Object.values(keys) });
}

async function writeRegistry(registry: Registry, { keys }: RegistryUpdate): Promise<void> {
  for (const { kid, owner, publicKey, since, until } of keys) {
    await registry.add({ kid, owner, publicKey }, since);
    if (until !== undefined) await registry.revoke(kid, until);
  }
}
