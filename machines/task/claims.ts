/** Who has a task: claim, release, transfer, the end of a lease. */
import type { TaskAction } from '#schemas/task';
import {
  type Change,
  isSession,
  notHolder,
  refuse,
  steers,
  toWorker,
  type Verdict,
  type Who,
} from './change.ts';
import { FREE, isEnded, isHeld, type TaskContext } from './context.ts';

/** Ids of the effects and timers that a claim has. */
export const LEASE = 'lease';
export const HELP = 'match';
export const STALE = 'stale';
/** A watch that failed is begun again after this. */
const REWATCH_MS = 10_000;
export const REWATCH = 'rewatch';

type Of<Name extends TaskAction['action']> = Extract<TaskAction, { action: Name }>;

/** T1, T2. Where nothing is against it, `take` says what becomes of it. */
export function claim(
  context: TaskContext,
  action: Of<'claim'>,
  who: Who,
  take: (context: TaskContext, action: Of<'claim'>, who: Who) => Verdict,
): Verdict {
  const { status, worker, waitingFor, owner } = context;
  if (isHeld(context)) {
    // The same claim again: its answer was lost.
    const isAgain = worker === who.by && action.lease !== undefined && action.lease === context.lease;
    return isAgain ? { patch: {} } : refuse('already_claimed', `${worker} has it`);
  }
  if (status === 'waiting') return refuse('not_available', `it waits for ${waitingFor.join(', ')}`);
  if (isEnded(context)) return refuse('wrong_state', `it is ${status}`);
  if (!isSession(who.by)) return refuse('not_permitted', `${who.by} is no session: only sessions claim`);
  if (owner !== undefined && who.by !== `session/${owner}`)
    return refuse('meant_for_another', `it is meant for session/${owner}`);
  return take(context, action, who);
}

/** It is theirs. */
export function claimed(
  context: TaskContext,
  action: Pick<Of<'claim'>, 'lease' | 'revision' | 'leaseMs'>,
  who: Who,
): Change {
  const next = { ...context, ...held(context, action, who) };
  return {
    patch: { ...held(context, action, who), attempts: context.attempts + 1, reason: null },
    mail: toWorker(who.by, 'task.claimed', next, { filler: context.filler }),
    tell: ['task.claimed'],
    ...watched(next),
  };
}

export function release(context: TaskContext, action: Of<'release'>, who: Who): Verdict {
  const steered = steers(who.by) && isHeld(context);
  const refused = steered ? undefined : notHolder(context, who, action.token, 'release');
  return refused ?? freed(context, who.at, 'task.released', action.reason ?? null);
}

export function transfer(context: TaskContext, action: Of<'transfer'>, who: Who): Verdict {
  if (!isSession(action.to))
    return refuse('not_permitted', `${action.to} is no session: only sessions have tasks`);
  const steered = steers(who.by) && isHeld(context);
  // Whom the governor refuses would get it from a friend.
  if (!steered && context.governed)
    return refuse('not_permitted', 'the governor gives it: release it, and let the other claim it');
  const refused = steered ? undefined : notHolder(context, who, action.token, 'transfer');
  if (refused !== undefined) return refused;
  const taker = { by: action.to, at: who.at };
  const patch = { ...held(context, action, taker), status: context.status, milestone: context.milestone };
  const next = { ...context, ...patch };
  return {
    patch,
    mail: [
      ...toWorker(context.worker, 'task.released', context),
      ...toWorker(action.to, 'task.claimed', next, {
        filler: context.filler,
        blocked: context.status === 'blocked',
      }),
    ],
    tell: ['task.transferred'],
    ...watched(next),
  };
}

/** T4: the lease of the claim that counts now has ended. */
export function expired(context: TaskContext, at: number, why: unknown): Change {
  if (!isHeld(context)) return { ended: [LEASE] };
  return freed(context, at, 'task.expired', `its lease ended: ${String(why)}`);
}

/** The driver gave up: nobody knows whether the lease still holds. */
export function unwatched(context: TaskContext): Change {
  if (!isHeld(context)) return { ended: [LEASE] };
  return {
    ended: [LEASE],
    timers: [{ id: REWATCH, delayMs: REWATCH_MS }],
    log: { severity: 'WARN', message: { type: 'lease_unwatched', task: context.id } },
  };
}

/** Nobody waits for what belongs to a claim any more. */
export const UNCLAIMED = { ended: [LEASE, HELP], cancelled: [STALE, REWATCH] } as const;

export function freed(
  context: TaskContext,
  at: number,
  type: 'task.released' | 'task.expired',
  reason: string | null,
): Change {
  return {
    ...UNCLAIMED,
    patch: { ...FREE, status: 'available', reason, changedAt: at },
    mail: [...toWorker(context.worker, type, context), ...toHelpers(context)],
    tell: [type, 'task.available'],
  };
}

/** Helpers are told that they are needed no more. */
export function toHelpers({ id, helpers }: TaskContext): NonNullable<Change['mail']> {
  return helpers.map((to) => ({ to, event: { type: 'task.help_over', task: id } }));
}

/** The driver tells the end of the lease of a claim; it begins anew where the task has another. */
export function watched({
  lease,
  leaseMs,
  staleMs,
}: TaskContext): Pick<Change, 'effects' | 'ended' | 'timers' | 'cancelled'> {
  return {
    ended: [LEASE],
    // A watch that was to be begun again is that of a claim before.
    cancelled: [REWATCH],
    timers: [{ id: STALE, delayMs: staleMs }],
    ...(lease !== null && { effects: [{ id: LEASE, driver: 'lease', input: { lease, ms: leaseMs } }] }),
  };
}

function held(
  context: TaskContext,
  { lease, revision, leaseMs }: Pick<Of<'claim'>, 'lease' | 'revision' | 'leaseMs'>,
  { by, at }: Who,
): Partial<TaskContext> {
  return {
    status: 'claimed',
    worker: by,
    token: Math.max(context.token + 1, revision ?? 0),
    lease: lease ?? null,
    leaseMs,
    refused: null,
    staleAt: null,
    changedAt: at,
  };
}
