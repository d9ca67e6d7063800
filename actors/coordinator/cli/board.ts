/** `board`: all tasks at a glance, live in a terminal; or what waits for what, as a graph. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { createLogUpdate } from 'log-update';
import { declare, handle, type Run, type Shell } from '#runtime/cli/command';
import { EXIT, type ExitCode } from '#runtime/cli/exit-codes';
import { blockers } from '../graph/blocking.ts';
import { criticalPath } from '../graph/critical-path.ts';
import { partOf, taskGraph } from '../graph/graph.ts';
import { boardEta, boardLines } from '../pictures/board.ts';
import { graphLines } from '../pictures/graph-text.ts';
import { mermaid } from '../pictures/mermaid.ts';
import { svg } from '../pictures/svg.ts';
import { chosen, emptyLines, type Filter, withFilter } from './task-look.ts';
import { type ActingOptions, type OpenDesk, withActing, withDesk } from './with-desk.ts';

/** Live: no sooner than this after the last picture, however much happens. */
const REDRAW_MS = 250;
/** Times in it pass, and live events may be lost. */
const LOOK_AGAIN_MS = 5_000;
const ROWS_DEFAULT = 24;

interface Options extends ActingOptions, Filter {
  readonly by: 'status' | 'worker';
  readonly graph?: 'text' | 'mermaid' | 'svg';
  readonly once?: boolean;
}

export function boardCommand(shell: Shell): Command {
  const command = declare({
    name: 'board',
    summary: 'all tasks at a glance: by status or worker, or as a graph of what waits for what',
    description:
      'Shows the board with the longest chain of work, the time left, and what most tasks wait for. In a terminal it follows what happens until Ctrl-C; elsewhere it is printed once. The graph is drawn as lines, as Mermaid, or as an SVG file; without --graph, --json gives every task, then one line of figures. --status and --worker choose what is shown or drawn; the figures stay those of all tasks.',
    group: 'Work',
    examples: [
      ['infrafabric board', 'live, by status'],
      ['infrafabric board --by worker --once', 'who does what, printed once'],
      ['infrafabric board --graph text', 'what waits for what'],
      ['infrafabric board --graph svg > board.svg', 'the same as a picture'],
      ['infrafabric board --graph mermaid', 'for a Markdown page'],
    ],
  })
    .addOption(new Option('--by <what>', 'how it is grouped').choices(['status', 'worker']).default('status'))
    .addOption(
      new Option('--graph <form>', 'what waits for what, instead').choices(['text', 'mermaid', 'svg']),
    )
    .option('--once', 'print it once, in a terminal too');
  withFilter(command);
  return handle<[], Options>(shell, withActing(command), async (run) => {
    const { options, out } = run;
    return await withDesk(run, async (desk) => {
      if (options.graph !== undefined) return await drawGraph(desk, options.graph, run);
      if (out.live && options.once !== true) return await follow(desk, run);
      out.lines(await look(desk, run));
      if (out.json) await data(desk, run);
      return EXIT.ok;
    });
  });
}

async function look(desk: OpenDesk, { options, out }: Run<Options>, height?: number): Promise<string[]> {
  const [tasks, sessions] = await Promise.all([desk.tasks(), desk.sessions()]);
  const shown = chosen(tasks, options);
  if (shown.length === 0) return tasks.length === 0 ? emptyLines() : ['No tasks match.'];
  const picture = { tasks, chosen: shown, sessions, by: options.by, now: desk.realm.now() };
  return boardLines(picture, { ...out, ...(height !== undefined && { height }) });
}

/** Until Ctrl-C: drawn again when something happened. */
async function follow(desk: OpenDesk, run: Run<Options>): Promise<ExitCode> {
  const { io, out } = run;
  const draw = createLogUpdate(io.stdout as NodeJS.WriteStream);
  let wake: () => void = () => undefined;
  const subscription = desk.realm.connection.subscribe(desk.realm.subjects.eventsOf('task', '*'), {
    callback: () => wake(),
  });
  try {
    while (!io.signal.aborted) {
      const happened = new Promise<void>((resolve) => (wake = resolve));
      const { columns = out.width, rows = ROWS_DEFAULT } = io.stdout;
      draw((await look(desk, { ...run, out: { ...out, width: columns } }, rows - 1)).join('\n'));
      await pause(REDRAW_MS, undefined, { signal: io.signal });
      await Promise.race([happened, pause(LOOK_AGAIN_MS, undefined, { signal: io.signal })]);
    }
  } finally {
    subscription.unsubscribe();
    draw.done();
  }
  return EXIT.interrupted;
}

/** Those chosen, then the figures of all: what a task waits for is there, chosen or not. */
async function data(desk: OpenDesk, { options, out }: Run<Options>): Promise<void> {
  const [tasks, sessions] = await Promise.all([desk.tasks(), desk.sessions()]);
  for (const task of chosen(tasks, options)) out.data(task);
  const graph = taskGraph(tasks.filter(({ filler }) => !filler));
  const { hours, never, workers } = boardEta(graph, sessions);
  const byStatus = Map.groupBy(tasks, ({ status }) => status);
  out.data({
    tasks: tasks.length,
    byStatus: Object.fromEntries([...byStatus].map(([status, list]) => [status, list.length])),
    criticalPath: criticalPath(graph),
    eta: { hours, workers, never },
    blockers: blockers(graph),
    ...(graph.cycle !== undefined && { cycle: graph.cycle }),
  });
}

async function drawGraph(
  desk: OpenDesk,
  form: NonNullable<Options['graph']>,
  { options, out }: Run<Options>,
): Promise<ExitCode> {
  const tasks = await desk.tasks();
  const whole = taskGraph(tasks);
  const path = criticalPath(whole).ids;
  const shown = chosen(tasks, options);
  const graph = partOf(whole, shown);
  const text =
    form === 'svg'
      ? svg(graph, `Tasks of ${desk.realm.target.realm ?? desk.realm.target.prefix}`, path)
      : form === 'mermaid'
        ? mermaid(graph, path)
        : (tasks.length === 0
            ? emptyLines()
            : shown.length === 0
              ? ['No tasks match.']
              : graphLines(graph, out, path)
          ).join('\n');
  out.data({ graph: form, text });
  out.lines([text.trimEnd()]);
  return EXIT.ok;
}
