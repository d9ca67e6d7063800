/**
 * A machine whose states are statuses and whose moves are decided by one pure function: it gets the context, the event and
 * the moment, and says as data what becomes of them. The chart does what it was told.
 *
 * D1  The state is the `status` of the context, always.
 * D2  `decide` throws where nothing may change at all: the sender hears the error, the actor stays as it was, and one
 *     that came to life by this very event is not there.
 * D3  The short way gives what the chart gives, or leaves it to the chart.
 */
import { type AnyEventObject, type AnyStateMachine, assign, setup } from 'xstate';
import {
  invocation,
  kernelActions,
  moment,
  SHORT_WAY,
  type ShortStep,
  type ShortWay,
} from '#schemas/machine-kit';

/** What a decision is made from, besides the context. */
export interface Heard {
  readonly event: AnyEventObject;
  /** Own address. */
  readonly self: string;
  /** ms since the epoch. */
  readonly at: number;
  /** Who sent it, where that is known. */
  readonly from: string | undefined;
}

type Plain = { readonly type: string; readonly [field: string]: unknown };

/** All that a decision can ask for. */
export interface Outcome<Context> {
  readonly patch?: Partial<Context>;
  readonly reply?: object;
  readonly mail?: readonly { readonly to: string; readonly event: Plain }[];
  /** Children to start under this actor, which then hears `xstate.done.actor.<id>` and `xstate.error.actor.<id>`. */
  readonly starts?: readonly {
    readonly to: string;
    readonly childId: string;
    readonly machine: string;
    readonly input: object;
  }[];
  /** Live events. */
  readonly tell?: readonly Plain[];
  /** Effects whose result comes back as `xstate.done.actor.<id>`. */
  readonly effects?: readonly { readonly id: string; readonly driver: string; readonly input: object }[];
  /** Ids of effects that nobody waits for any more. */
  readonly ended?: readonly string[];
  /** Set anew where one of this id runs; heard as `xstate.timer.<id>`. */
  readonly timers?: readonly { readonly id: string; readonly delayMs: number }[];
  readonly cancelled?: readonly string[];
  readonly log?: { readonly severity: 'INFO' | 'WARN' | 'HIGH'; readonly message: Plain };
}

export interface DecidedOptions<Context extends { readonly status: string }> {
  readonly id: string;
  readonly version: string;
  readonly statuses: readonly Context['status'][];
  /** Names of events, `*` for the rest. */
  readonly hears: readonly string[];
  readonly drivers: readonly string[];
  readonly context: (input: unknown, self: string) => Context;
  readonly decide: (context: Context, heard: Heard) => Outcome<Context>;
}

export const TIMER_EVENT = 'xstate.timer.';

