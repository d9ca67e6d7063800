/** `why`: why a task is not running, or why somebody got it. */
import type { Command } from 'commander';
import { declare, handle, type Shell, wholeNumber } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { cut, plural } from '#runtime/cli/render/format';
import { type LogItem, logLines } from '#runtime/cli/render/log';
import type { TaskView } from '#schemas/task-view';
import { blocks, waitsFor } from '../graph/blocking.ts';
import { taskGraph } from '../graph/graph.ts';
import { storyOf } from '../story.ts';
import { reasonsOf, UNSEEN, unseenOf } from '../why.ts';
import { type ActingOptions, knownTask, type OpenDesk, orUnseen, withActing, withDesk } from './with-desk.ts';

const ENTRIES_SHOWN = 8;
const TEXT_MAX = 1_000;

interface Options extends ActingOptions {
  readonly entries: number;
}

/** What there is to say of a task; null is what the key may not see. */
interface Seen {
  readonly reasons: readonly string[];
  readonly unseen: readonly string[];
  readonly waits: readonly string[];
  readonly waiting: readonly string[] | null;
  readonly items: readonly LogItem[] | null;
}

export function whyCommand(shell: Shell): Command {
  const command = declare({
    name: 'why',
    summary: 'why a task is not running, or why somebody got it',
    description:
      'Says from the state of a task why it is not running or who has it, everything it waits for, and what waits for it; then, from the log, who tried to claim it and what came of that. What the key may not see it says.',
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
      const task = await knownTask(desk, id);
      const seen = (await orUnseen(everything(desk, task))) ?? (await alone(desk, task));
      const { reasons, unseen, waits, waiting, items } = seen;
      const story = items && storyOf(items);
      const entries = items && (options.entries === 0 ? [] : items.slice(-options.entries));
      out.data({ task, reasons, unseen, waitsFor: waits, blocks: waiting, story, entries });
      // Reasons quote what workers said.
      out.lines([
        `${out.palette.strong(id)} ${cut(task.title, TEXT_MAX)}`.trimEnd(),
        ...reasons.map((text) => `  ${cut(text, TEXT_MAX)}`),
      ]);
      if (waits.length > task.waitingFor.length)
        out.lines([
          `  In all it waits for ${plural(waits.length, 'task')}: ${cut(waits.join(', '), TEXT_MAX)}.`,
        ]);
      if (waiting !== null && waiting.length > 0)
        out.lines([
          `  ${plural(waiting.length, 'task waits', 'tasks wait')} for it: ${cut(waiting.join(', '), TEXT_MAX)}.`,
        ]);
      out.lines(unseen.map((text) => `  ${out.palette.faint(text)}`));
      if (unseen.length > 0)
        out.note('For all of it sign on with the key of an operator or auditor: --nkey FILE');
      if (story !== null && story.length > 0)
        out.lines(['', out.palette.strong('how it came to that'), ...story.map(line)]);
      if (entries !== null && entries.length > 0)
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

/** Throws `list_refused`. */
async function everything({ realm, tasks: all, sessions: there }: OpenDesk, task: TaskView): Promise<Seen> {
  const { id, waitingFor } = task;
  const [tasks, sessions] = await Promise.all([all(), there()]);
  const deps = tasks.filter((one) => waitingFor.includes(one.id));
  const graph = taskGraph(tasks);
  return {
    reasons: reasonsOf(task, deps, sessions),
    unseen: [],
    waits: waitsFor(graph, id),
    waiting: blocks(graph, id),
    items: await realm.tail({ actor: `task/${id}` }, 0),
  };
}

/** As a key sees it that may ask one task after the other: the task, and what it waits for itself. */
async function alone(desk: OpenDesk, task: TaskView): Promise<Seen> {
  const deps = await Promise.all(task.waitingFor.map((dep) => desk.task(dep)));
  const known = deps.filter((dep) => dep !== undefined);
  return {
    reasons: reasonsOf(task, known, undefined),
    unseen: [...unseenOf(task, undefined), UNSEEN.dependents, UNSEEN.log],
    waits: task.waitingFor,
    waiting: null,
    items: null,
  };
}
