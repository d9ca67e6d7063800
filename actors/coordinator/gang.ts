/** Whom the governor asks to help with a task on which others wait. */
import type { WorkerIndex } from '#actors/governor/registry/worker-index';
import type { AssignmentRules, Need } from '#schemas/assignment';
import { SESSION_TYPE, type SessionView } from '#schemas/session';

interface Known {
  readonly workers: WorkerIndex;
  readonly rules: AssignmentRules;
  readonly sessions: ReadonlyMap<string, SessionView>;
}

/**
 * Candidates that are there, the best first: no more than have a place besides those who are at it already (`present`,
 * addresses), so that never more than `maxWorkersPerTask` work on one task.
 */
export function gangOf(
  need: Need,
  { workers, rules, sessions }: Known,
  present: ReadonlySet<string>,
  now: number,
): string[] {
  const places = Math.max(0, rules.maxWorkersPerTask - present.size);
  const here = [...sessions.values()].filter(({ status }) => HERE.has(status)).map(({ id }) => id);
  const asked = new Set(here.filter((id) => !present.has(`${SESSION_TYPE}/${id}`)));
  const { candidates } = workers.among(asked, need, now, { rules });
  return candidates.slice(0, places).map(({ worker }) => `${SESSION_TYPE}/${worker}`);
}

const HERE: ReadonlySet<SessionView['status']> = new Set(['idle', 'blocked', 'working']);
