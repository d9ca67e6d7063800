/** The machines and kinds of a node: what the package brings along, and what the config names. */

import { loadMachineModule } from '#runtime/machine/module';
import { createRegistry, type MachineDefinition, type Registry } from '#runtime/machine/registry';
import type { RealmConfig } from '#schemas/config';
import { SUPERVISOR_TYPE } from '#schemas/supervisor';

export interface RegistryOptions {
  readonly config: RealmConfig;
  readonly machines: readonly MachineDefinition[];
  readonly driverNames: Iterable<string>;
  /** Machine files are relative to it. */
  readonly baseDir: string;
}

/** Throws `bad_machine`, `unknown_machine` or `machine_module`. */
export async function buildRegistry(options: RegistryOptions): Promise<Registry> {
  const { config, machines, driverNames, baseDir } = options;
  const registry = createRegistry(driverNames);
  for (const definition of machines) registry.define(definition);
  registry.addKind({
    type: SUPERVISOR_TYPE,
    machine: SUPERVISOR_TYPE,
    version: 1,
    spawnOnMessage: false,
    door: 'closed',
  });
  for (const [type, kind] of Object.entries(config.kinds)) {
    const isFile = /^(?:\.{1,2}\/|\/)/.test(kind.machine);
    const machine = isFile
      ? registry.define(await loadMachineModule(kind.machine, baseDir))
      : registry.machine(kind.machine, kind.version);
    registry.addKind({
      type,
      machine: machine.name,
      version: kind.version ?? machine.version,
      spawnOnMessage: kind.spawnOnMessage,
      door: kind.door,
      onThrow: kind.onThrow,
      ...(kind.input !== undefined && { input: kind.input }),
    });
  }
  return registry;
}
