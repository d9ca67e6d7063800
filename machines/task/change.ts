/** What a decision of a task is made of, and whose word counts. */
import type { Outcome } from '#machines/decided';
import type { CheckResult } from '#schemas/completion';
import type { TaskRefusal } from '#schemas/task';
import type { TaskEventName } from '#schemas/task-view';
import { WORKER_TYPE } from '#schemas/worker';
import { isEnded, type TaskContext } from './context.ts';

/** Who says something, and when. */
export interface Who {
  /** Address, where it is one. */
  readonly by: string;
  readonly at: number;
}

export interface Change extends Omit<Outcome<TaskContext>, 'tell' | 'reply'> {
  readonly tell?: readonly TaskEventName[];
  /** Instead of the task's usual answer. */
  readonly answer?: object;
}

export interface Refused {
  readonly refused: TaskRefusal;
  readonly reason: string;
  readonly checks?: readonly CheckResult[];
  /** What stays of it all the same. */
  readonly change?: Change;
}

export type Verdict = Change | Refused;

export function refuse(refused: TaskRefusal, reason: string): Refused {
  return { refused, reason };
}

/** T3. Undefined where the word counts. */
export function notHolder(
  context: TaskContext,
  { by }: Who,
  token: number | undefined,
  action: string,
): Refused | undefined {
  const { worker, lease, status, blockedOn } = context;
  if (worker === null) return refuse('not_yours', 'nobody has claimed it');
  if (worker !== by)
    return refuse(
      'not_yours',
      isEnded(context) ? `${worker} had it, and it is ${status}` : `${worker} has it, not ${by}`,
    );
  if (token === undefined && lease !== null)
    return refuse('stale_token', 'the token of the claim is missing');
  if (token !== undefined && token !== context.token)
    return refuse('stale_token', `token ${token} is not that of the claim, ${context.token}`);
  if (status === 'blocked' && blockedOn !== null && !WHILE_BLOCKED.has(action))
    return refuse('blocked', `it is blocked on ${blockedOn.on}`);
  if (status === 'blocked') return undefined;
  if (action === 'unblock') return notBlocked(context);
  if (status === 'claimed' || status === 'in_progress') return undefined;
  return refuse('wrong_state', `it is ${status}: "${action}" means nothing now`);
}

export function notBlocked({ status }: TaskContext): Refused {
  return refuse('wrong_state', `it is not blocked: it is ${status}`);
}

/** What a worker may do with a blocked task. */
const WHILE_BLOCKED: ReadonlySet<string> = new Set([
  'unblock',
  'release',
  'fail',
  'cancel',
  'transfer',
  'help',
]);

/** Types of actors whose word counts about every task. Workers are none of them. */
const STEERING: ReadonlySet<string> = new Set([
  'operator',
  'person',
  'supervisor',
  'swarm',
  'board',
  'governor',
  'council',
]);

export function steers(by: string): boolean {
  return STEERING.has(by.slice(0, by.indexOf('/')));
}

export function isSession(by: string): boolean {
  return by.startsWith('session/');
}

/** `worker/ndi` of `session/ndi`: what the governor knows of it. */
export function registryEntry(session: string): string {
  return `${WORKER_TYPE}/${session.slice(session.indexOf('/') + 1)}`;
}

/** Mail to the worker, so that the session's own state follows; and the governor's, where it watches over the task. */
export function toWorker(
  worker: string | null,
  type: `task.${string}`,
  context: TaskContext,
  more: object = {},
): NonNullable<Change['mail']> {
  if (worker === null) return [];
  const event = { type, task: context.id, token: context.token, ...more };
  return [{ to: worker, event }, ...(context.governed ? [{ to: registryEntry(worker), event }] : [])];
}
