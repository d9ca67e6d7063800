/** What the command line is given of this package. */
import type { Distribution } from '#runtime/cli/builtins';
import { chassisCommands } from './chassis/cli/commands.ts';
import { coordinatorCommands } from './coordinator/cli/commands.ts';
import { costCommands } from './costs/cli/commands.ts';
import { governorCommands } from './governor/cli/commands.ts';

/** Kinds that commands speak to, and the config that has them, with those around them. */
const EXAMPLES = {
  'deploy/examples/coordinator.yaml': ['board', 'task', 'session', 'swarm', 'round', 'approval', 'journal'],
  'deploy/examples/governor.yaml': [
    'policy',
    'registry',
    'worker',
    'ledger',
    'budget',
    'breaker',
    'costs',
    'prices',
  ],
} as const;

export const distribution: Distribution = {
  commands: { ...coordinatorCommands, ...governorCommands, ...costCommands, ...chassisCommands },
  builtins: async () => (await import('./index.ts')).builtins,
  machines: async () => await (await import('./machines.ts')).allMachines(),
  examples: Object.fromEntries(
    Object.entries(EXAMPLES).flatMap(([file, kinds]) => kinds.map((kind) => [kind, file])),
  ),
};
