/** How a task goes: progress, blocks, and its ends. */
import { type Gate, type Submission, submissionSchema } from '#schemas/completion';
import type { TaskAction } from '#schemas/task';
import {
  type Change,
  notBlocked,
  notHolder,
  type Refused,
  refuse,
  steers,
  toWorker,
  type Verdict,
  type Who,
} from './change.ts';
import { freed, STALE, toHelpers, UNCLAIMED } from './claims.ts';
import { FREE, isEnded, isHeld, type TaskContext } from './context.ts';
import { toDependents } from './dependents.ts';
import { judge, passes } from './gate.ts';

export const DEADLINE = 'deadline';

type Of<Name extends TaskAction['action']> = Extract<TaskAction, { action: Name }>;

export function progress(context: TaskContext, action: Of<'progress'>, who: Who): Verdict {
  const refused = notHolder(context, who, action.token, 'progress');
  if (refused !== undefined) return refused;
  return {
    patch: {
      status: 'in_progress',
      milestone: action.milestone,
      note: action.note ?? context.note,
      staleAt: null,
      changedAt: who.at,
    },
    tell: ['task.progress'],
    timers: [{ id: STALE, delayMs: context.staleMs }],
  };
}

export function block(context: TaskContext, action: Of<'block'>, who: Who): Verdict {
  const refused = notHolder(context, who, action.token, 'block');
  if (refused !== undefined) return refused;
  const { on, kind } = action;
  if (kind === 'task' && on === context.id) return refuse('bad_action', 'a task cannot wait for itself');
  const isPerson = kind === 'person';
  return {
    patch: {
      status: 'blocked',
      blockedOn: { on, kind, since: who.at },
      reason: action.reason ?? null,
      staleAt: null,
      changedAt: who.at,
      ...(isPerson && { needsPerson: true }),
    },
    mail: [
      ...toWorker(context.worker, 'task.blocked', context),
      // Who has it hears that somebody waits, and both hear when it is done.
      ...(kind === 'task'
        ? [{ to: `task/${on}`, event: { type: 'task.depend', task: context.id, isBlocked: true } }]
        : []),
    ],
    tell: ['task.blocked', ...(isPerson ? (['task.needs_person'] as const) : [])],
    // It is known why nothing is heard of it.
    cancelled: [STALE],
  };
}

export function unblock(context: TaskContext, action: Of<'unblock'>, who: Who): Verdict {
  if (!steers(who.by)) return notHolder(context, who, action.token, 'unblock') ?? unblocked(context, who.at);
  return context.status === 'blocked' ? unblocked(context, who.at) : notBlocked(context);
}

/** What it was blocked on is there. */
export function unblocked(context: TaskContext, at: number): Change {
  return {
    patch: {
      status: context.milestone > 0 ? 'in_progress' : 'claimed',
      blockedOn: null,
      reason: null,
      needsPerson: false,
      changedAt: at,
    },
    mail: toWorker(context.worker, 'task.unblocked', context),
    tell: ['task.unblocked'],
    timers: [{ id: STALE, delayMs: context.staleMs }],
  };
}

export function complete(context: TaskContext, action: Of<'complete'>, who: Who): Verdict {
  const refused = notHolder(context, who, action.token, 'complete');
  if (refused !== undefined) return refused;
  const submission = submissionSchema.parse(action);
  return context.gate === undefined
    ? completed(context, submission, who.at)
    : gated(context, context.gate, submission, who.at);
}

function gated(context: TaskContext, gate: Gate, submission: Submission, at: number): Verdict {
  const checks = judge(gate, submission, context);
  if (passes(checks)) return completed({ ...context, checks }, submission, at);
  const failed = checks.filter(({ passed }) => !passed);
  const verdict: Refused = {
    refused: 'gate_failed',
    reason: failed.map(({ check, missing }) => `${check}: ${missing.join('; ')}`).join(' | '),
    checks: failed,
    change: {
      patch: { refused: submission, checks, changedAt: at },
      tell: ['task.refused_by_gate'],
      log: { severity: 'WARN', message: { type: 'gate_failed', task: context.id, checks: failed } },
    },
  };
  return verdict;
}

export function override(context: TaskContext, action: Of<'override'>, who: Who): Verdict {
  if (!steers(who.by)) return refuse('not_permitted', `${who.by} may not override a gate`);
  if (!isHeld(context) || context.refused === null) return refuse('wrong_state', 'no gate refused it');
  const change = completed(context, context.refused, who.at);
  return {
    ...change,
    patch: { ...change.patch, reason: `overridden by ${who.by}: ${action.reason}` },
    log: {
      severity: 'HIGH',
      message: {
        type: 'gate_overridden',
        task: context.id,
        by: who.by,
        reason: action.reason,
        checks: context.checks,
      },
    },
  };
}

