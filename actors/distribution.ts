/** What the command line is given of this package. */
import type { Distribution } from '#runtime/cli/builtins';
import { chassisCommands } from './chassis/cli/commands.ts';
import { coordinatorCommands } from './coordinator/cli/commands.ts';
import { costCommands } from './costs/cli/commands.ts';
import { governorCommands } from './governor/cli/commands.ts';

export const distribution: Distribution = {
  commands: { ...coordinatorCommands, ...governorCommands, ...costCommands, ...chassisCommands },
  builtins: async () => (await import('./index.ts')).builtins,
};
