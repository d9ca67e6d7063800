/** What the command line is given of this package. */
import type { Distribution } from '#runtime/cli/builtins';
import { coordinatorCommands } from './coordinator/cli/commands.ts';
import { costCommands } from './costs/cli/commands.ts';
import { governorCommands } from './governor/cli/commands.ts';

export const distribution: Distribution = {
  commands: { ...coordinatorCommands, ...governorCommands, ...costCommands },
  builtins: async () => (await import('./index.ts')).builtins,
};
