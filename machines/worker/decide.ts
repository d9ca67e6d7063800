/**
 * What the governor decides about one worker. Pure.
 *
 * K1  One place decides for one worker: its slots are counted here, so that tasks which ask at the same moment never get
 *     more of it than `maxConcurrent`. A permitted slot is held until the task says what became of it.
 * K2  Every permit and every refusal is an entry with all factors.
 * K3  Its reputation moves by what tasks say, and by nothing else; who works cannot write to it. A component that is
 *     registered as a worker is judged by its runs instead, and its actor by its own alone.
 * K4  The end of an earlier claim says nothing of the one that counts now.
 * K5  While its budget is exhausted it gets no work, whatever that would cost; its face says so.
 */
import { z } from 'zod';
import type { Heard, Outcome } from '#machines/decided';
import { evaluate, unregistered } from '#machines/registry/evaluate';
import { afterResult, firstReputation } from '#machines/registry/reputation';
import { BREAKER_TYPE } from '#schemas/breaker';
import { faceOf, TREE_DEFAULT } from '#schemas/budget';
import { FabricError } from '#schemas/fabric-error';
import { COMPONENT_TYPE } from '#schemas/service-contract';
import { type WorkerAction, workerActionSchema } from '#schemas/worker';
import { figuresOf, type HeldWork, type WorkerContext, workerView } from './context.ts';
import { workerErrors } from './errors.ts';

const taskMailSchema = z.object({ task: z.string().max(200), token: z.number().default(0) });

/** Whose word counts, by action: types of actors. */
const SPEAKERS: Readonly<Record<Exclude<WorkerAction['action'], 'get'>, ReadonlySet<string>>> = {
  profile: new Set(['registry']),
  permit: new Set(['task']),
  breaker: new Set(['breaker', 'governor', 'operator', 'person']),
  budget: new Set(['budget', 'governor']),
  reputation: new Set([COMPONENT_TYPE]),
  retire: new Set(['operator', 'person', 'supervisor', 'governor']),
};

export function decideWorker(context: WorkerContext, heard: Heard): Outcome<WorkerContext> {
  const { event, from = '', at } = heard;
  const speaker = from.slice(0, from.indexOf('/'));
  if (event.type.startsWith('budget.'))
    return from === budgetOf(context.id) ? heardBudget(context, event.type, at) : {};
  if (event.type.startsWith('task.')) return speaker === 'task' ? heardTask(context, event, at) : {};
  const { type, ...rest } = event;
  const parsed = workerActionSchema.safeParse({ ...rest, action: type.slice('worker.'.length) });
  if (!parsed.success) return refused('bad_action', 'this is not an action of a worker');
  const action = parsed.data;
  if (action.action === 'get') {
    if (context.status === 'absent')
      throw new FabricError(workerErrors.unknown_worker, `Nobody registered worker ${context.id}`);
    return { reply: workerView(context) };
  }
  const isForeign = action.action === 'reputation' && from !== `${COMPONENT_TYPE}/${context.id}`; // K3.
  if (isForeign || !SPEAKERS[action.action].has(speaker)) return refused('not_permitted', `${from} may not`);
  if (action.action === 'permit') return permit(context, action.need, at);
  return { ...steered(context, action, at), reply: { accepted: true } };
}

function steered(
  context: WorkerContext,
  action: Exclude<WorkerAction, { action: 'get' | 'permit' }>,
  at: number,
): Outcome<WorkerContext> {
  switch (action.action) {
    case 'profile': {
      const { profile, taxonomyVersion, rules } = action;
      const isNew = context.status === 'absent';
      const first = isNew ? { reputation: firstReputation(at), idleSince: at } : {};
      const patch = {
        ...first,
        status: 'registered' as const,
        profile,
        taxonomyVersion,
        rules,
        // What a face said counts for as long as it is heard.
        ...(context.rules.budgets && !rules.budgets && { budgetLeftMicros: null }),
      };
      const mail = followOrders(context, rules);
      return { ...changed(context, patch, at, 'worker.registered'), mail };
    }
    case 'retire':
      return changed(context, { status: 'retired' }, at, 'worker.retired');
    case 'breaker':
      return changed(context, { breaker: action.state }, at);
    case 'reputation':
      return changed(context, { reputation: action.reputation }, at);
    case 'budget':
      return changed(context, { budgetLeftMicros: action.leftMicros }, at);
  }
}

