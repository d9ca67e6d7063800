/** Machines from a user's own files: `./machines/mine.ts#mine`. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FabricError } from '#schemas/fabric-error';
import { machineErrors } from './errors.ts';
import { isMachine } from './load.ts';
import type { MachineDefinition } from './registry.ts';

/**
 * Imports the machine that `./file.ts#exportName` names, relative to `baseDir`. The export is a machine with a
 * `version` in its config, a {@link MachineDefinition}, or a list of definitions: the versions that live side by side.
 * Returns them with the newest last. A file changed since the last call is read anew. Throws `machine_module` or
 * `bad_machine`.
 */
export async function loadMachineModule(specifier: string, baseDir: string): Promise<MachineDefinition[]> {
  const hash = specifier.lastIndexOf('#');
  const [path, name] = [specifier.slice(0, Math.max(hash, 0)), specifier.slice(hash + 1)];
  const fail = (why: string, cause?: unknown) =>
    new FabricError(machineErrors.machine_module, `${specifier}: ${why}`, { details: { specifier }, cause });
  if (path === '' || name === '') throw fail('it names no export');
  const file = resolve(baseDir, path);
  let changedAt: number;
  try {
    changedAt = (await stat(file)).mtimeMs;
  } catch (cause) {
    throw fail('there is no such file', cause);
  }
  let module: Readonly<Record<string, unknown>>;
  try {
    // Node keeps a module by its URL: another time of change is another URL.
    module = await import(`${pathToFileURL(file).href}?changed=${changedAt}`);
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING') {
      throw fail(
        'Node runs no TypeScript below node_modules; publish it as JavaScript, or move the file',
        cause,
      );
    }
    throw fail(`its import failed: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  const exported = module[name];
  if (exported === undefined)
    throw fail(`it exports ${Object.keys(module).join(', ') || 'nothing'}, not ${name}`);
  if (isMachine(exported)) {
    const version = Number(exported.version);
    if (Number.isInteger(version) && version >= 1) return [{ name, version, machine: exported }];
    throw new FabricError(
      machineErrors.bad_machine,
      `Machine ${name}, state (machine): has no version; add version: '1' to its config`,
    );
  }
  if (isDefinition(exported)) return [exported];
  if (Array.isArray(exported) && exported.length > 0 && exported.every(isDefinition)) {
    return exported.toSorted((a, b) => a.version - b.version);
  }
  throw fail(
    `${name} is neither a machine nor definitions of one; export what setup().createMachine() returns, or [{name, version, machine, migrate?}]`,
  );
}

function isDefinition(value: unknown): value is MachineDefinition {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    'version' in value &&
    'machine' in value &&
    isMachine(value.machine)
  );
}
