/**
 * Every machine and kind of a node; several versions of a machine live side by side.
 *
 * R1  What the package brings along is loaded and checked when something asks for it, ahead of its use: a lookup finds
 *     what is there and never waits, so that a fold is the same whenever a machine was loaded.
 */
import type { AnyStateMachine } from 'xstate';
import type { PersonalSchemas } from '#runtime/privacy/marks';
import { FabricError } from '#schemas/fabric-error';
import { machineErrors } from './errors.ts';
import { hostMachine } from './host.ts';
import { checkMachine } from './load.ts';
import { isSameMachine } from './same-machine.ts';
import type { ActorKind, Machine, MachineRegistry } from './types.ts';

export interface MachineDefinition {
  readonly name: string;
  /** From 1. */
  readonly version: number;
  readonly machine: AnyStateMachine;
  /** Persisted data of `version - 1`, as data of this version. Pure. */
  readonly migrate?: (persisted: unknown) => unknown;
  /** Schemas of its events: their fields marked `x-personal` are sealed before anything stores them. */
  readonly personal?: PersonalSchemas;
}

/** A machine that is loaded when it is first wanted. */
export interface ShelvedMachine {
  readonly name: string;
  /** Machines that it starts by their own name, whether a kind has them or not: they come with it. */
  readonly starts?: readonly string[];
  readonly load: () => Promise<MachineDefinition>;
}

export interface Registry extends MachineRegistry {
  /**
   * Loads the shelved machines of these names, or all that the drivers here are enough for (R1). Throws `bad_machine` for
   * one that was named.
   */
  provide(names?: Iterable<string>): Promise<void>;
  /** Checks and adds a machine with the machines it spawns. Throws `bad_machine`. Again the same: no effect. */
  define(definition: MachineDefinition): Machine;
  /** Adds or replaces a kind. Throws `unknown_machine` where its machine is not defined. */
  addKind(kind: ActorKind): void;
  /** Every machine that is there, `name@version`. */
  refs(): readonly string[];
  /** What its definition says of personal fields. */
  personalOf(name: string, version: number): PersonalSchemas | undefined;
}

interface Defined {
  definition: MachineDefinition;
  readonly machine: Machine;
}

/**
 * An empty registry; `drivers` are the names that effects and invocations may use. A shelved machine gives way to one
 * of its name that is defined before it is loaded.
 */
export function createRegistry(
  drivers: Iterable<string> = [],
  shelved: readonly ShelvedMachine[] = [],
): Registry {
  const driverNames = new Set(drivers);
  const shelf = new Map(shelved.map((machine) => [machine.name, machine]));
  const machines = new Map<string, Map<number, Defined>>();
  const kinds = new Map<string, ActorKind>();

  const define = (definition: MachineDefinition): Machine => {
    const { name, version } = definition;
    const versions = machines.get(name) ?? new Map<number, Defined>();
    const present = versions.get(version);
    if (present !== undefined) {
      if (isSameMachine(present.definition.machine, definition.machine)) {
        // Marks are no part of the machine: a file that was read anew may have others.
        const { personal } = definition;
        if (personal !== undefined) present.definition = { ...present.definition, personal };
        return present.machine;
      }
      throw new FabricError(
        machineErrors.bad_machine,
        `Machine ${name}@${version} is defined twice with different content; give the newer one version ${version + 1}`,
        { details: { machine: name, version } },
      );
    }
    const checked = checkMachine(name, version, definition.machine, driverNames);
    const machine = hostMachine({ name, version, machine: definition.machine, children: checked.children });
    versions.set(version, { definition, machine });
    machines.set(name, versions);
    for (const [child, childMachine] of checked.machines)
      define({ name: child, version, machine: childMachine });
    return machine;
  };

  const machine = (name: string, version?: number): Machine => {
    const versions = machines.get(name);
    const wanted = version ?? Math.max(...(versions?.keys() ?? []));
    const found = versions?.get(wanted);
    if (found !== undefined) return found.machine;
    const known =
      versions === undefined
        ? [...new Set([...machines.keys(), ...shelf.keys()])]
        : [...versions.keys()].map((v) => `${name}@${v}`);
    throw new FabricError(
      machineErrors.unknown_machine,
      `No machine is named ${name}${version === undefined ? '' : `@${version}`}; known: ${known.join(', ') || 'none'}`,
      { details: { machine: name, ...(version !== undefined && { version }) } },
    );
  };

  const load = async (name: string): Promise<void> => {
    const found = shelf.get(name);
    if (found === undefined) return;
    const [definition] = await Promise.all([found.load(), ...(found.starts ?? []).map(load)]);
    // One of its name may have been defined meanwhile.
    if (!shelf.has(name)) return;
    define(definition);
    shelf.delete(name);
  };

  const loadIfFit = async (name: string): Promise<void> => {
    try {
      await load(name);
    } catch (thrown) {
      // Who wants it by name is told what is wrong with it.
      if (!(thrown instanceof FabricError) || thrown.code !== machineErrors.bad_machine.code) throw thrown;
    }
  };

  return {
    define(definition) {
      const defined = define(definition);
      shelf.delete(definition.name);
      return defined;
    },
    async provide(names) {
      if (names !== undefined) await Promise.all([...names].map(load));
      else await Promise.all([...shelf.keys()].map(loadIfFit));
    },
    machine,
    byRef(ref) {
      const at = ref.lastIndexOf('@');
      return at < 0 ? machine(ref) : machine(ref.slice(0, at), Number(ref.slice(at + 1)));
    },
    addKind(kind) {
      machine(kind.machine, kind.version);
      kinds.set(kind.type, kind);
    },
    refs: () =>
      [...machines.values()].flatMap((versions) => [...versions.values()].map((d) => d.machine.ref)),
    personalOf: (name, version) => machines.get(name)?.get(version)?.definition.personal,
    kind: (type) => kinds.get(type),
    kinds: () => [...kinds.values()],
    migrate(name, from, to, persisted) {
      let data = persisted;
      for (let version = from + 1; version <= to; version++) {
        const step = machines.get(name)?.get(version)?.definition.migrate;
        if (step === undefined) throw noMigration(name, from, to, `version ${version} declares no migrate`);
        data = step(data);
      }
      if (to < from) throw noMigration(name, from, to, 'migrations only go forward');
      return data;
    },
  };
}

function noMigration(name: string, from: number, to: number, why: string): FabricError {
  return new FabricError(machineErrors.no_migration, `${name}@${from} cannot become ${name}@${to}: ${why}`, {
    details: { machine: name, from, to },
  });
}
