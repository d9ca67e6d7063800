/**
 * What a session decides. Pure.
 *
 * S1  Only it (or who steers) registers it, sends it away, or lets it look for work.
 * S2  It is present for as long as its lease, which the driver `lease` watches; its claims have leases of their own, so a
 *     crash of its process leaves them to it for a lease time, and then to others. Who never registered is a guest: there
 *     while it has a task, and offered none.
 * S3  A process that slept comes back where nothing else has happened meanwhile: not over a successor, nor where it was
 *     sent away.
 */
import { type Heard, type Outcome, TIMER_EVENT } from '#machines/decided';
import { FabricError } from '#schemas/fabric-error';
import { type IFMessage, messageOf } from '#schemas/if-message';
import { BID_EVENT } from '#schemas/round';
import { type SessionAction, sessionActionSchema } from '#schemas/session';
import { busyness, isHere, type Question, type SessionContext, sessionView } from './context.ts';
import { sessionErrors } from './errors.ts';
import {
  heardTask,
  isLooking,
  lapsed,
  look,
  lookedAnew,
  MATCH,
  OFFER,
  offered,
  settled,
  TASK_MAIL,
} from './tasks.ts';
import { firstWeight } from './weight.ts';

/** Unanswered questions and hazards a session keeps: the newest; the log has all. */
const KEPT_MAX = 50;
/** Refused offers that are remembered. */
const DECLINED_MAX = 100;
const LEASE = 'lease';
/** A watch, or a look for work, that failed is begun again after this. */
const AGAIN_MS = 10_000;
export const REWATCH = 'rewatch';
export const RELOOK = 'relook';
/** Types of actors that may speak for any session. */
const STEERING: ReadonlySet<string> = new Set(['operator', 'person', 'supervisor', 'swarm', 'breaker']);

export function decideSession(context: SessionContext, heard: Heard): Outcome<SessionContext> {
  const { event, at, from } = heard;
  switch (event.type) {
    case `xstate.done.actor.${LEASE}`:
      return gone(context, at, 'its lease ended', context.lease);
    case `xstate.error.actor.${LEASE}`:
      return unwatched(context);
    case `${TIMER_EVENT}${REWATCH}`:
      return { effects: watched(context) };
    case `xstate.done.actor.${MATCH}`:
      return offered(context, event['output'], at);
    case `xstate.done.actor.${OFFER}`:
      return lapsed(context, event['output'], at);
    case `xstate.error.actor.${MATCH}`:
    case `xstate.error.actor.${OFFER}`:
      return {
        ended: [MATCH, OFFER],
        timers: [{ id: RELOOK, delayMs: AGAIN_MS }],
        log: { severity: 'WARN', message: { type: 'no_match', session: context.id } },
      };
    case `${TIMER_EVENT}${RELOOK}`:
      return isLooking(context) ? { ended: [MATCH], effects: [look(context)] } : {};
  }
  if ((TASK_MAIL as readonly string[]).includes(event.type))
    return from?.startsWith('task/') === true ? heardTask(context, event, at) : {};
  const message = messageOf(event);
  return message === undefined ? plain(context, heard) : heardMessage(context, message, heard);
}

function plain(context: SessionContext, { event, at, self, from }: Heard): Outcome<SessionContext> {
  const { type, ...rest } = event;
  const parsed = sessionActionSchema.safeParse({ ...rest, action: type.slice('session.'.length) });
  if (!parsed.success) {
    return { reply: { accepted: false, code: 'bad_action', reason: 'this is not an action of a session' } };
  }
  return act(context, parsed.data, from ?? '', self, at);
}

function act(
  context: SessionContext,
  action: SessionAction,
  by: string,
  self: string,
  at: number,
): Outcome<SessionContext> {
  if (context.status === 'absent' && action.action !== 'register') {
    throw new FabricError(sessionErrors.unknown_session, `Nobody registered session ${context.id}`, {
      details: { session: context.id },
    });
  }
  if (action.action === 'get') return { reply: sessionView(context) };
  // S1.
  if (by !== self && !STEERING.has(by.slice(0, by.indexOf('/')))) {
    return { reply: { accepted: false, code: 'not_permitted', reason: `${by} does not speak for ${self}` } };
  }
  const outcome = steered(context, action, at);
  return { ...outcome, reply: { accepted: true, session: sessionView({ ...context, ...outcome.patch }) } };
}

function steered(
  context: SessionContext,
  action: Exclude<SessionAction, { action: 'get' }>,
  at: number,
): Outcome<SessionContext> {
  switch (action.action) {
    case 'register':
      // S3.
      if (action.back === true && (context.status !== 'gone' || context.lapsed !== action.lease)) return {};
      if (action.keep === true) return amended(context, action, at);
      return registered(context, action, at);
    case 'leave':
      // S2: the word of a process whose successor is present by now.
      if (action.lease !== undefined && context.lease !== null && action.lease !== context.lease) return {};
      return gone(context, at, 'it left');
    case 'presence':
      return present(context, action.status, at);
    case 'bid': {
      const { id, weight, profile, capabilities } = context;
      const bid = { session: id, confidence: action.confidence, weight, profile, capabilities };
      return { mail: [{ to: `round/${action.round}`, event: { type: BID_EVENT, ...bid } }] };
    }
    case 'next':
      if (!isHere(context)) return {};
      return {
        patch: { offered: null, declined: [] },
        ended: [MATCH, OFFER],
        effects: [look({ ...context, declined: [] })],
      };
    case 'decline':
      return declined(context, action.task, at);
  }
}

