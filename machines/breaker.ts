/**
 * A circuit breaker of a worker or a provider: closed, open, half open.
 *
 * K1  So many failures in a row open it; a success in between begins the count anew.
 * K2  After the cool-down one probe at a time is let through. Its success closes; its failure or its silence opens again,
 *     for twice as long.
 * K3  An exhausted budget opens it for good: only who steers closes it, with a reason, and only once the budget itself has
 *     said that it goes on, or was closed.
 * K4  Whom it guards cannot reset it: neither by order, nor by a word about itself.
 * K5  Every change is an entry with its reason; opening and closing are told to the worker and to who is named.
 */
import {
  BREAKER_STATUSES,
  type BreakerAction,
  type BreakerRefusal,
  type BreakerReply,
  type BreakerRules,
  type BreakerView,
  breakerActionSchema,
  breakerInputSchema,
} from '#schemas/breaker';
import { BUDGET_TYPE } from '#schemas/budget';
import { decidedMachine, type Heard, type Outcome, TIMER_EVENT } from './decided.ts';
import { heardNotice, noticeOf } from './notice.ts';

const COOL_DOWN = 'cool-down';
const PROBE = 'probe';

export interface BreakerContext extends BreakerView {
  readonly rules: BreakerRules;
  /** Openings since it was closed. */
  readonly trips: number;
  /** Messages it has sent. */
  readonly seq: number;
}

export const breaker = {
  name: 'breaker',
  version: 1,
  machine: decidedMachine<BreakerContext>({
    id: 'breaker',
    version: '1',
    statuses: BREAKER_STATUSES,
    hears: ['breaker.*', 'budget.*', `${TIMER_EVENT}${COOL_DOWN}`, `${TIMER_EVENT}${PROBE}`],
    drivers: [],
    context: (input, self) => ({
      id: self.slice(self.indexOf('/') + 1),
      rules: breakerInputSchema.parse(input ?? {}),
      status: 'closed',
      failures: 0,
      cause: null,
      reason: null,
      changedAt: null,
      retryAt: null,
      probe: null,
      budgets: [],
      trips: 0,
      seq: 0,
    }),
    decide,
  }),
};

/** Who trips and resets. */
const STEERING: ReadonlySet<string> = new Set(['operator', 'person', 'governor', 'council']);

function decide(context: BreakerContext, heard: Heard): Outcome<BreakerContext> {
  const { event, from = '', at } = heard;
  if (event.type === `${TIMER_EVENT}${COOL_DOWN}`) {
    return changed(context, heard, { status: 'half_open', retryAt: null, probe: null });
  }
  if (event.type === `${TIMER_EVENT}${PROBE}`) {
    if (context.status !== 'half_open') return {};
    return opened(context, heard, 'failures', `nothing was heard of the probe of ${context.probe}`);
  }
  if (event.type.startsWith('budget.')) return budgetSaid(context, heard);
  const parsed = breakerActionSchema.safeParse({ ...event, action: event.type.slice('breaker.'.length) });
  if (!parsed.success) return refused(context, 'bad_breaker_action', 'this is not an action of a breaker');
  return act(context, parsed.data, { ...heard, from, at });
}

function act(
  context: BreakerContext,
  action: BreakerAction,
  heard: Heard & { readonly from: string },
): Outcome<BreakerContext> {
  const { from } = heard;
  switch (action.action) {
    case 'get':
      return { reply: accepted(context) };
    case 'may':
      return isOwn(context, from) ? noWord(context, from) : may(context, heard);
    case 'report':
      return isOwn(context, from) ? noWord(context, from) : reported(context, action, heard);
    case 'guard':
      return guards(context, action.budget, from);
  }
  // K4.
  if (!STEERING.has(from.slice(0, Math.max(0, from.indexOf('/')))))
    return refused(
      context,
      'breaker_not_permitted',
      `${from} may not ${action.action} the breaker of ${context.id}`,
    );
  if (action.action === 'trip')
    return answered(context, opened(context, heard, 'order', `${from}: ${action.reason}`));
  return reset(context, action.reason, heard);
}

