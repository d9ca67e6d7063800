/** A step's actions, carried into the draft and the tables of its actor: mail, timers, effects, children. */
import type { EventData, MachineAction } from '#runtime/machine/types';
import { type Address, childAddress } from '#schemas/address';
import type { Mail } from '#schemas/commit';
import type { Draft } from './draft.ts';
import type { PendingEffect } from './ports.ts';
import type { ShardState } from './state.ts';
import type { Cell, PendingTimer } from './table.ts';
import type { Work } from './work.ts';

export function carry(state: ShardState, draft: Draft, work: Work, cell: Cell, action: MachineAction): void {
  switch (action.kind) {
    case 'send':
      post(state, draft, work, cell, action.to, action);
      return;
    case 'sendParent':
      if (cell.parent !== undefined) post(state, draft, work, cell, cell.parent.address, action);
      return;
    case 'sendChild': {
      const child = cell.children?.get(action.childId);
      if (child !== undefined) post(state, draft, work, cell, child.address, action);
      return;
    }
    case 'timer':
      setTimer(state, draft, cell, action.id, action.delayMs, action.event, undefined);
      return;
    case 'cancel':
      cancelTimer(state, draft, cell, action.id);
      return;
    case 'spawn': {
      const to = childAddress(cell.address as Address, action.childId);
      cell.children ??= new Map();
      const incarnation = incarnationOf(draft);
      cell.children.set(action.childId, { address: to, incarnation });
      mail(draft, {
        to,
        from: cell.address,
        op: 'spawn',
        machine: action.machine,
        ...(action.input !== undefined && { input: action.input }),
        parent: { address: cell.address, childId: action.childId, incarnation },
        ...(work.trace !== undefined && { trace: work.trace }),
      });
      return;
    }
    case 'start':
      mail(draft, {
        to: action.to,
        from: cell.address,
        op: 'spawn',
        machine: action.machine,
        ...(action.input !== undefined && { input: action.input }),
        parent: {
          address: cell.address,
          childId: action.childId,
          supervised: true,
          incarnation: incarnationOf(draft),
        },
      });
      return;
    case 'stop':
      mail(draft, {
        to: action.to,
        from: cell.address,
        op: 'stop',
        parent: { address: cell.address, childId: action.childId ?? '', supervised: true },
      });
      return;
    case 'migrate':
      mail(draft, { to: action.to, from: cell.address, op: 'migrate', machine: action.machine });
      return;
    case 'stopChild':
      stopChild(state, draft, cell, action.childId);
      return;
    case 'invoke':
    case 'effect':
      startEffect(state, draft, work, cell, action);
      return;
    case 'emit':
      draft.emit(cell.address, action.event);
      return;
  }
}

/** S3: the place of the mail that begins the child. */
function incarnationOf(draft: Draft): string {
  return `${draft.index}.${draft.mail.length}`;
}

function post(
  state: ShardState,
  draft: Draft,
  work: Work,
  cell: Cell,
  to: string,
  action: { readonly event: EventData; readonly delayMs?: number; readonly id?: string },
): void {
  if (action.delayMs !== undefined) {
    const id = action.id ?? `send.${draft.index}.${draft.timers.length}`;
    setTimer(state, draft, cell, id, action.delayMs, action.event, to);
    return;
  }
  mail(draft, {
    to,
    from: cell.address,
    event: action.event,
    ...(work.trace !== undefined && { trace: work.trace }),
  });
}

export function mail(draft: Draft, item: Mail): void {
  draft.mail.push(item);
}

function setTimer(
  state: ShardState,
  draft: Draft,
  cell: Cell,
  id: string,
  delayMs: number,
  event: unknown,
  to: string | undefined,
): void {
  cell.timers ??= new Map();
  const previous = cell.timers.get(id);
  if (previous !== undefined) {
    state.timers.cancel(previous);
    // Set anew, it stands behind the others: the order in which a snapshot brings them back.
    cell.timers.delete(id);
  }
  const timer: PendingTimer = {
    actor: cell.address,
    id,
    dueAt: draft.at + Math.max(0, delayMs),
    event,
    ...(to !== undefined && { to }),
  };
  cell.timers.set(id, timer);
  state.timers.add(timer);
  draft.timers.push(timer);
}

export function cancelTimer(state: ShardState, draft: Draft, cell: Cell, id: string): void {
  const timer = cell.timers?.get(id);
  if (timer === undefined) return;
  dropTimer(state, cell, timer);
  draft.timers.push({ actor: cell.address, id, cancel: true });
}

export function dropTimer(state: ShardState, cell: Cell, timer: PendingTimer): void {
  cell.timers?.delete(timer.id);
  if (cell.timers?.size === 0) cell.timers = undefined;
  state.timers.cancel(timer);
}

function startEffect(
  state: ShardState,
  draft: Draft,
  work: Work,
  cell: Cell,
  action: Extract<MachineAction, { kind: 'invoke' | 'effect' }>,
): void {
  const effect: PendingEffect = {
    // S3: stable across retries, restarts and replays.
    key: `${state.shard}.${draft.index}.${draft.effects.length}`,
    actor: cell.address,
    driver: action.driver,
    ...(action.kind === 'invoke' && { invokeId: action.childId }),
    ...(action.input !== undefined && { input: action.input }),
    ...(action.retry !== undefined && { retry: action.retry }),
    ...(action.timeoutMs !== undefined && { timeoutMs: action.timeoutMs }),
    ...(work.trace !== undefined && { trace: work.trace }),
  };
  cell.effects ??= new Map();
  cell.effects.set(effect.key, effect);
  state.effects.set(effect.key, effect);
  draft.effects.push(effect);
}

function stopChild(state: ShardState, draft: Draft, cell: Cell, childId: string): void {
  const child = cell.children?.get(childId);
  if (child !== undefined) {
    forgetChild(cell, childId);
    mail(draft, { to: child.address, from: cell.address, op: 'stop' });
    return;
  }
  for (const effect of cell.effects?.values() ?? []) {
    if (effect.invokeId === childId) cancelEffect(state, draft, cell, effect.key);
  }
}

export function cancelEffect(state: ShardState, draft: Draft, cell: Cell, key: string): void {
  dropEffect(state, cell, key);
  draft.effects.push({ key, cancel: true });
}

export function dropEffect(state: ShardState, cell: Cell | undefined, key: string): void {
  state.effects.delete(key);
  cell?.effects?.delete(key);
  if (cell?.effects?.size === 0) cell.effects = undefined;
}

export function forgetChild(cell: Cell, childId: string): void {
  cell.children?.delete(childId);
  if (cell.children?.size === 0) cell.children = undefined;
}