/** K1, K2. */
function permit(
  context: WorkerContext,
  need: Extract<WorkerAction, { action: 'permit' }>['need'],
  at: number,
): Outcome<WorkerContext> {
  const figures = figuresOf(context, at);
  const verdict = figures === undefined ? unregistered(context.id) : evaluate(need, figures, context.rules);
  const permitted = verdict.refusals.length === 0;
  const held: HeldWork = {
    id: need.task,
    token: 0,
    estimateMicros: verdict.factors?.estimateMicros ?? 0,
  };
  const tasks = permitted ? [...without(context.tasks, need.task), held] : context.tasks;
  return {
    ...changed(context, { last: verdict, tasks, ...(permitted && { idleSince: null }) }, at),
    mail: [
      { to: `task/${need.task}`, event: { type: 'task.permit', worker: context.id, permitted, verdict } },
      // What becomes of this one is the probe.
      ...(permitted && context.breaker === 'half-open' ? toBreaker(context, { type: 'breaker.may' }) : []),
    ],
    log: { severity: 'INFO', message: { type: 'assignment', task: need.task, permitted, ...verdict } },
  };
}

/** K3, K4. */
function heardTask(context: WorkerContext, event: Heard['event'], at: number): Outcome<WorkerContext> {
  const parsed = taskMailSchema.safeParse(event);
  if (!parsed.success) return {};
  const { task, token } = parsed.data;
  const before = context.tasks.find(({ id }) => id === task);
  const others = without(context.tasks, task);
  if (event.type === 'task.claimed') {
    const held = { id: task, token, estimateMicros: before?.estimateMicros ?? 0 };
    return changed(context, { tasks: [...others, held], idleSince: null }, at);
  }
  if (!ENDS.has(event.type) || before === undefined || before.token > token) return {};
  const freed = { tasks: others, idleSince: others.length === 0 ? at : context.idleSince };
  const isSuccess = SUCCESS.get(event.type);
  if (isSuccess === undefined) return changed(context, freed, at);
  const reputation = afterResult(context.reputation, isSuccess, at);
  const count = isSuccess ? { completed: context.completed + 1 } : { failed: context.failed + 1 };
  const [is, was] = [reputation.value, context.reputation.value];
  return {
    ...changed(context, { ...freed, ...count, reputation }, at),
    mail: toBreaker(context, {
      type: 'breaker.report',
      ok: isSuccess,
      reason: `${event.type.replace('.', ' ')}: ${task}`,
    }),
    log: {
      severity: 'INFO',
      message: { type: 'reputation', worker: context.id, was, is, task, because: event.type },
    },
  };
}

/** K5. */
function heardBudget(context: WorkerContext, type: string, at: number): Outcome<WorkerContext> {
  const isNews = type === 'budget.exhausted' || type === 'budget.resumed';
  if (!isNews || !context.rules.budgets) return {};
  return changed(context, { budgetLeftMicros: type === 'budget.exhausted' ? 0 : null }, at);
}

/** By custom an account is named for whose it is. */
function budgetOf(worker: string): string {
  return faceOf(TREE_DEFAULT, `session:${worker}`);
}

function followOrders(
  { id, rules: before }: WorkerContext,
  rules: WorkerContext['rules'],
): NonNullable<Outcome<WorkerContext>['mail']> {
  if (!rules.budgets && !before.budgets) return [];
  // Told again it follows still.
  return [{ to: budgetOf(id), event: { type: rules.budgets ? 'budget.follow' : 'budget.unfollow' } }];
}

/** Given back or called off says nothing of the worker; a lease that ran out does. */
const SUCCESS: ReadonlyMap<string, boolean> = new Map([
  ['task.completed', true],
  ['task.failed', false],
  ['task.expired', false],
]);
const ENDS: ReadonlySet<string> = new Set([...SUCCESS.keys(), 'task.released', 'task.cancelled']);

function changed(
  context: WorkerContext,
  patch: Partial<WorkerContext>,
  at: number,
  type = 'worker.changed',
): Outcome<WorkerContext> {
  const moved = { ...patch, changedAt: at };
  return { patch: moved, tell: [{ type, worker: workerView({ ...context, ...moved }) }] };
}

/** Nobody, where the rules name no breakers. */
function toBreaker(
  { id, rules }: WorkerContext,
  event: { readonly type: string; readonly [field: string]: unknown },
): NonNullable<Outcome<WorkerContext>['mail']> {
  return rules.breakers ? [{ to: `${BREAKER_TYPE}/session:${id}`, event }] : [];
}

function without(tasks: readonly HeldWork[], task: string): readonly HeldWork[] {
  return tasks.filter(({ id }) => id !== task);
}

function refused(code: string, reason: string): Outcome<WorkerContext> {
  return { reply: { accepted: false, code, reason } };
}
