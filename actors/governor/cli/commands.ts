/** The commands of the governor, in the order of the help. */
import type { CommandTable } from '#runtime/cli/command';

export const governorCommands: CommandTable = {
  budget: async () => (await import('./budget.ts')).budgetCommand,
  governor: async () => (await import('./governor.ts')).governorCommand,
  policy: async () => (await import('../policy/cli/policy.ts')).policyCommand,
};
