/** Who can do what: tasks for a session, sessions for a task. Pure. */
import { byUrgency, type Waiting } from '#actors/governor/assignment/choose';
import type { WorkerIndex } from '#actors/governor/registry/worker-index';
import { matchOf } from '#machines/registry/match';
import { type AssignmentRules, MATCH_MIN_DEFAULT, type Need, type Verdict } from '#schemas/assignment';
import type { SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import type { Candidate } from './types.ts';

/** What the governor knows, where tasks are governed. */
export interface Governor {
  readonly index: WorkerIndex;
  readonly rules: AssignmentRules;
  readonly now: number;
}

export interface Worker {
  readonly id: string;
  readonly capabilities: readonly string[];
  /** It has blocked tasks: only what may be put away again. */
  readonly fillersOnly: boolean;
  /** Tasks that it was offered and does not want. */
  readonly declined?: ReadonlySet<string>;
}

/** What a worker could do now, the best first: its own before others', fillers last, then priority, then match. */
export function tasksFor(worker: Worker, tasks: Iterable<TaskView>, governor?: Governor): Candidate[] {
  return [...candidates(worker, tasks, governor)].sort(orderFor(worker, governor));
}

/** Of these tasks, what a worker could do, as they come. */
export function* candidates(
  worker: Worker,
  tasks: Iterable<TaskView>,
  governor?: Governor,
): Generator<Candidate> {
  const able = new Set(worker.capabilities);
  for (const task of tasks) {
    if (!isFree(task, worker) || worker.declined?.has(task.id) === true) continue;
    if (task.governed) {
      const verdict = verdictOf(task, worker.id, governor);
      if (verdict?.factors != null && verdict.refusals.length === 0)
        yield { task, match: verdict.factors.match, verdict };
      continue;
    }
    const match = matchOf(task.requires, able);
    if (match >= MATCH_MIN_DEFAULT || task.owner === worker.id) yield { task, match };
  }
}

/** What a worker would rather do: see {@link tasksFor}. */
export function orderFor(
  worker: Worker,
  governor: Governor | undefined,
): (a: Candidate, b: Candidate) => number {
  const now = governor?.now ?? 0;
  return (a, b) => rank(a, worker) - rank(b, worker) || compare(a, b, now);
}

/** Undefined where the governor knows nothing of it. */
function verdictOf(task: TaskView, worker: string, governor: Governor | undefined): Verdict | undefined {
  return governor?.index.verdict(worker, needOf(task), governor.now, { rules: governor.rules });
}

export function needOf({ id, requires, estimate, contextTokens }: TaskView): Need {
  return { task: id, requires, hours: estimate.hours ?? 1, contextTokens };
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

function compare(a: Candidate, b: Candidate, now: number): number {
  if (a.task.governed && b.task.governed) return byUrgency(now)(waitingOf(a), waitingOf(b));
  return b.task.priority - a.task.priority || b.match - a.match || (a.task.id < b.task.id ? -1 : 1);
}

function waitingOf({ task: { id, priority, changedAt } }: Candidate): Waiting {
  return { id, priority, since: changedAt ?? 0 };
}
