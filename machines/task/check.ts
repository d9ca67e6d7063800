/**
 * A claim that the governor is asked about: the task waits for the word of the worker's entry in the registry.
 *
 * G1  One claim is checked at a time, so that the first who asks is the first who is answered. Who asks again joins what is
 *     under way, under the lease of its newest claim: who sent the one before may be gone.
 * G2  A permit that finds the task no longer waiting for it is given back: the worker's slot is free again.
 * G3  Without an answer the claim is refused; nobody waits for ever for a registry that is not there.
 */
import type { AnyEventObject } from 'xstate';
import type { TaskAction } from '#schemas/task';
import { permitSchema } from '#schemas/worker';
import { type Change, refuse, registryEntry, type Verdict, type Who } from './change.ts';
import { claimed } from './claims.ts';
import type { TaskContext } from './context.ts';
import { viewOf } from './view.ts';

export const CHECK = 'check';
/** An entry answers within milliseconds; its shard may be on its way to another node. */
const CHECK_MS = 15_000;

/** G1. */
export function check(
  context: TaskContext,
  action: Extract<TaskAction, { action: 'claim' }>,
  { by, at }: Who,
): Verdict {
  const { check: pending, id, requires, estimate, contextTokens, status, milestone, token } = context;
  const answer = { accepted: true, status, milestone, token, checking: true };
  const lease = action.lease ?? null;
  const { revision = null, leaseMs } = action;
  if (pending?.permitted === null) {
    if (pending.by !== by) return refuse('already_claimed', `the claim of ${pending.by} is being checked`);
    return { patch: { check: { ...pending, lease, revision, leaseMs } }, answer };
  }
  const need = { task: id, requires, hours: estimate?.hours, contextTokens: contextTokens ?? null };
  return {
    patch: { check: { by, lease, revision, leaseMs, permitted: null, verdict: null }, changedAt: at },
    mail: [{ to: registryEntry(by), event: { type: 'worker.permit', need } }],
    tell: ['task.checking'],
    timers: [{ id: CHECK, delayMs: CHECK_MS }],
    answer,
  };
}

/** The word of a worker's entry. */
export function judged(context: TaskContext, event: AnyEventObject, who: Who): Change {
  const parsed = permitSchema.safeParse(event);
  const { check: pending } = context;
  if (!parsed.success || !who.by.startsWith('worker/')) return {};
  const { permitted, verdict } = parsed.data;
  const isAwaited = pending?.permitted === null && registryEntry(pending.by) === who.by;
  if (!isAwaited || context.status !== 'available') {
    // G2. A permitted slot has token 0 until it is claimed: a claim of the same worker, by a permit before, keeps its own.
    const event = { type: 'task.released', task: context.id, token: 0 };
    return permitted ? { mail: [{ to: who.by, event }] } : {};
  }
  const judgement = { ...pending, permitted, verdict };
  if (!permitted) {
    return {
      patch: { check: judgement, changedAt: who.at },
      cancelled: [CHECK],
      tell: ['task.claim_refused'],
    };
  }
  const { by, lease, revision, leaseMs } = pending;
  const action = { leaseMs, ...(lease !== null && { lease }), ...(revision !== null && { revision }) };
  const change = claimed(context, action, { by, at: who.at });
  return {
    ...change,
    patch: { ...change.patch, check: judgement },
    cancelled: [...(change.cancelled ?? []), CHECK],
  };
}

/** G3. */
export function unanswered(context: TaskContext, at: number): Change {
  const { check: pending } = context;
  if (pending?.permitted !== null) return {};
  const next = { ...context, check: { ...pending, permitted: false } };
  return {
    patch: { check: next.check, changedAt: at },
    tell: ['task.claim_refused'],
    log: {
      severity: 'WARN',
      message: { type: 'check_unanswered', task: context.id, check: viewOf(next).check },
    },
  };
}
