/** What the package brings along; given by the entry, since the runtime knows no concrete actor. */
import type { MachineDefinition, ShelvedMachine } from '#runtime/machine/registry';
import type { CommandTable } from './command.ts';

/** The package as the command line sees it: nothing is loaded that the command at hand does not need. */
export interface Distribution {
  /** Commands about concrete actors, beside those of the runtime, in the order of the help. */
  readonly commands: CommandTable;
  builtins(): Promise<Builtins>;
  /** Those of the built-ins: who needs no driver loads none. */
  machines(): Promise<readonly MachineDefinition[]>;
  /** Example configs by the kinds of which they show how a realm gets them. */
  readonly examples: Readonly<Record<string, string>>;
}

export interface Builtins {
  readonly machines: readonly ShelvedMachine[];
  /** Drivers by name. */
  readonly drivers: Readonly<Record<string, unknown>>;
  /** The program of the command line, for the processes it starts of itself. */
  readonly program: string;
}

export function machineNames(builtins: Builtins): string[] {
  return [...new Set(builtins.machines.map(({ name }) => name))];
}
