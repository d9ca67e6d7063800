/** What the package brings along; given by the entry, since the runtime knows no concrete actor. */
import type { Command } from 'commander';
import type { MachineDefinition } from '#runtime/machine/registry';
import type { Shell } from './command.ts';

export interface Builtins {
  readonly machines: readonly MachineDefinition[];
  /** Drivers by name. */
  readonly drivers: Readonly<Record<string, unknown>>;
  /** Commands about concrete actors, beside those of the runtime. */
  readonly commands?: readonly ((shell: Shell) => Command)[];
  /** The program of the command line, for the processes it starts of itself. */
  readonly program: string;
}

export function machineNames(builtins: Builtins): string[] {
  return [...new Set(builtins.machines.map(({ name }) => name))];
}
