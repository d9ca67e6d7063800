/** How an actor begins and ends, and who hears of it. */
import type { Machine, Step } from '#runtime/machine/types';
import type { Parent } from '#schemas/commit';
import type { WireError } from '#schemas/fabric-error';
import { cancelEffect, cancelTimer, dropEffect, dropTimer, forgetChild, mail } from './carry.ts';
import type { Draft } from './draft.ts';
import { plainError } from './entry.ts';
import type { ShardState } from './state.ts';
import { type Cell, NOWHERE, statusOf } from './table.ts';
import type { Work } from './work.ts';

/** A fired timer and a finished effect are pending no more, whatever the step makes of them. */
export function consumeCause(state: ShardState, draft: Draft, work: Work, cell: Cell | undefined): void {
  const { cause } = work;
  if (cause.kind === 'timer' && cell !== undefined) {
    const timer = cell.timers?.get(cause.id);
    if (timer !== undefined) {
      dropTimer(state, cell, timer);
      state.actors.touch(cell, draft.at);
    }
  } else if (cause.kind === 'effect') {
    dropEffect(state, cell, cause.key);
    if (cell !== undefined) state.actors.touch(cell, draft.at);
  } else if (cause.kind === 'mail' && isHeard(work) && cell?.children !== undefined) {
    const ended = endedChild(work);
    if (ended !== undefined && cell.children.get(ended)?.address === cause.from) forgetChild(cell, ended);
  }
}

/** An end that its parent threw on is heard, too; a fold knows it as the dead entry that it became. */
function isHeard({ op }: Work): boolean {
  return op === 'event' || op === 'dead';
}

/**
 * True for the end of a spawned child that its parent stopped since, or has begun anew: the parent waits for another
 * end. Supervised children need no such check, since their parent hears of the stop before it begins them again.
 */
export function isLateEnd(work: Work, cell: Cell | undefined): boolean {
  const { cause, incarnation } = work;
  if (incarnation === undefined || cause.kind !== 'mail') return false;
  const ended = endedChild(work);
  return ended !== undefined && cell?.children?.get(ended)?.incarnation !== incarnation;
}

function endedChild({ event }: Work): string | undefined {
  return event === undefined ? undefined : /^xstate\.(?:done|error)\.actor\.(.+)$/s.exec(event.type)?.[1];
}

/** S4, and the parent hears of it. */
export function finish(state: ShardState, draft: Draft, cell: Cell): void {
  discard(state, draft, cell);
  const failed = statusOf(cell) === 'error';
  if (cell.parent !== undefined) {
    const { address, childId } = cell.parent;
    const event = failed
      ? {
          type: `xstate.error.actor.${childId}`,
          actorId: childId,
          error: cell.failed ?? plainError(cell.state.error),
        }
      : { type: `xstate.done.actor.${childId}`, actorId: childId, output: cell.state.output };
    mail(draft, { to: address, from: cell.address, event, ...incarnationIn(cell.parent) });
  }
  draft.emit(cell.address, { type: failed ? 'failed' : 'done' });
}

/** Supervisors order ends and starts themselves. */
export function incarnationIn({ supervised, incarnation }: Parent): { readonly incarnation?: string } {
  return supervised === true || incarnation === undefined ? {} : { incarnation };
}

/** S4: cancels all that an actor has running. */
export function discard(state: ShardState, draft: Draft, cell: Cell): void {
  for (const id of [...(cell.timers?.keys() ?? [])]) cancelTimer(state, draft, cell, id);
  for (const key of [...(cell.effects?.keys() ?? [])]) cancelEffect(state, draft, cell, key);
  for (const child of cell.children?.values() ?? [])
    mail(draft, { to: child.address, from: cell.address, op: 'stop' });
  cell.children = undefined;
}

export function fail(state: ShardState, draft: Draft, cell: Cell, error: WireError): void {
  cell.failed = error;
  state.actors.touch(cell, draft.at);
  draft.touched.add(cell);
  finish(state, draft, cell);
}

export function tellStarted(draft: Draft, work: Work, adopted: boolean): void {
  if (work.parent?.supervised !== true) return;
  const { address, childId } = work.parent;
  const event = { type: 'child.started', childId, address: work.actor, adopted };
  mail(draft, { to: address, from: work.actor, event });
}

export function newCell(work: Work, machine: Machine, step: Step): Cell {
  return {
    address: work.actor,
    machine,
    state: step.state,
    failed: undefined,
    parent: work.parent,
    timers: undefined,
    effects: undefined,
    children: undefined,
    touchedAt: 0,
    dirty: false,
    location: NOWHERE,
  };
}