function completed(context: TaskContext, submission: Submission, at: number): Change {
  const { deliverable, testsPass, artifacts, confidence, costMicros, relationships } = submission;
  const patch: Partial<TaskContext> = {
    status: 'completed',
    milestone: 100,
    result: { deliverable: deliverable ?? null, testsPass: testsPass ?? null },
    artifacts,
    checks: context.checks,
    refused: null,
    blockedOn: null,
    helpWanted: null,
    needsPerson: false,
    reason: null,
    staleAt: null,
    changedAt: at,
  };
  return {
    ...UNCLAIMED,
    cancelled: [...UNCLAIMED.cancelled, DEADLINE],
    patch,
    mail: [
      ...toWorker(context.worker, 'task.completed', context, {
        ...(confidence !== undefined && { confidence }),
        ...(costMicros !== undefined && { costMicros }),
      }),
      ...toHelpers(context),
      ...toDependents(context, 0),
    ],
    tell: ['task.completed'],
    ...(relationships.length > 0 && {
      log: { severity: 'INFO', message: { type: 'relationships', task: context.id, relationships } },
    }),
  };
}

export function fail(context: TaskContext, action: Of<'fail'>, who: Who): Verdict {
  const refused = notHolder(context, who, action.token, 'fail');
  if (refused !== undefined) return refused;
  const reason = action.reason ?? null;
  const mail = [...toWorker(context.worker, 'task.failed', context), ...toHelpers(context)];
  const failures = context.failures + 1;
  if (failures <= context.retries) {
    const change = freed(context, who.at, 'task.released', reason);
    return {
      ...change,
      patch: { ...change.patch, failures },
      mail,
      tell: ['task.failed', 'task.retried', 'task.available'],
    };
  }
  return {
    ...UNCLAIMED,
    cancelled: [...UNCLAIMED.cancelled, DEADLINE],
    patch: {
      status: 'failed',
      failures,
      reason,
      blockedOn: null,
      helpWanted: null,
      staleAt: null,
      changedAt: who.at,
    },
    mail,
    tell: ['task.failed'],
  };
}

export function cancel(context: TaskContext, action: Of<'cancel'>, who: Who): Verdict {
  if (isEnded(context)) return refuse('wrong_state', `it is ${context.status}`);
  const { owner, addedBy, worker } = context;
  const isIts =
    who.by === addedBy || (worker === null && owner !== undefined && who.by === `session/${owner}`);
  if (!steers(who.by) && !isIts) {
    const refused = notHolder(context, who, action.token, 'cancel');
    if (refused !== undefined) return refused;
  }
  return {
    ...UNCLAIMED,
    cancelled: [...UNCLAIMED.cancelled, DEADLINE],
    patch: {
      status: 'cancelled',
      reason: action.reason ?? null,
      blockedOn: null,
      helpWanted: null,
      needsPerson: false,
      staleAt: null,
      changedAt: who.at,
    },
    mail: [...toWorker(worker, 'task.cancelled', context), ...toHelpers(context)],
    tell: ['task.cancelled'],
  };
}

export function retry(context: TaskContext, action: Of<'retry'>, who: Who): Verdict {
  const { status, addedBy, waitingFor, deadline } = context;
  if (!steers(who.by) && who.by !== addedBy)
    return refuse('not_permitted', `${who.by} may not order it anew`);
  if (status !== 'failed' && status !== 'cancelled') return refuse('wrong_state', `it is ${status}`);
  const isReady = waitingFor.length === 0;
  return {
    patch: {
      ...FREE,
      status: isReady ? 'available' : 'waiting',
      failures: 0,
      reason: action.reason ?? null,
      changedAt: who.at,
    },
    tell: ['task.retried', ...(isReady ? (['task.available'] as const) : [])],
    ...(deadline !== undefined &&
      !context.overdue && { timers: [{ id: DEADLINE, delayMs: deadline - who.at }] }),
  };
}

export function amend(context: TaskContext, action: Of<'amend'>, who: Who): Verdict {
  if (!steers(who.by) && who.by !== context.addedBy)
    return refuse('not_permitted', `${who.by} may not change it`);
  const { priority, deadline, title } = action;
  return {
    patch: {
      ...(priority !== undefined && { priority }),
      ...(title !== undefined && { title }),
      ...(deadline !== undefined && { deadline: deadline ?? undefined, overdue: false }),
      changedAt: who.at,
    },
    tell: ['task.amended'],
    ...(deadline === null && { cancelled: [DEADLINE] }),
    ...(typeof deadline === 'number' &&
      !isEnded(context) && { timers: [{ id: DEADLINE, delayMs: deadline - who.at }] }),
  };
}
