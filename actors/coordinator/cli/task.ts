/** `task`: add, look at and move tasks. */
import type { Command } from 'commander';
import { declare, type Shell } from '#runtime/cli/command';
import { taskAddCommand } from './task-add.ts';
import { taskListCommand, taskShowCommand } from './task-look.ts';
import { taskMoveCommands } from './task-move.ts';

export function taskCommand(shell: Shell): Command {
  const command = declare({
    name: 'task',
    summary: 'add tasks, look at them, claim and complete them',
    description:
      'Tasks of the board. Who claims and works is a session, named with --as or INFRAFABRIC_AS; without it you act as an operator, who adds, cancels, releases and retries. A claim made here has no lease: it lasts until it is released, and a silent one is reported as stale.',
    group: 'Work',
    examples: [
      ['infrafabric task add P1.1 "Event bus" --hours 4', 'add one'],
      ['infrafabric task list --status available', 'what can be claimed'],
      ['infrafabric task claim P1.1 --as cli', 'session/cli takes it'],
      ['infrafabric task progress P1.1 50 "half" --as cli', 'how far it is'],
      ['infrafabric task complete P1.1 --as cli', 'done'],
    ],
  });
  command.addCommand(taskAddCommand(shell));
  command.addCommand(taskListCommand(shell));
  command.addCommand(taskShowCommand(shell));
  for (const below of taskMoveCommands(shell)) command.addCommand(below);
  return command;
}
