/** `task list` and `task show`. */
import { type Command, Option } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { TASK_STATUSES, type TaskStatus } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { taskLines, taskTable } from '../pictures/one-task.ts';
import { type ActingOptions, knownTask, withActing, withDesk } from './with-desk.ts';

export interface Filter {
  readonly status?: TaskStatus;
  readonly worker?: string;
}

interface ListOptions extends ActingOptions, Filter {
  readonly requires?: string;
  readonly filler?: boolean;
  readonly next?: boolean;
}

/** Options that choose tasks. */
export function withFilter(command: Command): Command {
  return command
    .addOption(
      new Option('--status <status>', 'only these').choices(TASK_STATUSES.filter((one) => one !== 'absent')),
    )
    .option('--worker <session>', 'only what this session has');
}

export function chosen(tasks: readonly TaskView[], { status, worker }: Filter): TaskView[] {
  const by = worker === undefined || worker.includes('/') ? worker : `session/${worker}`;
  return tasks
    .filter((task) => status === undefined || task.status === status)
    .filter((task) => by === undefined || task.worker === by);
}

export function taskListCommand(shell: Shell): Command {
  const command = declare({
    name: 'list',
    summary: 'list tasks',
    group: 'Work',
    examples: [
      ['infrafabric task list', 'all'],
      ['infrafabric task list --status available', 'what can be claimed'],
      ['infrafabric task list --worker cli --json | jq -r .id', 'what a session has'],
    ],
  });
  withFilter(command)
    .option('--requires <capability>', 'only what requires this')
    .option('--filler', 'only fillers');
  return handle<[], ListOptions>(shell, withActing(command), async (run) => {
    const { options, out } = run;
    return await withDesk(run, async (desk) => {
      const all = await desk.tasks();
      const tasks = chosen(all, options)
        .filter(({ requires }) => options.requires === undefined || requires.includes(options.requires))
        .filter(({ filler }) => options.filler !== true || filler);
      for (const task of tasks) out.data(task);
      if (tasks.length > 0) out.lines(taskTable(tasks, out));
      else out.lines(all.length === 0 ? emptyLines() : ['No tasks match.']);
      return EXIT.ok;
    });
  });
}

export function taskShowCommand(shell: Shell): Command {
  const command = declare({
    name: 'show',
    summary: 'show one task',
    group: 'Work',
    examples: [
      ['infrafabric task show P0.1.1', 'one task'],
      ['infrafabric task show P0.1.1 --json | jq .worker', 'who has it'],
    ],
  }).argument('<id>', 'the task');
  return handle<[string], ActingOptions>(shell, withActing(command), async (run, id) => {
    const { out } = run;
    return await withDesk(run, async (desk) => {
      const task = await knownTask(desk, id.replace(/^task\//, ''));
      out.data(task);
      out.lines(taskLines(task, desk.realm.now(), out));
      return EXIT.ok;
    });
  });
}

/** Where there is no task at all. */
export function emptyLines(): string[] {
  return [
    'There are no tasks yet.',
    'Add one with `infrafabric task add ID TITLE`, or many with `infrafabric import FILE…`.',
  ];
}
