/**
 * What tasks tell the session that has them.
 *
 * N1  Never idle: who has nothing to do, or only blocked tasks, looks for work (the driver `match` waits until there is
 *     some), and is offered the best match; while blocked only fillers. An offer that another took is followed by the
 *     next one: at once where the driver has one, else by a look for it.
 * N2  When a blocker clears, fillers are given back: the task itself goes on.
 */
import type { AnyEventObject } from 'xstate';
import { z } from 'zod';
import type { Outcome } from '#machines/decided';
import { busyness, type HeldTask, isHere, type SessionContext, sessionView } from './context.ts';
import { isLateBloomer, nextWeight, remembered } from './weight.ts';

export const MATCH = 'match';
/** Waits until the task that it was offered is another's, or nobody's to take. */
export const OFFER = 'offer';
/** Tasks a session holds at once. */
const TASKS_MAX = 100;

const taskMailSchema = z.object({
  task: z.string().max(200),
  token: z.number().default(0),
  filler: z.boolean().default(false),
  /** It was passed on as it stood. */
  blocked: z.boolean().default(false),
  confidence: z.number().min(0).max(1).optional(),
  costMicros: z.number().min(0).optional(),
});

const offerSchema = z.object({ task: z.string().max(200), match: z.number(), filler: z.boolean() });
const lapsedSchema = z.object({ next: offerSchema.optional() });

type Offer = z.infer<typeof offerSchema>;

export const TASK_MAIL = [
  'task.claimed',
  'task.released',
  'task.expired',
  'task.completed',
  'task.failed',
  'task.cancelled',
  'task.blocked',
  'task.unblocked',
  'task.help_wanted',
  'task.help_over',
] as const;

export function heardTask(
  context: SessionContext,
  event: AnyEventObject,
  at: number,
): Outcome<SessionContext> {
  const parsed = taskMailSchema.safeParse(event);
  if (!parsed.success) return {};
  const { task, token, filler, blocked, confidence, costMicros } = parsed.data;
  const others = context.tasks.filter(({ id }) => id !== task);
  switch (event.type) {
    case 'task.claimed': {
      const tasks = [...others, { id: task, token, filler, blocked }].slice(-TASKS_MAX);
      const isGuest = context.isGuest || context.status === 'absent';
      return settled(context, { isGuest, ...moved({ ...context, isGuest }, tasks) }, at);
    }
    case 'task.completed': {
      const change = resulted(context, others, confidence ?? 1, at);
      const told = claimEnded(context, change, event.type, task, token);
      return { ...told, mail: spent(context, task, costMicros) };
    }
    case 'task.failed': {
      const change = resulted(context, others, undefined, at);
      return claimEnded(context, change, event.type, task, token);
    }
    case 'task.released':
    case 'task.expired':
    case 'task.cancelled': {
      // The end of an earlier claim says nothing of the one it has now.
      const isOlder = context.tasks.some((held) => held.id === task && held.token > token);
      const change = isOlder ? {} : settled(context, moved(context, others), at);
      return claimEnded(context, change, event.type, task, token);
    }
    case 'task.blocked':
      return settled(context, moved(context, marked(context.tasks, task, true)), at);
    case 'task.unblocked':
      return recalled(context, task, at);
    case 'task.help_wanted': {
      const { id } = context;
      const details = { task, requires: event['requires'], reason: event['reason'] ?? null };
      return { tell: [{ type: 'session.help_wanted', session: sessionView(context), ...details, id }] };
    }
    default:
      return {};
  }
}

/** Tells it its client, which need not be who ended it. */
function claimEnded(
  context: SessionContext,
  change: Outcome<SessionContext>,
  type: string,
  task: string,
  token: number,
): Outcome<SessionContext> {
  const session = sessionView({ ...context, ...change.patch });
  const why = type.slice('task.'.length);
  const ended = { type: 'session.claim_ended', session, task, token, why };
  return { ...change, tell: [...(change.tell ?? []), ended] };
}

/** What a change of tasks makes of it. What it won while it is not there is its own; it alone brings itself back (S2). */
function moved(context: SessionContext, tasks: readonly HeldTask[]): Partial<SessionContext> {
  if (context.isGuest) return { tasks, status: tasks.length === 0 ? 'away' : busyness(tasks) };
  return { tasks, ...(isHere(context) && { status: busyness(tasks) }) };
}

/**
 * N1: looks for work where it has none, and stops looking where it has. What it was offered counts for as long as it looks
 * for the same: nothing is kept for who is busy.
 */
export function settled(
  context: SessionContext,
  change: Partial<SessionContext>,
  at: number,
  name = 'session.changed',
): Outcome<SessionContext> {
  const changed = { ...context, ...change };
  const looksOn = isLooking(changed) && context.status === changed.status && changed.tasks === context.tasks;
  const patch = { ...change, offered: looksOn ? changed.offered : null, changedAt: at };
  const next = { ...context, ...patch };
  return {
    patch,
    tell: [{ type: name, session: sessionView(next) }],
    ended: [
      ...(looksOn ? [] : [MATCH]),
      ...(context.offered !== null && next.offered === null ? [OFFER] : []),
    ],
    ...(isLooking(next) && !looksOn && { effects: [look(next)] }),
  };
}