function registered(
  context: SessionContext,
  action: Extract<SessionAction, { action: 'register' }>,
  at: number,
): Outcome<SessionContext> {
  const { lease, leaseMs, swarm = context.swarm } = action;
  const profile = action.profile ?? context.profile;
  const change = settled(
    // It looks anew with what it can do now.
    { ...context, status: 'gone' },
    {
      status: busyness(context.tasks),
      isGuest: false,
      capabilities: action.capabilities ?? context.capabilities,
      profile,
      ...(swarm !== undefined && { swarm }),
      ...(context.status === 'absent' && { weight: firstWeight(profile) }),
      lease: lease ?? null,
      leaseMs,
      offered: null,
    },
    at,
    'session.registered',
  );
  return {
    ...change,
    ended: [...(change.ended ?? []), LEASE],
    cancelled: [REWATCH],
    effects: [...(change.effects ?? []), ...watched({ lease: lease ?? null, leaseMs })],
    mail: [
      ...(context.swarm === swarm ? [] : leftSwarm(context, 'it joined another')),
      ...(swarm === undefined
        ? []
        : [{ to: `swarm/${swarm}`, event: { type: 'swarm.joined', session: context.id } }]),
    ],
  };
}

/** S2: others may know what it can do, not whether it is there. Its lease and what it was offered stay. */
function amended(
  context: SessionContext,
  action: Extract<SessionAction, { action: 'register' }>,
  at: number,
): Outcome<SessionContext> {
  const profile = action.profile ?? context.profile;
  const can = { profile, capabilities: action.capabilities ?? context.capabilities };
  if (context.status === 'absent') {
    const first = { ...can, status: 'away', weight: firstWeight(profile) } as const;
    return settled(context, first, at, 'session.registered');
  }
  const change = settled(context, can, at);
  return isLooking(context) ? { ...change, ...lookedAnew({ ...context, ...change.patch }) } : change;
}

function watched({ lease, leaseMs }: Pick<SessionContext, 'lease' | 'leaseMs'>) {
  return lease === null ? [] : [{ id: LEASE, driver: 'lease', input: { lease, ms: leaseMs } }];
}

/** The driver gave up: nobody knows whether it is still there, and it would not hear that it was taken for gone. */
function unwatched({ id, lease }: SessionContext): Outcome<SessionContext> {
  if (lease === null) return { ended: [LEASE] };
  return {
    ended: [LEASE],
    timers: [{ id: REWATCH, delayMs: AGAIN_MS }],
    log: { severity: 'WARN', message: { type: 'lease_unwatched', session: id } },
  };
}

/** S2. */
function gone(
  context: SessionContext,
  at: number,
  reason: string,
  lapsed: string | null = null,
): Outcome<SessionContext> {
  if (context.status === 'gone' || context.status === 'absent') return { ended: [LEASE, MATCH, OFFER] };
  const change = settled(
    context,
    { status: 'gone', isGuest: false, lease: null, lapsed, offered: null },
    at,
    'session.gone',
  );
  return {
    ...change,
    ended: [LEASE, MATCH, OFFER],
    cancelled: [REWATCH],
    mail: leftSwarm(context, reason),
  };
}

function leftSwarm({ swarm, id }: SessionContext, reason: string) {
  return swarm === undefined
    ? []
    : [{ to: `swarm/${swarm}`, event: { type: 'swarm.left', session: id, reason } }];
}

function declined(context: SessionContext, task: string, at: number): Outcome<SessionContext> {
  const all = [...context.declined.filter((id) => id !== task), task].slice(-DECLINED_MAX);
  const patch = { declined: all, offered: context.offered?.task === task ? null : context.offered };
  const next = { ...context, ...patch, changedAt: at };
  return {
    patch: { ...patch, changedAt: at },
    tell: [{ type: 'session.changed', session: sessionView(next) }],
    ended: [...(isLooking(context) ? [MATCH] : []), ...(next.offered === null ? [OFFER] : [])],
    ...(isLooking(context) && { effects: [look(next)] }),
  };
}

function present(context: SessionContext, status: 'here' | 'away', at: number): Outcome<SessionContext> {
  if (status === 'here') {
    if (context.status !== 'away') return {};
    return settled(context, { status: busyness(context.tasks), isGuest: false }, at);
  }
  return isHere(context) ? settled(context, { status: 'away', offered: null }, at) : {};
}

/** Messages of others; the action of one from itself counts like an event. */
function heardMessage(
  context: SessionContext,
  message: IFMessage,
  { at, from: by }: Heard,
): Outcome<SessionContext> {
  const { from, conversation, performative, content } = message;
  const question: Question = { from, conversation, content: content ?? null };
  const heard: Partial<SessionContext> = {
    heard: context.heard + 1,
    lastHeardAt: at,
    ...(performative === 'escalate' && { escalations: kept(context.escalations, question) }),
    ...(performative !== 'escalate' &&
      actionIn(content) === 'help_wanted' && { helpWanted: kept(context.helpWanted, question) }),
  };
  const reply = { accepted: true };
  const parsed = sessionActionSchema.safeParse(content);
  // An unsigned message may name anybody.
  const isItself = (by ?? from.replace(/^if:\/\//, '')) === `session/${context.id}`;
  if (!parsed.success || !isItself || parsed.data.action === 'get') return { patch: heard, reply };
  const outcome = steered(context, parsed.data, at);
  return { ...outcome, patch: { ...heard, ...outcome.patch }, reply };
}

function kept(list: readonly Question[], question: Question): readonly Question[] {
  return [...list, question].slice(-KEPT_MAX);
}

function actionIn(content: unknown): unknown {
  return typeof content === 'object' && content !== null && 'action' in content ? content.action : undefined;
}
