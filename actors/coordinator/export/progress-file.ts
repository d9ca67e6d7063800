/**
 * `progress.yaml`, how the work of each session stands: the other way of ../import/progress-file.ts. Pure, and the same for
 * the same board.
 *
 * E1 A workstream that came from such a file stands under the name that it had there, and reads as it stands: an import of
 *    what was exported changes nothing of it.
 * E2 Every other session that has work has an entry of its own, which sums up its tasks and names them.
 */
import { stringify } from 'yaml';
import type { TaskStatus } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { workerName } from '../pictures/task.ts';

export const PROGRESS_FILE = 'progress.yaml';
const WORKSTREAM = 'workstream';
const BRANCH = 'branch ';
const HELD: ReadonlySet<string> = new Set(['claimed', 'in_progress', 'blocked']);
const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled']);

interface Entry {
  readonly status: string;
  readonly branch: string | null;
  readonly completed: string | null;
  readonly blocked_by?: readonly string[];
  /** E2. */
  readonly tasks?: readonly string[];
}

/** The text of the file; undefined where no session has work. */
export function progressFile(tasks: readonly TaskView[]): string | undefined {
  const sorted = tasks.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const streams = sorted.filter(({ kind }) => kind === WORKSTREAM);
  const rest = new Map<string, TaskView[]>();
  for (const task of sorted) {
    const session = sessionOf(task);
    if (session === undefined || streams.some((stream) => sessionOf(stream) === session)) continue;
    rest.set(session, [...(rest.get(session) ?? []), task]);
  }
  const nameOf = new Map([...rest.keys()].map((session) => [session, `session_${session}`]));
  for (const stream of streams) {
    const session = sessionOf(stream);
    if (session !== undefined) nameOf.set(session, stream.id);
  }
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const entries = [
    ...streams.map((stream) => [stream.id, entryOfStream(stream, streams)] as const),
    ...[...rest].map(
      ([session, its]) => [`session_${session}`, entryOf(session, its, byId, nameOf)] as const,
    ),
  ];
  if (entries.length === 0) return undefined;
  return stringify({ sessions: Object.fromEntries(entries) }, { lineWidth: 0 });
}

/** E1. */
function entryOfStream(
  { status, deliverables, deps, changedAt }: TaskView,
  streams: readonly TaskView[],
): Entry {
  const before = deps.filter((dep) => streams.some(({ id }) => id === dep));
  return {
    status: HELD.has(status) || ENDED.has(status) ? status : 'not_started',
    branch: deliverables.find((one) => one.startsWith(BRANCH))?.slice(BRANCH.length) ?? null,
    completed: status === 'completed' ? moment(changedAt) : null,
    ...(before.length > 0 && { blocked_by: before }),
  };
}

/** E2. */
function entryOf(
  session: string,
  tasks: readonly TaskView[],
  byId: ReadonlyMap<string, TaskView>,
  nameOf: ReadonlyMap<string, string>,
): Entry {
  const status = summedUp(tasks.map((task) => task.status));
  const blockers = sessionsBefore(tasks, byId)
    .filter((other) => other !== session)
    .flatMap((other) => nameOf.get(other) ?? []);
  return {
    status,
    branch: null,
    completed: status === 'completed' ? moment(Math.max(...tasks.map((task) => task.changedAt ?? 0))) : null,
    ...(blockers.length > 0 && { blocked_by: [...new Set(blockers)].toSorted() }),
    tasks: tasks.map(({ id }) => id),
  };
}

function summedUp(statuses: readonly TaskStatus[]): string {
  const held = statuses.filter((status) => HELD.has(status));
  if (held.length > 0) return held.every((status) => status === 'blocked') ? 'blocked' : 'in_progress';
  if (statuses.some((status) => !ENDED.has(status)))
    return statuses.includes('completed') ? 'in_progress' : 'not_started';
  if (statuses.includes('failed')) return 'failed';
  return statuses.includes('completed') ? 'completed' : 'cancelled';
}

/** Sessions whose work something of these waits for. */
function sessionsBefore(tasks: readonly TaskView[], byId: ReadonlyMap<string, TaskView>): string[] {
  return tasks
    .flatMap(({ waitingFor, blockedOn }) =>
      blockedOn?.kind === 'task' ? [...waitingFor, blockedOn.on] : waitingFor,
    )
    .flatMap((id) => sessionOf(byId.get(id)) ?? []);
}

/** Who has a task, or whom it is meant for. */
function sessionOf(task: TaskView | undefined): string | undefined {
  if (task?.worker?.startsWith('session/') === true) return workerName(task.worker);
  return task?.owner ?? undefined;
}

function moment(at: number | null): string {
  return new Date(at ?? 0).toISOString();
}
