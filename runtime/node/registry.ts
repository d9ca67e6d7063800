/** The machines and kinds of a node: what the package brings along, and what the config names. */
import { loadMachineModule } from '#runtime/machine/module';
import {
  createRegistry,
  type MachineDefinition,
  type Registry,
  type ShelvedMachine,
} from '#runtime/machine/registry';
import type { ActorKind } from '#runtime/machine/types';
import { rulesOf } from '#runtime/privacy/marks';
import type { RealmConfig } from '#schemas/config';
import { KERNEL_MACHINES, KERNEL_TYPES } from '#schemas/kernel-kinds';
import { SUPERVISOR_TYPE } from '#schemas/supervisor';

export interface RegistryOptions {
  readonly config: RealmConfig;
  /** Of shelved ones those are loaded that the config names; `provide` of the registry loads the others. */
  readonly machines: readonly (MachineDefinition | ShelvedMachine)[];
  readonly driverNames: Iterable<string>;
  /** Machine files are relative to it. */
  readonly baseDir: string;
}

/**
 * A machine of the config's files comes before one of the same name that the package brings along: what a later release adds
 * must not break a realm that had the name first. The kernel's own names are not to be had.
 *
 * Throws `bad_machine`, `unknown_machine` or `machine_module`.
 */
export async function buildRegistry(options: RegistryOptions): Promise<Registry> {
  const { config, machines, driverNames, baseDir } = options;
  const registry = createRegistry(driverNames, machines.filter(isShelved));
  const given = machines.filter((machine): machine is MachineDefinition => !isShelved(machine));
  await registry.provide(KERNEL_TYPES);
  for (const definition of given) if (KERNEL_TYPES.includes(definition.name)) registry.define(definition);
  const own = new Set<string>();
  for (const { machine } of Object.values(config.kinds)) {
    if (!isFile(machine)) continue;
    for (const definition of await loadMachineModule(machine, baseDir))
      own.add(registry.define(definition).name);
  }
  await registry.provide(KERNEL_MACHINES);
  for (const definition of given) if (!own.has(definition.name)) registry.define(definition);
  for (const type of KERNEL_TYPES) {
    // Each has a machine of its own name; a node without the others is a node of a test.
    if (type !== SUPERVISOR_TYPE && !machines.some(({ name }) => name === type)) continue;
    registry.addKind({ type, machine: type, version: 1, spawnOnMessage: false, door: 'closed' });
  }
  for (const kind of await loadKinds(registry, config, baseDir)) registry.addKind(kind);
  return registry;
}

/** Defines the machines that a config names and returns its kinds, which are not added yet. */
export async function loadKinds(
  registry: Registry,
  config: RealmConfig,
  baseDir: string,
): Promise<ActorKind[]> {
  const kinds: ActorKind[] = [];
  for (const [type, kind] of Object.entries(config.kinds)) {
    const { machine, version } = await machineOf(registry, kind.machine, kind.version, baseDir);
    const personal = rulesOf(kind.personal, registry.personalOf(machine, version));
    kinds.push({
      type,
      machine,
      version,
      spawnOnMessage: kind.spawnOnMessage,
      door: kind.door,
      onThrow: kind.onThrow,
      ...(kind.input !== undefined && { input: kind.input }),
      ...(kind.labels !== undefined && { labels: kind.labels }),
      ...(personal !== undefined && { personal }),
    });
  }
  return kinds;
}

/** The machine that new actors of a kind begin on: the version the config names, or the newest. */
async function machineOf(
  registry: Registry,
  source: string,
  version: number | undefined,
  baseDir: string,
): Promise<{ machine: string; version: number }> {
  let name = source;
  if (isFile(source)) {
    const definitions = await loadMachineModule(source, baseDir);
    for (const definition of definitions) name = registry.define(definition).name;
    // What a machine of the user's own starts by name is known to nobody before.
    await registry.provide();
  } else {
    await registry.provide([name]);
  }
  const found = registry.machine(name, version);
  return { machine: found.name, version: found.version };
}

function isShelved(machine: MachineDefinition | ShelvedMachine): machine is ShelvedMachine {
  return 'load' in machine;
}

/** A file and an export, not a name. */
function isFile(source: string): boolean {
  return /^(?:\.{1,2}\/|\/)/.test(source);
}
