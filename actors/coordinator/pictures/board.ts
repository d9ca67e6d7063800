/** A board in a terminal: tasks by status or by worker, and what stands in the way below. */
import { matchOf } from '#machines/registry/match';
import { cut, plural, relative, span } from '#runtime/cli/render/format';
import type { Palette } from '#runtime/cli/render/palette';
import { type Column, table } from '#runtime/cli/render/table';
import { MATCH_MIN_DEFAULT } from '#schemas/assignment';
import type { SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import { blockers } from '../graph/blocking.ts';
import { criticalPath } from '../graph/critical-path.ts';
import { type Eta, etaUnlimited, etaWith } from '../graph/eta.ts';
import { isOver, type TaskGraph, taskGraph } from '../graph/graph.ts';
import { circleText } from './graph-text.ts';
import { SHOWN_STATUSES, statusColour, statusSign, statusWord, workerName } from './task.ts';

export interface BoardPlace {
  readonly palette: Palette;
  readonly width: number;
  /** Lines that may be used; absent: as many as it takes. */
  readonly height?: number;
}

export interface BoardPicture {
  /** All there are: the figures are theirs. */
  readonly tasks: readonly TaskView[];
  /** Those that get a row; absent: all. */
  readonly chosen?: readonly TaskView[];
  readonly sessions: readonly SessionView[];
  readonly by: 'status' | 'worker';
  readonly now: number;
}

const COLUMNS: readonly Column[] = [
  { title: '' },
  { title: 'TASK' },
  { title: 'TITLE' },
  { title: 'WORKER' },
  { title: 'DONE', align: 'right' },
  { title: '' },
];
const BLOCKERS_SHOWN = 3;
const PATH_SHOWN = 6;
const HOUR_MS = 3_600_000;

export function boardLines(picture: BoardPicture, place: BoardPlace): string[] {
  const { tasks, chosen = tasks, by } = picture;
  const { palette } = place;
  const head = [
    `${counts(tasks, palette)}${chosen.length < tasks.length ? ` (${chosen.length} shown)` : ''}`,
    '',
  ];
  const tail = ['', ...summary(picture, place)];
  const shown = groups(chosen, by).flatMap(({ title, list }) => list.map((task) => ({ title, task })));
  const rows = shown.map(({ task }) => rowOf(task, picture, palette));
  const aligned = table(COLUMNS, rows, place).slice(1);
  const room = (place.height ?? Number.POSITIVE_INFINITY) - head.length - tail.length - 1;
  const lines: string[] = [];
  let group: string | undefined;
  let hidden = 0;
  for (const [n, { title }] of shown.entries()) {
    const isNew = title !== group;
    if (lines.length + (isNew ? 2 : 1) > room) {
      hidden = shown.length - n;
      break;
    }
    if (isNew) lines.push(palette.strong(title));
    lines.push(aligned[n] ?? '');
    group = title;
  }
  if (hidden > 0) lines.push(palette.faint(`… ${hidden} more`));
  return [...head, ...lines, ...tail];
}

/** `26 tasks: 2 in progress, 5 available, 19 waiting`. */
function counts(tasks: readonly TaskView[], palette: Palette): string {
  const byStatus = Map.groupBy(tasks, ({ status }) => status);
  const parts = SHOWN_STATUSES.filter((status) => byStatus.has(status)).map((status) =>
    statusColour(status, palette)(`${byStatus.get(status)?.length} ${statusWord(status)}`),
  );
  return `${palette.strong(plural(tasks.length, 'task'))}: ${parts.join(', ')}`;
}

function groups(
  tasks: readonly TaskView[],
  by: BoardPicture['by'],
): { readonly title: string; readonly list: readonly TaskView[] }[] {
  if (by === 'status') {
    const byStatus = Map.groupBy(tasks, ({ status }) => status);
    return SHOWN_STATUSES.flatMap((status) => {
      const list = byStatus.get(status);
      return list === undefined
        ? []
        : [{ title: `${statusWord(status)} (${list.length})`, list: sorted(list) }];
    });
  }
  const byWorker = Map.groupBy(tasks, ({ worker, owner }) => workerName(worker) || (owner ?? ''));
  return [...byWorker]
    .toSorted(([a], [b]) => Number(a === '') - Number(b === '') || (a < b ? -1 : 1))
    .map(([name, list]) => ({
      title: `${name === '' ? 'anyone' : cut(name, 40)} (${list.length})`,
      list: sorted(list),
    }));
}

/** As a board is read: what is urgent first, then by number. */
function sorted(list: readonly TaskView[]): TaskView[] {
  return list.toSorted(
    (a, b) =>
      SHOWN_STATUSES.indexOf(a.status) - SHOWN_STATUSES.indexOf(b.status) ||
      Number(a.filler) - Number(b.filler) ||
      b.priority - a.priority ||
      a.id.localeCompare(b.id, 'en', { numeric: true }),
  );
}

function rowOf(task: TaskView, { now }: BoardPicture, palette: Palette): string[] {
  const { id, title, status, worker, owner, milestone } = task;
  const colour = statusColour(status, palette);
  const who =
    worker === null
      ? owner === null
        ? ''
        : palette.faint(`(${cut(owner, 30)})`)
      : cut(workerName(worker), 30);
  return [
    `  ${colour(statusSign(status))}`,
    cut(id, 40),
    cut(title, 60),
    who,
    status === 'in_progress' || status === 'blocked' ? `${milestone} %` : '',
    remarkOf(task, now, palette),
  ];
}

/** What one should know of it beside its state, in a few words. */
function remarkOf(task: TaskView, now: number, palette: Palette): string {
  const { status, blockedOn, waitingFor, helpWanted, helpers, staleAt, overdue, needsPerson, filler } = task;
  const words: string[] = [];
  if (blockedOn !== null)
    words.push(palette.warn(`blocked on ${cut(blockedOn.on, 40)}, ${span(now - blockedOn.since)}`));
  if (status === 'waiting') words.push(palette.faint(`after ${cut(waitingFor.join(', '), 40)}`));
  if (staleAt !== null) words.push(palette.bad(`silent, told ${relative(staleAt, now)}`));
  if (overdue) words.push(palette.bad('overdue'));
  if (needsPerson) words.push(palette.bad('needs a person'));
  if (helpWanted !== null) words.push(palette.warn(`help wanted (${helpers.length} joined)`));
  if (filler) words.push(palette.faint('filler'));
  if (status === 'failed' && task.reason !== null) words.push(palette.bad(cut(task.reason, 40)));
  return words.join(', ');
}

function summary({ tasks, sessions }: BoardPicture, { palette, width }: BoardPlace): string[] {
  const graph = taskGraph(tasks.filter(({ filler }) => !filler));
  const { ids, hours } = criticalPath(graph);
  if (graph.nodes.values().every(({ task }) => isOver(task))) return [palette.good('Nothing is left to do.')];
  const shown = ids.length > PATH_SHOWN ? [...ids.slice(0, PATH_SHOWN - 1), '…', ids.at(-1) ?? ''] : ids;
  const lines = [
    // Where only circles are left, nothing leads anywhere.
    ...(ids.length === 0
      ? []
      : [
          `${palette.faint('longest chain ')} ${cut(shown.join(' → '), width - 30)}  ${palette.strong(hoursText(hours))}`,
        ]),
    ...etaLines(graph, sessions, palette),
  ];
  const worst = blockers(graph).slice(0, BLOCKERS_SHOWN);
  if (worst.length > 0) {
    const text = cut(worst.map(({ id, blocks }) => `${id} (${blocks.length})`).join(', '), width - 16);
    lines.push(`${palette.faint('most wait for ')} ${text}`);
  }
  const circle = circleText(graph);
  if (circle !== undefined) lines.push(palette.bad(`circle: ${cut(circle, width - 10)}`));
  const guessed = tasks.filter(
    (task) => !isOver(task) && !task.filler && task.estimate.hours === null,
  ).length;
  if (guessed > 0)
    lines.push(palette.faint(`${plural(guessed, 'task')} without an estimate: taken for an hour each`));
  return lines;
}

function etaLines(graph: TaskGraph<TaskView>, sessions: readonly SessionView[], palette: Palette): string[] {
  const eta = boardEta(graph, sessions);
  const never = eta.never.length;
  const lines = [
    `${palette.faint('time left     ')} ${hoursText(eta.hours)}${
      eta.workers === 0 ? ', however many work' : ` with ${plural(eta.workers, 'session')} at work`
    }`,
  ];
  if (never > 0)
    lines.push(
      palette.warn(
        `${plural(never, 'task has', 'tasks have')} nobody here who can, or wait for what will not come: ${cut(eta.never.slice(0, 5).join(', '), 60)}`,
      ),
    );
  return lines;
}

/** With the sessions that are there; where there is none, however many help. */
export function boardEta(
  graph: TaskGraph<TaskView>,
  sessions: readonly SessionView[],
): Eta & { readonly workers: number } {
  const here = sessions.filter(
    ({ status }) => status === 'idle' || status === 'working' || status === 'blocked',
  );
  if (here.length === 0) return { ...etaUnlimited(graph), workers: 0 };
  const eta = etaWith(
    graph,
    here,
    ({ id, capabilities }, { requires, owner }) =>
      owner === null ? matchOf(requires, capabilities) >= MATCH_MIN_DEFAULT : owner === id,
    ({ worker }) => (worker === null ? undefined : workerName(worker)),
  );
  return { ...eta, workers: here.length };
}

function hoursText(hours: number): string {
  return hours === 0 ? '0 h' : span(hours * HOUR_MS);
}
