/** XState's resolved actions, as the kernel's. */
import { FabricError, toWireError } from '#schemas/fabric-error';
import { readEffectInput } from '#schemas/machine-kit';
import { machineErrors } from './errors.ts';
import type { InertScope, RawAction } from './scope.ts';
import type { EventData, MachineAction } from './types.ts';

/** What the mapping needs to know of a machine. */
export interface ActionWorld {
  readonly ref: string;
  readonly scope: InertScope;
  readonly self: string;
  /** How a child's logic runs; undefined for one that the machine does not name. */
  child(src: string): ChildKind | undefined;
  /** True where `action` is what the machine declares under this name. */
  declares(name: string, action: unknown): boolean;
  /** A timer id that no timer of this actor had before. */
  freshTimerId(): string;
}

export type ChildKind =
  | { readonly kind: 'machine'; readonly machine: string }
  | { readonly kind: 'effect'; readonly driver: string };

export interface Mapped {
  readonly actions: readonly MachineAction[];
  /** Set where the machine failed itself. */
  readonly failed?: { readonly error: unknown };
}

const NO_ACTIONS: Mapped = { actions: [] };

/** In order. Throws `bad_machine` for what only shows at run time (an inline function, a child of unknown logic). */
export function mapActions(raw: readonly RawAction[], world: ActionWorld): Mapped {
  if (raw.length === 0) return NO_ACTIONS;
  const actions: MachineAction[] = [];
  let failed: { error: unknown } | undefined;
  for (const action of raw) {
    if (action.type === 'fail')
      failed ??= { error: plain((action.params as { error?: unknown } | undefined)?.error) };
    else {
      const mapped = mapAction(action, world);
      if (mapped !== undefined) actions.push(mapped);
    }
  }
  return failed === undefined ? { actions } : { actions, failed };
}

/** An Error is told by its message: a stack is of one machine and one run. */
function plain(error: unknown): unknown {
  return error instanceof Error ? toWireError(error) : error;
}

function mapAction({ type, params, exec }: RawAction, world: ActionWorld): MachineAction | undefined {
  switch (type) {
    case 'xstate.raise':
      return timer(params as Delayed, world);
    case 'xstate.cancel':
      return { kind: 'cancel', id: (params as { sendId: string }).sendId };
    case 'xstate.sendTo':
      return send(params as Delayed & { to: Target }, world);
    case 'xstate.emit':
      return { kind: 'emit', event: (params as { event: EventData }).event };
    case 'xstate.spawnChild':
      return spawn(params as Spawned, world);
    case 'xstate.stopChild': {
      const child = params as Target | undefined;
      return child === undefined ? undefined : { kind: 'stopChild', childId: child.id };
    }
    case 'xstate.log':
      return log(params as { value: unknown; label?: string });
    default:
      return own(type, params, exec, world);
  }
}

interface Delayed {
  readonly event: EventData;
  readonly id?: string;
  readonly delay?: number;
}

interface Target {
  readonly id: string;
  readonly address?: string;
}

interface Spawned {
  readonly actorRef?: Target;
  readonly src: unknown;
  readonly input?: unknown;
}

/** A raise without delay is already applied. */
function timer({ event, id, delay }: Delayed, world: ActionWorld): MachineAction | undefined {
  if (delay === undefined) return undefined;
  return { kind: 'timer', id: id ?? world.freshTimerId(), event, delayMs: delay };
}

function send(params: Delayed & { to: Target }, world: ActionWorld): MachineAction {
  const { to, event, id, delay } = params;
  const rest = { event, ...(delay !== undefined && { delayMs: delay }), ...(id !== undefined && { id }) };
  if ((to as unknown) === world.scope.self) {
    // Delayed, it is a timer like any other; otherwise it is the next event after this macrostep.
    if (delay !== undefined) return { kind: 'timer', id: id ?? world.freshTimerId(), event, delayMs: delay };
    return { kind: 'send', to: world.self, ...rest };
  }
  if ((to as unknown) === world.scope.parent) return { kind: 'sendParent', ...rest };
  if (to?.address !== undefined) return { kind: 'send', to: to.address, ...rest };
  if (typeof to?.id !== 'string') {
    throw new FabricError(machineErrors.bad_machine, `${world.ref}: sendTo("${event.type}") names no actor`);
  }
  return { kind: 'sendChild', childId: to.id, ...rest };
}

function spawn({ actorRef, src, input }: Spawned, world: ActionWorld): MachineAction {
  const kind = typeof src === 'string' ? world.child(src) : undefined;
  if (actorRef === undefined || kind === undefined) {
    const name = typeof src === 'string' ? `"${src}"` : 'an inline logic';
    throw new FabricError(
      machineErrors.bad_machine,
      `${world.ref}: ${name} cannot be spawned; name it in setup({ actors }) as a machine or as an invocation`,
    );
  }
  const childId = actorRef.id;
  if (kind.kind === 'machine') {
    return { kind: 'spawn', childId, machine: kind.machine, ...(input !== undefined && { input }) };
  }
  return { kind: 'invoke', childId, driver: kind.driver, ...effectOf(input) };
}

function log({ value, label }: { value: unknown; label?: string }): MachineAction {
  if (label === 'INFO' || label === 'WARN' || label === 'HIGH')
    return { kind: 'log', message: value, severity: label };
  return { kind: 'log', message: label === undefined ? value : { label, value }, severity: 'INFO' };
}

function own(type: string, params: unknown, exec: unknown, world: ActionWorld): MachineAction {
  switch (type) {
    case 'reply':
      return { kind: 'reply', body: params };
    case 'send': {
      const { to, event, delay, id } = params as { to: string } & Delayed;
      return {
        kind: 'send',
        to,
        event,
        ...(delay !== undefined && { delayMs: delay }),
        ...(id !== undefined && { id }),
      };
    }
    case 'start':
    case 'stop':
    case 'migrate':
      return { kind: type, ...(params as object) } as MachineAction;
  }
  // A function that setup() does not name came from enqueue().
  if (typeof exec === 'function' && !world.declares(type, exec)) refuseInline(type, world);
  return { kind: 'effect', driver: type, ...effectOf(params) };
}

function refuseInline(name: string, world: ActionWorld): never {
  throw new FabricError(
    machineErrors.bad_machine,
    `${world.ref}: the action "${name}" is an inline function; a machine only names what is to be done`,
  );
}

function effectOf(value: unknown) {
  const { input, options } = readEffectInput(value);
  return { ...(input !== undefined && { input }), ...options };
}
