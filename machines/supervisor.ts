/** A supervisor as a machine: the rules stand in supervision.ts, the kernel carries out its orders. */
import { enqueueActions, log, setup } from 'xstate';
import { kernelActions, moment } from '#schemas/machine-kit';
import type { SupervisorSpec } from '#schemas/supervisor';
import { begin, type Happening, type Mode, type Order, type Supervision, supervise } from './supervision.ts';

const DONE = 'xstate.done.actor.';
const ERROR = 'xstate.error.actor.';

interface SupervisorEvent {
  readonly type: string;
  readonly childId?: string;
  readonly spec?: SupervisorSpec;
  readonly error?: unknown;
}

const base = setup({
  types: {} as { context: Supervision; input: SupervisorSpec; events: SupervisorEvent },
  actions: kernelActions,
});

const startFirst = enqueueActions<
  Supervision,
  SupervisorEvent,
  undefined,
  SupervisorEvent,
  never,
  never,
  never,
  never,
  never
>(({ context, enqueue }) => carryOut(enqueue, begin(context.spec).orders));

const obey = enqueueActions<
  Supervision,
  SupervisorEvent,
  undefined,
  SupervisorEvent,
  never,
  never,
  never,
  never,
  never
>(({ context, event, enqueue, system }) => {
  const { at, from } = moment(system);
  const happening = read(event, from !== undefined && from === context.spec.budget);
  if (happening === undefined) return;
  const { state, orders } = supervise(context, happening, at);
  enqueue.assign(state);
  carryOut(enqueue, orders);
});

/** The mode is decided with the orders; the machine's state follows it. */
function moves(own: Mode) {
  const others = MODES.filter((mode) => mode !== own);
  return others.map((mode) => ({
    guard: ({ context }: { context: Supervision }) => context.mode === mode,
    target: mode,
  }));
}

const MODES: readonly Mode[] = [
  'starting',
  'running',
  'restarting',
  'applying',
  'escalating',
  'stopping',
  'halting',
  'halted',
  'failed',
  'stopped',
];

const machine = base.createMachine({
  id: 'supervisor',
  version: '1',
  context: ({ input }) => begin(input).state,
  initial: 'starting',
  entry: startFirst,
  on: {
    'child.started': { actions: obey },
    'child.stopped': { actions: obey },
    'config.apply': { actions: obey },
    'config.stop': { actions: obey },
    'budget.exhausted': { actions: obey },
    'budget.resumed': { actions: obey },
    // It is not used up yet.
    'budget.alert': {},
    'xstate.done.actor.*': { actions: obey },
    'xstate.error.actor.*': { actions: obey },
    // A migrated child lives on: nothing to do.
    'child.migrated': {},
  },
  states: {
    starting: { always: moves('starting') },
    running: { always: moves('running') },
    restarting: { always: moves('restarting') },
    applying: { always: moves('applying') },
    escalating: { always: moves('escalating') },
    stopping: { always: moves('stopping') },
    halting: { always: moves('halting') },
    halted: { always: moves('halted') },
    failed: {},
    stopped: { type: 'final' },
  },
});

export const supervisor = { name: 'supervisor', version: 1, machine };

/** Only its own budget halts it. */
function read(event: SupervisorEvent, isOfBudget: boolean): Happening | undefined {
  const { type, childId } = event;
  if (type.startsWith(DONE)) return { kind: 'ended', id: type.slice(DONE.length), normal: true };
  if (type.startsWith(ERROR))
    return { kind: 'ended', id: type.slice(ERROR.length), normal: false, error: event.error };
  if (type === 'budget.exhausted') return isOfBudget ? { kind: 'halt' } : undefined;
  if (type === 'budget.resumed') return isOfBudget ? { kind: 'resume' } : undefined;
  if (type === 'config.stop') return { kind: 'stop' };
  if (type === 'config.apply')
    return event.spec === undefined ? undefined : { kind: 'apply', spec: event.spec };
  if (childId === undefined) return undefined;
  if (type === 'child.started') return { kind: 'started', id: childId };
  return type === 'child.stopped' ? { kind: 'stopped', id: childId } : undefined;
}

type Enqueue = (action: { readonly type: string; readonly params: object } | ReturnType<typeof log>) => void;

function carryOut(enqueueAny: unknown, orders: readonly Order[]): void {
  const enqueue = enqueueAny as Enqueue;
  for (const order of orders) enqueue(actionOf(order));
}

function actionOf(order: Order): { readonly type: string; readonly params: object } | ReturnType<typeof log> {
  if (order.kind === 'fail') return { type: 'fail', params: { error: order.error } };
  if (order.kind === 'follow' || order.kind === 'unfollow')
    return { type: 'send', params: { to: order.budget, event: { type: `budget.${order.kind}` } } };
  const { id, address: to, machine } = order.child;
  switch (order.kind) {
    case 'start': {
      const input = order.child.supervisor ?? order.child.input;
      return { type: 'start', params: { to, childId: id, machine, ...(input !== undefined && { input }) } };
    }
    case 'stop':
      return { type: 'stop', params: { to, childId: id } };
    case 'wind-down':
      return { type: 'send', params: { to, event: { type: 'config.stop' } } };
    case 'migrate':
      return { type: 'migrate', params: { to, machine } };
    case 'apply':
      return { type: 'send', params: { to, event: { type: 'config.apply', spec: order.child.supervisor } } };
    case 'restarted':
      return log(
        () => ({ event: 'child_restarted', child: id, address: to, error: order.error ?? null }),
        'WARN',
      );
  }
}
