/** The command of the chassis. */
import type { CommandTable } from '#runtime/cli/command';

export const chassisCommands: CommandTable = {
  chassis: async () => (await import('./chassis.ts')).chassisCommand,
};
