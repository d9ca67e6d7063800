/**
 * A board as the files of the old way. Pure, and the same for the same board: no time of writing stands in them, so that
 * nothing changes where nothing happened. What is written here, `infrafabric import` reads.
 */
import { stringify } from 'yaml';
import type { TaskView } from '#schemas/task-view';
import { nameOfSession } from '../import/names.ts';
import { statusWord, workerName } from '../pictures/task.ts';

const BOARD_FILE = 'BOARD.md';

const HELD: ReadonlySet<string> = new Set(['claimed', 'in_progress', 'blocked']);

const BOARD_WORDS = `Written by \`infrafabric mirror\` from the live board: \`infrafabric board\` shows it. Whatever is changed here by hand is
kept, and mirrored no more.`;

/** Name → text. `words` stand above the board. */
export function mirrorFiles(
  tasks: readonly TaskView[],
  realm: string,
  words = BOARD_WORDS,
): ReadonlyMap<string, string> {
  const sorted = tasks.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const files = new Map([[BOARD_FILE, board(sorted, realm, words)]]);
  const bySession = Map.groupBy(
    sorted.filter(({ worker }) => worker?.startsWith('session/') === true),
    ({ worker }) => workerName(worker),
  );
  for (const [session, its] of [...bySession].sort(([a = ''], [b = '']) => (a < b ? -1 : 1))) {
    const text = status(session, its);
    if (text === undefined) continue;
    const file = `STATUS-${session.toUpperCase().replaceAll(/[^A-Z0-9._-]/g, '_')}`;
    // Of sessions whose names differ in letters that no file can tell, each has its own.
    let name = `${file}.yaml`;
    for (let n = 2; files.has(name); n += 1) name = `${file}_${n}.yaml`;
    files.set(name, text);
  }
  return files;
}

type Column = readonly [head: string, of: (task: TaskView) => string];

/** Where an id has a colon, it would be read as the title's beginning: it has a column of its own then. */
const ID: Column = ['ID', ({ id }) => id];
const TITLE: Column = ['Task', (task) => titleOf(task)];
const TASK: Column = ['Task', (task) => `${task.id}: ${titleOf(task)}`];
const ALWAYS: readonly Column[] = [
  ['Owner', ({ owner, worker }) => sessionCell(owner ?? workerName(worker))],
  ['Dependencies', ({ deps }) => deps.join(', ') || 'None'],
  ['Status', (task) => statusText(task)],
  ['Estimate', ({ estimate: { hours } }) => (hours === null ? '' : `${hours} h`)],
  ['Deliverable', ({ deliverables }) => deliverables.map((one) => `\`${one}\``).join(', ')],
  ['Filler', ({ filler }) => (filler ? 'yes' : '')],
];
/** Where a task has one. */
const SELDOM: readonly Column[] = [
  ['Requires', ({ requires }) => requires.join(', ')],
  ['Priority', ({ priority }) => (priority === 0 ? '' : String(priority))],
  ['Kind', ({ kind }) => (kind === null || kind === WORKSTREAM ? '' : kind)],
];
/** Said by `progress.yaml`. */
const WORKSTREAM = 'workstream';

function board(tasks: readonly TaskView[], realm: string, words: string): string {
  const names = tasks.some(({ id }) => id.includes(':')) ? [ID, TITLE] : [TASK];
  const seldom = SELDOM.filter(([, of]) => tasks.some((task) => of(task) !== ''));
  const columns = [...names, ...ALWAYS, ...seldom];
  const heads = columns.map(([head]) => head);
  const rows = tasks.map((task) => columns.map(([, of]) => of(task)));
  const lines = [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`);
  return `# Board of ${realm}

${words}

${lines.join('\n')}
`;
}

function titleOf({ id, title }: TaskView): string {
  return title === '' ? id : title;
}

function sessionCell(id: string): string {
  return id === '' ? '' : nameOfSession(id);
}

function statusText({ status, milestone, blockedOn }: TaskView): string {
  if (status === 'waiting' || status === 'available' || status === 'absent') return 'not started';
  if (status === 'in_progress') return `in progress ${milestone} %`;
  return status === 'blocked' ? `blocked on ${blockedOn?.on ?? '?'}` : statusWord(status);
}

/** What the session does; where it does nothing, what it did last. */
function status(session: string, tasks: readonly TaskView[]): string | undefined {
  const held = tasks.filter((task) => HELD.has(task.status));
  const current = held.find((task) => !task.filler);
  // Beside another task, one that is blocked is not what it does.
  const filler = held.find((task) => task.filler && (current === undefined || task.status !== 'blocked'));
  const done = tasks
    .filter((task) => task.status === 'completed')
    .toSorted((a, b) => (b.changedAt ?? 0) - (a.changedAt ?? 0))[0];
  const main = current ?? filler ?? done;
  if (main === undefined) return undefined;
  return stringify(
    {
      session: nameOfSession(session, 'session-'),
      ...said(main),
      ...(current !== undefined && filler !== undefined && { filler: filler.id }),
      ...(current !== undefined && { help_wanted: current.helpWanted !== null }),
      timestamp: new Date(main.changedAt ?? 0).toISOString(),
    },
    { lineWidth: 0 },
  );
}

function said({
  id,
  status,
  milestone,
  note,
  blockedOn,
  reason,
  deliverables,
}: TaskView): Record<string, unknown> {
  if (status === 'completed')
    return { completed: id, ...(deliverables[0] !== undefined && { deliverable: deliverables[0] }) };
  if (status === 'claimed') return { claiming: id };
  return {
    current_task: id,
    milestone: `${milestone}%${note === null ? '' : ` - ${note}`}`,
    ...(blockedOn !== null && { blocked_on: blockedOn.on }),
    ...(blockedOn !== null && reason !== null && { next_action: reason }),
  };
}

function cell(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .replaceAll('|', '\\|')
    .trim();
}
