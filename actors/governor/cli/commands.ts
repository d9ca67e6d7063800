/** The commands of the governor. */
import type { Builtins } from '#runtime/cli/builtins';
import { governorCommand } from './governor.ts';

export const governorCommands: NonNullable<Builtins['commands']> = [governorCommand];
