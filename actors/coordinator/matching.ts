/** Who can do what: tasks for a session, sessions for a task. Pure. */
import { matchOf } from '#machines/registry/match';
import { MATCH_MIN_DEFAULT } from '#schemas/assignment';
import type { SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import type { Candidate } from './types.ts';

export interface Worker {
  readonly id: string;
  readonly capabilities: readonly string[];
  /** It has blocked tasks: only what may be put away again. */
  readonly fillersOnly: boolean;
}

/** What a worker could do now, the best first: its own before others', fillers last, then priority, then match. */
export function tasksFor(worker: Worker, tasks: Iterable<TaskView>): Candidate[] {
  const found: Candidate[] = [];
  for (const task of tasks) {
    const match = matchOf(task.requires, worker.capabilities);
    if (isFree(task, worker) && (match >= MATCH_MIN_DEFAULT || task.owner === worker.id))
      found.push({ task, match });
  }
  return found.sort((a, b) => rank(a, worker) - rank(b, worker) || compare(a, b));
}

/** The best task for a worker. */
export function bestTask(worker: Worker, tasks: Iterable<TaskView>): Candidate | undefined {
  return tasksFor(worker, tasks)[0];
}

/** Sessions that can help with what is required, the best first: idle ones before busy ones. */
export function sessionsFor(
  requires: readonly string[],
  sessions: Iterable<SessionView>,
  except: ReadonlySet<string>,
): string[] {
  const found: { readonly session: SessionView; readonly score: number }[] = [];
  for (const session of sessions) {
    const isThere = session.status === 'idle' || session.status === 'blocked' || session.status === 'working';
    const match = matchOf(requires, session.capabilities);
    if (!isThere || match < MATCH_MIN_DEFAULT || except.has(`session/${session.id}`)) continue;
    found.push({ session, score: match * session.weight + (session.status === 'working' ? 0 : IDLE_FIRST) });
  }
  return found
    .sort((a, b) => b.score - a.score || (a.session.id < b.session.id ? -1 : 1))
    .map(({ session }) => `session/${session.id}`);
}

/** More than any match times any weight. */
const IDLE_FIRST = 10;

function isFree({ status, owner, filler }: TaskView, { id, fillersOnly }: Worker): boolean {
  return status === 'available' && (owner === null || owner === id) && (filler || !fillersOnly);
}

function rank({ task }: Candidate, { id }: Worker): number {
  if (task.filler) return 2;
  return task.owner === id ? 0 : 1;
}

function compare(a: Candidate, b: Candidate): number {
  return b.task.priority - a.task.priority || b.match - a.match || (a.task.id < b.task.id ? -1 : 1);
}