/** K4. */
function isOwn({ id }: BreakerContext, from: string): boolean {
  return from.replace('/', ':') === id;
}

function noWord(context: BreakerContext, from: string): Outcome<BreakerContext> {
  return refused(context, 'breaker_not_permitted', `${from} has no word about itself`);
}

/** K2. */
function may(
  context: BreakerContext,
  { from, at }: Heard & { readonly from: string },
): Outcome<BreakerContext> {
  const { status, probe, rules, retryAt, reason } = context;
  if (status === 'closed') return { reply: accepted(context) };
  if (status === 'half_open' && probe === null) {
    const patch = { probe: from };
    return {
      patch,
      reply: { ...accepted({ ...context, ...patch }), probe: true },
      timers: [{ id: PROBE, delayMs: rules.probeMs }],
    };
  }
  const when =
    status === 'half_open'
      ? `${probe} probes`
      : retryAt === null
        ? 'somebody has to reset it'
        : `it is tried again in ${Math.ceil(Math.max(0, retryAt - at) / 1_000)} s`;
  return refused(context, 'breaker_open', `the breaker of ${context.id} is ${status}: ${reason}; ${when}`);
}

/** K1, K2. */
function reported(
  context: BreakerContext,
  { ok, reason = 'no reason given' }: Extract<BreakerAction, { action: 'report' }>,
  heard: Heard & { readonly from: string },
): Outcome<BreakerContext> {
  const { status, failures, rules, probe } = context;
  if (status === 'half_open' && probe === heard.from) {
    return answered(
      context,
      ok
        ? closed(context, heard, 'its probe went well')
        : opened(context, heard, 'failures', `its probe failed: ${reason}`),
    );
  }
  // What was begun before it opened says nothing new.
  if (status !== 'closed') return { reply: accepted(context) };
  if (ok) return answered(context, failures === 0 ? {} : { patch: { failures: 0 } });
  const patch = { failures: failures + 1 };
  if (patch.failures < rules.failuresMax) return answered(context, { patch });
  const why = `${patch.failures} failures in a row, the last: ${reason}`;
  const change = opened({ ...context, ...patch }, heard, 'failures', why);
  return answered(context, { ...change, patch: { ...patch, ...change.patch } });
}

function guards(context: BreakerContext, budget: string, from: string): Outcome<BreakerContext> {
  if (!STEERING.has(from.slice(0, Math.max(0, from.indexOf('/')))) || !budget.startsWith(`${BUDGET_TYPE}/`))
    return refused(context, 'breaker_not_permitted', `${from} may not tie ${context.id} to ${budget}`);
  const known = context.budgets.some((one) => one.budget === budget);
  const patch = known ? {} : { budgets: [...context.budgets, { budget, exhausted: false }] };
  return { ...answered(context, { patch }), mail: [{ to: budget, event: { type: 'budget.follow' } }] };
}

/** A budget that was closed has nothing to wait for: it may be reset, and is followed on for when it is opened anew. */
const BUDGET_NEWS: ReadonlySet<string> = new Set(['budget.exhausted', 'budget.resumed', 'budget.closed']);

/** K3. */
function budgetSaid(context: BreakerContext, heard: Heard): Outcome<BreakerContext> {
  const { event, from } = heard;
  if (context.budgets.every(({ budget }) => budget !== from)) return {};
  if (!BUDGET_NEWS.has(event.type)) return {};
  const exhausted = event.type === 'budget.exhausted';
  const budgets = context.budgets.map((one) => (one.budget === from ? { ...one, exhausted } : one));
  if (!exhausted) return { patch: { budgets } };
  const change = opened({ ...context, budgets }, heard, 'budget', `${from} is exhausted`);
  return { ...change, patch: { budgets, ...change.patch } };
}

function reset(
  context: BreakerContext,
  reason: string,
  heard: Heard & { readonly from: string },
): Outcome<BreakerContext> {
  if (context.status === 'closed')
    return refused(context, 'breaker_closed', `the breaker of ${context.id} is closed`);
  const empty = context.budgets.filter(({ exhausted }) => exhausted).map(({ budget }) => budget);
  if (empty.length > 0)
    return refused(
      context,
      'budget_still_exhausted',
      `${context.id} stays open: ${empty.join(', ')} has nothing left`,
    );
  return answered(context, closed(context, heard, `${heard.from}: ${reason}`));
}

