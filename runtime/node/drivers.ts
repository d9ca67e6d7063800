/** The drivers of a node: each made from its options in the config. */
import type { Driver } from '#runtime/effects/driver';
import { FabricError } from '#schemas/fabric-error';
import { nodeErrors } from './errors.ts';

/** Builtins are drivers or functions from options to one. Throws `bad_driver`. */
export function buildDrivers(
  builtins: Readonly<Record<string, unknown>>,
  options: Readonly<Record<string, unknown>>,
): Driver[] {
  return Object.entries(builtins).map(([name, builtin]) => {
    const driver: unknown = typeof builtin === 'function' ? builtin(options[name] ?? {}) : builtin;
    if (isDriver(driver)) return driver;
    throw new FabricError(nodeErrors.bad_driver, `"${name}" is no driver`, { details: { driver: name } });
  });
}

function isDriver(value: unknown): value is Driver {
  return (
    typeof value === 'object' &&
    value !== null &&
    'run' in value &&
    typeof value.run === 'function' &&
    'name' in value
  );
}
