/** `why`: why a task is not running, or why somebody got it. */
import type { Command } from 'commander';
import { declare, handle, type Shell, wholeNumber } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { cut, plural } from '#runtime/cli/render/format';
import { type LogItem, logLines } from '#runtime/cli/render/log';
import { blocks, waitsFor } from '../graph/blocking.ts';
import { taskGraph } from '../graph/graph.ts';
import { storyOf } from '../story.ts';
import { reasonsOf } from '../why.ts';
import { type ActingOptions, knownTask, withActing, withDesk } from './with-desk.ts';

const ENTRIES_SHOWN = 8;
const TEXT_MAX = 1_000;

interface Options extends ActingOptions {
  readonly entries: number;
}

export function whyCommand(shell: Shell): Command {
  const command = declare({
    name: 'why',
    summary: 'why a task is not running, or why somebody got it',
    description:
      'Says from the state of a task why it is not running or who has it, everything it waits for, and what waits for it; then, from the log, who tried to claim it and what came of that.',
    group: 'Work',
    examples: [
      ['infrafabric why P0.5.2', 'in sentences, with the entries behind them'],
      ['infrafabric why P0.5.2 --json | jq -r .reasons[]', 'the sentences alone'],
    ],
  })
    .argument('<task>', 'the task')
    .option('-n, --entries <n>', 'entries of the log shown', wholeNumber, ENTRIES_SHOWN);
  return handle<[string], Options>(shell, withActing(command), async (run, named) => {
    const { options, out } = run;
    const id = named.replace(/^task\//, '');
    return await withDesk(run, async (desk) => {
      const [task, tasks, sessions] = await Promise.all([knownTask(desk, id), desk.tasks(), desk.sessions()]);
      const deps = tasks.filter((one) => task.waitingFor.includes(one.id));
      const reasons = reasonsOf(task, deps, sessions);
      const graph = taskGraph(tasks);
      const [waits, waiting] = [waitsFor(graph, id), blocks(graph, id)];
      const items = await desk.realm.tail({ actor: `task/${id}` }, 0);
      const story = storyOf(items);
      const entries: readonly LogItem[] = options.entries === 0 ? [] : items.slice(-options.entries);
      out.data({ task, reasons, waitsFor: waits, blocks: waiting, story, entries });
      // Reasons quote what workers said.
      out.lines([
        `${out.palette.strong(id)} ${cut(task.title, TEXT_MAX)}`.trimEnd(),
        ...reasons.map((text) => `  ${cut(text, TEXT_MAX)}`),
      ]);
      if (waits.length > task.waitingFor.length)
        out.lines([
          `  In all it waits for ${plural(waits.length, 'task')}: ${cut(waits.join(', '), TEXT_MAX)}.`,
        ]);
      if (waiting.length > 0)
        out.lines([
          `  ${plural(waiting.length, 'task waits', 'tasks wait')} for it: ${cut(waiting.join(', '), TEXT_MAX)}.`,
        ]);
      if (story.length > 0) out.lines(['', out.palette.strong('how it came to that'), ...story.map(line)]);
      if (entries.length > 0)
        out.lines([
          '',
          out.palette.strong('last entries'),
          ...logLines(entries, desk.realm.now(), out, { actor: false }),
        ]);
      return EXIT.ok;
    });

    function line({ at, place, text }: ReturnType<typeof storyOf>[number]): string {
      return `  ${out.palette.faint(new Date(at).toISOString())}  ${out.palette.faint(place)}  ${cut(text, TEXT_MAX)}`;
    }
  });
}