export function decidedMachine<Context extends { readonly status: string }>(
  options: DecidedOptions<Context>,
): AnyStateMachine {
  const { id, version, statuses, hears, drivers, context, decide } = options;
  const kit = setup({
    types: {} as { context: Context; input: unknown; events: AnyEventObject; emitted: AnyEventObject },
    actions: { ...kernelActions },
    actors: Object.fromEntries(drivers.map((name) => [name, invocation<object, object>()])),
    guards: {
      is: ({ context: { status } }: { context: Context }, params: { readonly status: string }) =>
        status === params.status,
    },
  });
  const hear = kit.enqueueActions(({ context: before, event, system, enqueue }) => {
    const { at, self, from } = moment(system);
    const outcome = decide(before, { event, self, at, from });
    if (outcome.patch !== undefined) {
      const { patch } = outcome;
      enqueue(assign(() => patch) as never);
    }
    for (const effectId of outcome.ended ?? []) enqueue.stopChild(effectId);
    for (const timer of outcome.cancelled ?? []) enqueue.cancel(timer);
    for (const { id: effectId, driver, input } of outcome.effects ?? []) {
      enqueue.spawnChild(driver as never, { id: effectId, input } as never);
    }
    for (const { id: timer, delayMs } of outcome.timers ?? []) {
      enqueue.raise({ type: `${TIMER_EVENT}${timer}` }, { id: timer, delay: delayMs });
    }
    for (const params of outcome.mail ?? []) enqueue({ type: 'send', params } as never);
    for (const params of outcome.starts ?? []) enqueue({ type: 'start', params } as never);
    for (const told of outcome.tell ?? []) enqueue.emit(told);
    if (outcome.reply !== undefined) enqueue({ type: 'reply', params: outcome.reply } as never);
    if (outcome.log !== undefined) {
      const { severity, message } = outcome.log;
      enqueue(kit.log(() => message, severity) as never);
    }
  });
  const machine: unknown = kit.createMachine({
    id,
    version,
    context: ({ input, self }) => context(input, moment(self).self),
    initial: statuses[0] as string,
    on: Object.fromEntries(hears.map((name) => [name, { actions: hear }])) as never,
    states: Object.fromEntries(
      statuses.map((status) => [
        status,
        {
          // D1.
          always: statuses
            .filter((other) => other !== status)
            .map((other) => ({ guard: { type: 'is', params: { status: other } }, target: other })),
        },
      ]),
    ) as never,
  });
  return Object.assign(machine as AnyStateMachine, { [SHORT_WAY]: shortWay(options) });
}

/** D3. */
function shortWay<Context extends { readonly status: string }>({
  hears,
  statuses,
  decide,
}: DecidedOptions<Context>): ShortWay {
  const known = new Set<unknown>(statuses);
  const names = new Set(hears.filter((name) => !name.endsWith('*')));
  const prefixes = hears.filter((name) => name.endsWith('.*')).map((name) => name.slice(0, -1));
  const isHeard = (type: string): boolean =>
    names.has(type) || prefixes.some((prefix) => type.startsWith(prefix));

  return (state, event, { at, self, from }) => {
    const before = state.context as Context;
    // D1 holds for all that the chart itself has left.
    if (!isHeard(event.type) || state.value !== before.status) return undefined;
    const outcome = decide(before, { event, self, at, from });
    // What is refused leaves all as it was: then it need not be looked at again.
    const context = isEmpty(outcome.patch) ? before : { ...before, ...outcome.patch };
    if (!known.has(context.status)) return undefined;
    return { context, value: context.status, actions: actionsOf(outcome) };
  };
}

function isEmpty(patch: object | undefined): boolean {
  for (const _ in patch) return false;
  return true;
}

/** In the order in which the chart puts them. */
function actionsOf<Context>({
  ended = NONE,
  effects = NONE,
  cancelled = NONE,
  timers = NONE,
  mail = NONE,
  starts = NONE,
  tell = NONE,
  reply,
  log,
}: Outcome<Context>): ShortStep['actions'] {
  const actions: { readonly type: string; readonly params: unknown }[] = [];
  for (const id of ended) actions.push({ type: 'xstate.stopChild', params: { id } });
  for (const sendId of cancelled) actions.push({ type: 'xstate.cancel', params: { sendId } });
  for (const { id, driver: src, input } of effects)
    actions.push({ type: 'xstate.spawnChild', params: { actorRef: { id }, src, input } });
  for (const { id, delayMs: delay } of timers)
    actions.push({ type: 'xstate.raise', params: { event: { type: `${TIMER_EVENT}${id}` }, id, delay } });
  for (const params of mail) actions.push({ type: 'send', params });
  for (const params of starts) actions.push({ type: 'start', params });
  for (const event of tell) actions.push({ type: 'xstate.emit', params: { event } });
  if (reply !== undefined) actions.push({ type: 'reply', params: reply });
  if (log !== undefined)
    actions.push({ type: 'xstate.log', params: { value: log.message, label: log.severity } });
  return actions;
}

const NONE: readonly never[] = [];
