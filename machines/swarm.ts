/** A swarm: sessions under one budget and supervisor. It knows who is there and what they spent. */
import type { AnyEventObject } from 'xstate';
import { COSTS_TYPE } from '#schemas/cost';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import {
  SWARM_SESSIONS_MAX,
  SWARM_STATUSES,
  type SwarmAction,
  type SwarmTemplate,
  type SwarmView,
  swarmActionSchema,
} from '#schemas/swarm';
import { decidedMachine, type Heard, type Outcome } from './decided.ts';
import { accountOrders, CREW, type Crew, crewOrders, crewStart, dismissed } from './swarm/crew.ts';

export const swarmErrors = errorKinds({
  unknown_swarm: { retryable: false, help: 'Form it first: `infrafabric swarm spawn`.' },
});

export interface SwarmContext {
  readonly id: string;
  readonly status: (typeof SWARM_STATUSES)[number];
  readonly template: SwarmTemplate | null;
  readonly sessions: readonly string[];
  /** Exact: millionths. */
  readonly spentMicros: number;
  readonly formedAt: number | null;
  readonly crew: Crew;
}

export const swarm = {
  name: 'swarm',
  version: 1,
  machine: decidedMachine<SwarmContext>({
    id: 'swarm',
    version: '1',
    statuses: SWARM_STATUSES,
    hears: ['swarm.*', `xstate.done.actor.${CREW}`, `xstate.error.actor.${CREW}`],
    drivers: [],
    context: (_input, self) => ({
      id: self.slice(self.indexOf('/') + 1),
      status: 'absent',
      template: null,
      sessions: [],
      spentMicros: 0,
      formedAt: null,
      crew: 'none',
    }),
    decide,
  }),
};

/** Who may form and stop swarms. */
const STEERING: ReadonlySet<string> = new Set(['operator', 'person', 'supervisor', 'swarm', 'governor']);

function decide(context: SwarmContext, { event, from, at }: Heard): Outcome<SwarmContext> {
  if (event.type.startsWith('xstate.')) return crewEnded(context, event);
  const parsed = swarmActionSchema.safeParse(actionOf(event));
  if (!parsed.success) return refused('bad_action', 'this is not an action of a swarm');
  const action = parsed.data;
  if (context.status === 'absent' && action.action === 'get') {
    throw new FabricError(swarmErrors.unknown_swarm, `Nobody formed swarm ${context.id}`);
  }
  const by = from ?? '';
  const isAllowed =
    action.action === 'get' ||
    (isOfSession(action) ? by === `session/${action.session}` : STEERING.has(by.slice(0, by.indexOf('/'))));
  if (!isAllowed) return refused('not_permitted', `${by} may not`);
  const outcome = act(context, action, at);
  return { ...outcome, reply: { accepted: true, swarm: swarmView({ ...context, ...outcome.patch }) } };
}

function act(context: SwarmContext, action: SwarmAction, at: number): Outcome<SwarmContext> {
  switch (action.action) {
    case 'get':
      return {};
    case 'form': {
      const patch = {
        template: action.template,
        status: statusOf(action.template, context.spentMicros),
        formedAt: context.formedAt ?? at,
      };
      const { crew, ...orders } = crewOrders(context.crew, context.id, action.template);
      const change = changed(context, { ...patch, crew });
      const mail = [...accountOrders(action.template), ...(change.mail ?? []), ...(orders.mail ?? [])];
      return { ...change, ...orders, mail };
    }
    case 'joined': {
      const others = context.sessions.filter((id) => id !== action.session);
      return changed(context, { sessions: [...others, action.session].slice(-SWARM_SESSIONS_MAX) });
    }
    case 'left':
      return changed(context, { sessions: context.sessions.filter((id) => id !== action.session) });
    case 'spent': {
      // Beyond what is exact nobody counts on.
      const spentMicros = Math.min(Number.MAX_SAFE_INTEGER, context.spentMicros + action.costMicros);
      const status = context.status === 'running' ? statusOf(context.template, spentMicros) : context.status;
      const change = changed(context, { spentMicros, status });
      if (status !== 'exhausted' || context.status === 'exhausted') return change;
      return {
        ...change,
        log: { severity: 'HIGH', message: { type: 'budget_exhausted', swarm: context.id } },
      };
    }
    case 'stop': {
      if (context.crew !== 'running') return changed(context, { status: 'stopped' });
      const stopped = changed(context, { status: 'stopped', crew: 'ending' });
      return { ...stopped, mail: [...(stopped.mail ?? []), dismissed(context.id)] };
    }
  }
}

/** All its processes have ended for good, or failed too often; or it was told to end them. */
function crewEnded(context: SwarmContext, event: AnyEventObject): Outcome<SwarmContext> {
  const { id, template, crew, status } = context;
  if (crew === 'none') return {};
  if (crew === 'ending') {
    // Formed again meanwhile, it has waited for this.
    const starts = status === 'stopped' ? undefined : crewStart(id, template);
    return starts === undefined ? { patch: { crew: 'none' } } : { patch: { crew: 'running' }, starts };
  }
  const failed = event.type.startsWith('xstate.error.');
  const change = changed(context, { crew: 'none', status: 'stopped' });
  if (!failed) return change;
  return { ...change, log: { severity: 'HIGH', message: { type: 'swarm_failed', swarm: context.id } } };
}

function changed(context: SwarmContext, patch: Partial<SwarmContext>): Outcome<SwarmContext> {
  const view = swarmView({ ...context, ...patch });
  const { template, status } = view;
  const supervisor = template?.supervisor;
  const isNews = status !== context.status;
  const following = status === 'running' ? 'costs.follow' : 'costs.unfollow';
  const mail = [
    ...(isNews && supervisor !== undefined
      ? [{ to: supervisor, event: { type: `swarm.${status}`, swarm: context.id } }]
      : []),
    ...(isNews && template?.reports === true
      ? [{ to: `${COSTS_TYPE}/${context.id}`, event: { type: following } }]
      : []),
  ];
  return {
    patch,
    tell: [{ type: 'swarm.changed', swarm: view }],
    ...(mail.length > 0 && { mail }),
  };
}

function statusOf(template: SwarmTemplate | null, spentMicros: number): 'running' | 'exhausted' {
  const limit = template?.budget?.costMicros;
  return limit !== undefined && spentMicros >= limit ? 'exhausted' : 'running';
}

function isOfSession(
  action: SwarmAction,
): action is Extract<SwarmAction, { action: 'joined' | 'left' | 'spent' }> {
  return action.action === 'joined' || action.action === 'left' || action.action === 'spent';
}

export function swarmView({
  id,
  status,
  template,
  sessions,
  spentMicros,
  formedAt,
}: SwarmContext): SwarmView {
  return { id, status, template, sessions: [...sessions], spentMicros, formedAt };
}

function actionOf({ type, ...rest }: AnyEventObject): unknown {
  return { ...rest, action: type.slice('swarm.'.length) };
}

function refused(code: string, reason: string): Outcome<SwarmContext> {
  return { reply: { accepted: false, code, reason } };
}
