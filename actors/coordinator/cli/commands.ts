/** The commands about tasks, in the order of the help. */
import type { Builtins } from '#runtime/cli/builtins';
import { boardCommand } from './board.ts';
import { importCommand } from './import.ts';
import { mirrorCommand } from './mirror.ts';
import { sessionCommand } from './session.ts';
import { taskCommand } from './task.ts';
import { whyCommand } from './why.ts';

export const coordinatorCommands: NonNullable<Builtins['commands']> = [
  taskCommand,
  boardCommand,
  sessionCommand,
  whyCommand,
  importCommand,
  mirrorCommand,
];
