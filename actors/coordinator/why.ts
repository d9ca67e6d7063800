/** Why a task is not running, or who has it and how it came to that. Pure. */
import type { SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import { reasonOf } from './checked.ts';
import { sessionsFor } from './matching.ts';

/** What a key may not see, in sentences. */
export const UNSEEN = {
  sessions: 'This key does not see which sessions are there, so not who could do it.',
  dependents: 'This key does not see what waits for it.',
  log: 'This key does not see the log, so not who tried to claim it.',
} as const;

/** Sentences, the most important first. `deps` are the dependencies that are known; `sessions` undefined where they are not. */
export function reasonsOf(
  task: TaskView,
  deps: readonly TaskView[],
  sessions: readonly SessionView[] | undefined,
): readonly string[] {
  return [...now(task, deps, sessions), ...besides(task)];
}

/** What the reasons leave out, in sentences, where it is not known which sessions there are. */
export function unseenOf(
  { status, owner }: Pick<TaskView, 'status' | 'owner'>,
  sessions: readonly SessionView[] | undefined,
): readonly string[] {
  if (sessions !== undefined || status !== 'available') return [];
  return [owner === null ? UNSEEN.sessions : `This key does not see whether session/${owner} is there.`];
}

function now(
  task: TaskView,
  deps: readonly TaskView[],
  sessions: readonly SessionView[] | undefined,
): string[] {
  switch (task.status) {
    case 'absent':
      return ['Nobody added it.'];
    case 'waiting':
      return task.waitingFor.map((id) => {
        const dep = deps.find((other) => other.id === id);
        if (dep === undefined) return `It waits for ${id}, which nobody added.`;
        const { status, worker, milestone } = dep;
        const who = worker === null ? '' : `, ${worker} has it (${milestone} %)`;
        return `It waits for ${id}: ${status}${who}.`;
      });
    case 'available':
      if (task.check?.permitted === null) return checked(task);
      return [...(sessions === undefined ? free(task) : available(task, sessions)), ...checked(task)];
    case 'claimed':
    case 'in_progress':
      return [`${task.worker} has it under token ${task.token}: ${task.milestone} % done.`];
    case 'blocked':
      return [
        `${task.worker} has it and is blocked on ${task.blockedOn?.kind ?? ''} ${task.blockedOn?.on ?? ''}.`,
      ];
    case 'completed':
      return [`${task.worker} completed it under token ${task.token}.`, ...handedIn(task)];
    case 'failed':
      return [`${task.worker} failed it.`];
    case 'cancelled':
      return ['It was cancelled.'];
  }
}

function handedIn({ handedIn: made }: TaskView): string[] {
  if (made === null) return [];
  const { deliverable, testsPass } = made;
  return [
    ...(deliverable === null ? [] : [`Handed in: ${deliverable}.`]),
    ...(testsPass === null ? [] : [testsPass ? 'Its tests pass.' : 'Its tests do not pass.']),
  ];
}

function free({ owner }: TaskView): string[] {
  return [owner === null ? 'It is free.' : `It is free, and meant for session/${owner}.`];
}

function available(task: TaskView, sessions: readonly SessionView[]): string[] {
  if (task.owner !== null) {
    const owner = sessions.find(({ id }) => id === task.owner);
    if (owner === undefined) return [`It is meant for session/${task.owner}, which is not registered.`];
    return [`It is free, and meant for session/${task.owner}, which is ${owner.status}.`];
  }
  // What sessions say of themselves counts for nothing there.
  if (task.governed) return ['It is free, and the governor decides who may have it.'];
  const asked = new Set(task.held.map(({ worker }) => worker));
  const able = sessionsFor(task.requires, sessions, asked);
  if (able.length > 0) return [`It is free; ${able.join(', ')} could do it and did not claim it.`];
  if (asked.size > 0) return ['It is free, and no other session that is there could do it.'];
  const required = task.requires.join(', ');
  if (required === '') return ['It is free, and no session is there.'];
  return [`It is free, and no session that is there matches 70 % of what it requires (${required}).`];
}

/** What came of the claim that the governor was asked about; a permitted one is told as a claim. */
function checked({ check }: TaskView): string[] {
  if (check === null || check.permitted === true) return [];
  if (check.permitted === null)
    return [`${check.worker} asked for it, and the governor has not answered yet.`];
  return [`${check.worker} asked for it and was refused: ${reasonOf(check)}.`];
}

function besides(task: TaskView): string[] {
  const { reason, staleAt, overdue, needsPerson, helpWanted, attempts, checks, held } = task;
  const failed = checks.filter(({ passed }) => !passed);
  return [
    ...held.map(({ worker, approval }) => `The claim of ${worker} waits for ${approval}.`),
    ...(reason === null ? [] : [`Reason: ${reason}.`]),
    ...(needsPerson ? ['A person has to look at it.'] : []),
    ...(helpWanted === null ? [] : ['Its worker wants help.']),
    ...(staleAt === null ? [] : [`Nothing is heard of it since ${new Date(staleAt).toISOString()}.`]),
    ...(overdue ? ['Its deadline has passed.'] : []),
    ...(attempts > 1 ? [`It was claimed ${attempts} times.`] : []),
    ...failed.map(({ check, missing }) => `Check "${check}" wants: ${missing.join('; ')}.`),
  ];
}
