/**
 * `${env:NAME}` in an input stands for a variable of the node's environment. It is put in at the last moment, inside
 * the driver: the input that is journaled and shown holds the reference only.
 */
import { FabricError } from '#schemas/fabric-error';
import { effectErrors } from './errors.ts';

const REFERENCE = /\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** Throws `env_refused` for a name that is not granted, `env_missing` for one that is not set. */
export function resolveSecrets(text: string, granted: readonly string[]): string {
  return text.replace(REFERENCE, (_, name: string) => {
    if (!granted.includes(name)) {
      throw new FabricError(effectErrors.env_refused, `The variable ${name} is not granted to this driver`);
    }
    const value = process.env[name];
    if (value === undefined) {
      throw new FabricError(effectErrors.env_missing, `The variable ${name} is not set on this node`);
    }
    return value;
  });
}

export function hasSecret(text: string): boolean {
  return text.search(REFERENCE) >= 0;
}