export function look({ id, capabilities, status, declined }: SessionContext) {
  const fillersOnly = status === 'blocked';
  const input = { want: 'task', session: id, capabilities, fillersOnly, declined };
  return { id: MATCH, driver: 'match', input };
}

export function isLooking({ status, isGuest }: Pick<SessionContext, 'status' | 'isGuest'>): boolean {
  return !isGuest && (status === 'idle' || status === 'blocked');
}

/** What the driver found. */
export function offered(context: SessionContext, output: unknown, at: number): Outcome<SessionContext> {
  const parsed = offerSchema.safeParse(output);
  return parsed.success && isHere(context) ? withOffer(context, parsed.data, at) : { ended: [MATCH] };
}

function withOffer(context: SessionContext, offer: Offer, at: number): Outcome<SessionContext> {
  const next = { ...context, offered: offer, changedAt: at };
  return {
    ended: [MATCH, OFFER],
    effects: [followed(next, offer.task)],
    patch: { offered: offer, changedAt: at },
    tell: [{ type: 'session.offered', session: sessionView(next), ...offer }],
  };
}

/** Of the task that it is offered. */
function followed({ id: session, capabilities, status, declined }: SessionContext, task: string) {
  const fillersOnly = status === 'blocked';
  const input = { want: 'taken', session, task, next: { capabilities, fillersOnly, declined } };
  return { id: OFFER, driver: 'match', input };
}

/** With what it can do now, for what comes next: an offer that it has stays. */
export function lookedAnew(context: SessionContext): Pick<Outcome<SessionContext>, 'ended' | 'effects'> {
  const { offered } = context;
  return offered === null
    ? { ended: [MATCH], effects: [look(context)] }
    : { ended: [MATCH, OFFER], effects: [followed(context, offered.task)] };
}

/** N1: what it was offered is gone, and what the driver has instead. */
export function lapsed(context: SessionContext, output: unknown, at: number): Outcome<SessionContext> {
  const parsed = lapsedSchema.safeParse(output);
  const instead = parsed.success ? parsed.data.next : undefined;
  if (instead !== undefined && suits(context, instead)) return withOffer(context, instead, at);
  const next = { ...context, offered: null, changedAt: at };
  return {
    patch: { offered: null, changedAt: at },
    ended: [OFFER, ...(isLooking(context) ? [MATCH] : [])],
    tell: [{ type: 'session.changed', session: sessionView(next) }],
    ...(isLooking(context) && { effects: [look(next)] }),
  };
}

/** The driver was told when it began to follow: much may have changed since. */
function suits(context: SessionContext, { task, filler }: Offer): boolean {
  const isAllowed = filler || context.status !== 'blocked';
  return isLooking(context) && isAllowed && !context.declined.includes(task);
}

/** N2. */
function recalled(context: SessionContext, task: string, at: number): Outcome<SessionContext> {
  if (context.tasks.every(({ id }) => id !== task)) return {};
  const fillers = context.tasks.filter(({ id, filler }) => filler && id !== task);
  const tasks = marked(context.tasks, task, false);
  const change = settled(context, moved(context, tasks), at);
  if (fillers.length === 0) return change;
  const next = { ...context, ...change.patch };
  return {
    ...change,
    mail: fillers.map(({ id, token }) => ({
      to: `task/${id}`,
      event: { type: 'task.release', token, reason: `its worker is back at ${task}` },
    })),
    tell: [
      ...(change.tell ?? []),
      { type: 'session.recalled', session: sessionView(next), task, fillers: fillers.map(({ id }) => id) },
    ],
  };
}

function resulted(
  context: SessionContext,
  tasks: readonly HeldTask[],
  confidence: number | undefined,
  at: number,
): Outcome<SessionContext> {
  const weight = nextWeight(context.profile, context.weight, confidence);
  const weights = remembered(context.weights, context.weight, weight);
  const lateBloomer = isLateBloomer(weights);
  const change = settled(
    context,
    {
      ...moved(context, tasks),
      weight,
      weights,
      lateBloomer,
      ...(confidence === undefined ? { failed: context.failed + 1 } : { completed: context.completed + 1 }),
    },
    at,
  );
  if (!lateBloomer || context.lateBloomer) return change;
  const next = { ...context, ...change.patch };
  return {
    ...change,
    tell: [...(change.tell ?? []), { type: 'session.late_bloomer', session: sessionView(next) }],
    log: { severity: 'INFO', message: { type: 'late_bloomer', session: context.id, weights } },
  };
}

function spent({ id, swarm }: SessionContext, task: string, costMicros: number | undefined) {
  if (swarm === undefined || costMicros === undefined) return [];
  return [{ to: `swarm/${swarm}`, event: { type: 'swarm.spent', session: id, task, costMicros } }];
}

function marked(tasks: readonly HeldTask[], task: string, blocked: boolean): readonly HeldTask[] {
  return tasks.map((held) => (held.id === task ? { ...held, blocked } : held));
}