function opened(
  context: BreakerContext,
  heard: Heard,
  cause: NonNullable<BreakerView['cause']>,
  reason: string,
): Outcome<BreakerContext> {
  // Failures come to an end by themselves, an empty budget does not.
  if (context.status === 'open' && context.cause === 'budget' && cause !== 'budget') return {};
  const { coolDownMs, coolDownMsMax } = context.rules;
  const waitMs = Math.min(coolDownMsMax, coolDownMs * 2 ** Math.min(30, context.trips));
  const heals = cause === 'failures';
  return {
    ...changed(context, heard, {
      status: 'open',
      cause,
      reason,
      probe: null,
      trips: context.trips + 1,
      retryAt: heals ? heard.at + waitMs : null,
    }),
    cancelled: [PROBE, ...(heals ? [] : [COOL_DOWN])],
    ...(heals && { timers: [{ id: COOL_DOWN, delayMs: waitMs }] }),
  };
}

function closed(context: BreakerContext, heard: Heard, reason: string): Outcome<BreakerContext> {
  return {
    ...changed(context, heard, {
      status: 'closed',
      cause: null,
      reason,
      probe: null,
      trips: 0,
      failures: 0,
      retryAt: null,
    }),
    cancelled: [PROBE, COOL_DOWN],
  };
}

/** K5. */
function changed(
  context: BreakerContext,
  { self, at }: Heard,
  patch: Partial<BreakerContext>,
): Outcome<BreakerContext> {
  const next = { ...context, ...patch, changedAt: at };
  const { id, status, cause, reason, rules } = next;
  const seq = context.seq + 1;
  const isOpen = status === 'open';
  const worker = rules.workers && id.startsWith('session:') ? id.slice('session:'.length) : undefined;
  const to = [...rules.tells, ...(worker === undefined ? [] : [`session/${worker}`])];
  const text = `breaker of ${id} is ${status}${reason === null ? '' : `: ${reason}`}`;
  const content = { action: 'breaker', text, breaker: id, status, cause, retryAt: next.retryAt };
  const message = noticeOf({ self, at, seq, to, topic: 'breaker', content, isGrave: isOpen });
  return {
    patch: { ...patch, changedAt: at, ...(status !== 'half_open' && { seq }) },
    tell: [{ type: `breaker.${status}`, breaker: viewOf(next) }],
    log: { severity: isOpen ? 'HIGH' : 'WARN', message: { type: 'breaker', message } },
    mail: [
      ...(status === 'half_open' ? [] : to.map((one) => heardNotice(one, message))),
      ...(worker === undefined ? [] : keptFromWork(worker, status, reason)),
    ],
  };
}

/** No work is offered or given to it while it is open; half open, the governor gives it one task. */
function keptFromWork(worker: string, status: BreakerView['status'], reason: string | null) {
  const state = status === 'half_open' ? 'half-open' : status;
  const why = reason === null ? {} : { reason: reason.slice(0, 2_000).toWellFormed() };
  const presence = status === 'open' ? 'away' : 'here';
  return [
    { to: `session/${worker}`, event: { type: 'session.presence', status: presence } },
    { to: `worker/${worker}`, event: { type: 'worker.breaker', state, ...why } },
  ];
}

function answered(context: BreakerContext, outcome: Outcome<BreakerContext>): Outcome<BreakerContext> {
  return { ...outcome, reply: accepted({ ...context, ...outcome.patch }) };
}

function accepted(context: BreakerContext): BreakerReply & { readonly accepted: true } {
  return { accepted: true, breaker: viewOf(context) };
}

function refused(context: BreakerContext, code: BreakerRefusal, reason: string): Outcome<BreakerContext> {
  return { reply: { accepted: false, code, reason, breaker: viewOf(context) } satisfies BreakerReply };
}

export function viewOf({ rules: _, trips: __, seq: ___, ...view }: BreakerContext): BreakerView {
  return { ...view, budgets: view.budgets.map((one) => ({ ...one })) };
}
