/** The commands about costs. */
import type { CommandTable } from '#runtime/cli/command';

export const costCommands: CommandTable = {
  cost: async () => (await import('./cost.ts')).costCommand,
  meter: async () => (await import('./meter.ts')).meterCommand,
};
