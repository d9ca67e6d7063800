/**
 * The only thing besides `xstate` that a machine imports: the kernel's actions, the moment a step runs in, and marks
 * for effects. Nothing here acts; the kernel reads all of it as data.
 */
import { type AnyStateMachine, type EventFromLogic, fromPromise } from 'xstate';
import type { RetryPolicy } from './commit.ts';
import { errorKinds, FabricError } from './fabric-error.ts';

/** What a machine finds in place of a personal value, and how it tells. */
export { isSealed, type Sealed } from './sealed.ts';

export const machineKitErrors = errorKinds({
  no_moment: {
    retryable: false,
    help: 'Pass `system` or `self` of an action to moment(); in a test give the machine a StepContext through the kernel host.',
  },
});

/** Under this key the kernel leaves the moment on the `system` that it hands to actions. */
export const MOMENT: unique symbol = Symbol.for('infrafabric.moment') as never;
const EFFECT_INPUT: unique symbol = Symbol.for('infrafabric.effect-input') as never;

/** When and for whom a step runs; the same at every replay. */
export interface Moment {
  /** Address of the actor that steps. */
  readonly self: `${string}/${string}`;
  /** Time of the commit, ms since the epoch: the only clock a machine has. */
  readonly at: number;
  /** Sender's address or name, where there is one. */
  readonly from?: string;
}

/**
 * The moment of the current step. Takes the `system` or the `self` of an action's arguments (`self` is what a context
 * factory gets). Throws `no_moment` outside the kernel.
 *
 * @example
 * assign({ seenAt: ({ system }) => moment(system).at })
 * createMachine({ context: ({ self }) => ({ bornAt: moment(self).at }) })
 */
export function moment(source: object): Moment {
  const carrier = source as { [MOMENT]?: Moment; system?: { [MOMENT]?: Moment } };
  const found = carrier[MOMENT] ?? carrier.system?.[MOMENT];
  if (found === undefined) {
    throw new FabricError(machineKitErrors.no_moment, 'A machine asked for the moment outside of the kernel');
  }
  return found;
}

type Plain = { readonly type: string; readonly [field: string]: unknown };

/** Named placeholder of an action that the kernel carries out; it does nothing by itself. */
function declared<Params>() {
  return (_args: unknown, _params: Params): void => {};
}

/** What an answer may be. Not `unknown`: params written as a function would have no types. */
type Body = object | string | number | boolean | null;

/**
 * Actions the kernel carries out after the commit, for `setup({ actions: { ...kernelActions } })`.
 *
 * - `reply` answers the ask that caused this step; its params are the body.
 * - `send` sends an event to any address, `delay` in ms; `id` lets `cancel(id)` take a delayed one back.
 * - `start`, `stop`, `migrate` operate on supervised actors.
 * - `fail` ends this actor with status error.
 *
 * @example
 * setup({ actions: { ...kernelActions } }).createMachine({
 *   context: { n: 0 },
 *   on: { get: { actions: { type: 'reply', params: ({ context }) => ({ n: context.n }) } } },
 * })
 */
export const kernelActions = {
  reply: declared<Body>(),
  send: declared<{ to: string; event: Plain; delay?: number; id?: string }>(),
  start: declared<{ to: string; childId: string; machine: string; input?: unknown }>(),
  stop: declared<{ to: string; childId?: string }>(),
  migrate: declared<{ to: string; machine: string }>(),
  fail: declared<{ error: unknown }>(),
};

export const KERNEL_ACTION_NAMES: readonly string[] = Object.keys(kernelActions);

/**
 * A fire-and-forget effect of the driver it is named after: its params are the driver's input.
 *
 * @example
 * setup({ actions: { http: effect<{ url: string }>() } })
 */
export function effect<Input>() {
  return declared<Input>();
}

/**
 * An invocation of the driver it is named after, for `invoke`: the driver's result arrives as `onDone` or `onError`.
 *
 * @example
 * setup({ actors: { http: invocation<{ status: number }, { url: string }>() } })
 */
export function invocation<Output, Input>() {
  return fromPromise<Output, Input & object>(() =>
    Promise.reject(new Error('Carried out by a driver of the kernel')),
  );
}

export interface EffectOptions {
  readonly retry?: Partial<RetryPolicy>;
  /** Time one attempt may take, ms. */
  readonly timeoutMs?: number;
}

/**
 * Marks an effect's input with a retry policy and a time limit of its own; the driver sees only the input.
 *
 * @example
 * invoke: { src: 'http', input: () => effectInput({ url: '/pay' }, { retry: { attempts: 3 }, timeoutMs: 5_000 }) }
 */
export function effectInput<Input extends object>(input: Input, options: EffectOptions): Input {
  return { [EFFECT_INPUT]: { input, options } } as unknown as Input;
}

/** Input and options of an effect; options are empty where it was not marked. */
export function readEffectInput(value: unknown): {
  readonly input: unknown;
  readonly options: EffectOptions;
} {
  const marked =
    typeof value === 'object' && value !== null
      ? (value as { [EFFECT_INPUT]?: { input: unknown; options: EffectOptions } })[EFFECT_INPUT]
      : undefined;
  return marked ?? { input: value, options: {} };
}

/**
 * Under this key a flat machine without entries, exits and invocations of its own says what a step comes to, as XState would
 * work it out: then its steps cost a fraction. The kernel asks there first.
 */
export const SHORT_WAY: unique symbol = Symbol.for('infrafabric.short-way') as never;

/** Undefined where only XState can say; it is asked then. */
export type ShortWay = (
  state: { readonly value: unknown; readonly context: unknown },
  event: Plain,
  now: Moment,
) => ShortStep | undefined;

export interface ShortStep {
  /** The very one that it was where nothing changed. */
  readonly context: unknown;
  /** Name of the state that it is in then. */
  readonly value: string;
  /** As XState resolves them. */
  readonly actions: readonly { readonly type: string; readonly params: unknown }[];
}

/** Event union of a machine. */
export type EventOf<M extends AnyStateMachine> = EventFromLogic<M>;
