/**
 * What a machine may ask for, checked before its step counts (S2): an action that cannot be carried out would leave a
 * step half done, or mail that no subject can name.
 */
import type { MachineAction } from '#runtime/machine/types';
import { isActorId, isActorType } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import { storageProblem } from './storable.ts';

/** Longest delay, ms: 100 years; sums of it and the time stay exact. A negative one is due at once. */
const DELAY_MAX_MS = 100 * 365 * 86_400_000;

/** Throws `bad_action` with the reason. `actor` is the address of the actor that steps. */
export function checkAction(action: MachineAction, actor: string): void {
  const problem = problemOf(action, actor) ?? dataProblem(action);
  if (problem === undefined) return;
  throw new FabricError(shardErrors.bad_action, `${actor} asks for an action "${action.kind}" ${problem}`, {
    details: { actor, action: action.kind },
  });
}

function problemOf(action: MachineAction, actor: string): string | undefined {
  switch (action.kind) {
    case 'send':
      return addressProblem(action.to) ?? eventProblem(action.event) ?? delayProblem(action);
    case 'sendParent':
    case 'sendChild':
      return eventProblem(action.event) ?? delayProblem(action);
    case 'timer':
      return eventProblem(action.event) ?? delayProblem(action);
    case 'emit':
      return eventProblem(action.event);
    case 'start':
    case 'migrate':
      return addressProblem(action.to) ?? machineProblem(action.machine);
    case 'stop':
      return addressProblem(action.to);
    case 'spawn':
      return isActorId(`${actor.slice(actor.indexOf('/') + 1)}~${action.childId}`)
        ? machineProblem(action.machine)
        : `of a child "${String(action.childId).slice(0, 200)}": that is no part of an address`;
    default:
      return undefined;
  }
}

/** What one actor hears must be what the log says that it heard. */
function dataProblem(action: MachineAction): string | undefined {
  const problem = storageProblem(action);
  return problem === undefined ? undefined : `with ${problem}, which cannot be stored`;
}

function addressProblem(to: unknown): string | undefined {
  if (typeof to === 'string') {
    const slash = to.indexOf('/');
    if (isActorType(to.slice(0, Math.max(slash, 0))) && isActorId(to.slice(slash + 1))) return undefined;
  }
  return `to "${String(to).slice(0, 200)}": that is no actor address`;
}

function machineProblem(machine: unknown): string | undefined {
  return typeof machine === 'string' ? undefined : 'without the name of a machine';
}

function eventProblem(event: { readonly type: unknown } | undefined | null): string | undefined {
  return typeof event?.type === 'string' ? undefined : 'with an event that has no string "type"';
}

function delayProblem({ delayMs }: { readonly delayMs?: unknown }): string | undefined {
  if (delayMs === undefined) return undefined;
  const isGood = typeof delayMs === 'number' && delayMs <= DELAY_MAX_MS;
  return isGood ? undefined : `with a delay of ${String(delayMs)} ms`;
}
