/** From a gathered item to the works it means, stepped into a draft. */
import type { EventData } from '#runtime/machine/types';
import type { Cause, Entry } from '#schemas/commit';
import { toWireError, type WireError } from '#schemas/fabric-error';
import { bodyHash } from './bodies.ts';
import type { Draft } from './draft.ts';
import type { Item } from './gather.ts';
import type { Ask, InboxMessage } from './ports.ts';
import { released } from './released.ts';
import { deadArrival, mayBeTaken, resolveArrival } from './resolve.ts';
import type { ShardDeps } from './shard-types.ts';
import type { ShardState } from './state.ts';
import { applyWork, isNotice } from './step.ts';
import { type Work, workOfMail, workOfResult } from './work.ts';

/** A stepped item with the entry it made. */
export interface Answer {
  readonly item: Item;
  readonly entry: Entry;
}

export interface ItemContext {
  readonly state: ShardState;
  readonly deps: ShardDeps;
  readonly draft: Draft;
  /** The draft is full beyond this estimate, bytes. */
  readonly batchBytesMax: number;
  /** Bodies above this lie in the blob store, bytes. */
  readonly inlineBytesMax: number;
  /** Why a work must not be stepped, where an earlier attempt at it could not be stored. */
  readonly refusalOf: ((work: Work) => WireError | undefined) | undefined;
  /** Grows with every step. */
  readonly answers: Answer[];
}

/** Steps what an item means. False when it is only partly taken because the draft is full. */
export function stepItem(context: ItemContext, item: Item): boolean {
  const { state, draft } = context;
  const step = (work: Work): void => {
    const refusal = context.refusalOf?.(work);
    const entry = applyWork(state, draft, refusal === undefined ? work : { ...work, error: refusal });
    context.answers.push({ item, entry });
  };
  switch (item.kind) {
    case 'skip':
      return true;
    case 'ask':
      step(resolve(context, causeOfAsk(item.ask), item.address, item.ask));
      return true;
    case 'inbox':
      if (item.isDuplicate) return true;
      step(resolve(context, causeOfInbox(item.message), item.address, item.message, item.refusal));
      return true;
    case 'admin':
      step(item.work);
      return true;
    case 'mail': {
      const { index, n, mail } = item.local;
      const cause = { kind: 'mail' as const, shard: state.shard, index, n, from: mail.from };
      step(awaken(state, released(workOfMail(mail, cause))));
      return true;
    }
    case 'bundle':
      return stepBundle(context, item, step);
    case 'timer': {
      const { timer } = item;
      // Cancelled or set anew by an earlier work of this very batch.
      if (state.actors.cell(timer.actor)?.timers?.get(timer.id) !== timer) return true;
      const cause = { kind: 'timer' as const, id: timer.id, dueAt: timer.dueAt };
      const event = timer.event as EventData;
      const { actor, to } = timer;
      step(
        to === undefined
          ? { cause, actor, op: 'event', event }
          : { cause, actor, op: 'note', event, forwardTo: to },
      );
      return true;
    }
    case 'effect': {
      const effect = state.effects.get(item.result.key);
      if (effect !== undefined) step(workOfResult(effect.actor, effect.invokeId, item.result));
      return true;
    }
  }
}

/** Mail of another shard, exactly once and in order (M2). */
function stepBundle(
  { state, deps, draft, batchBytesMax }: ItemContext,
  item: Extract<Item, { kind: 'bundle' }>,
  step: (work: Work) => void,
): boolean {
  const { source, index, prev, items } = item.bundle;
  const mark = state.marks.get(source) ?? { index: -1, n: -1 };
  // The same bundle again is a duplicate; one whose predecessor is missing will come again behind it.
  item.accepted ??= index === mark.index || (index > mark.index && prev === mark.index);
  if (!item.accepted) {
    if (index > mark.index) deps.logger.warn({ shard: state.shard, source, index, prev, mark }, 'mail_gap');
    return true;
  }
  for (; item.cursor < items.length; item.cursor++) {
    const next = items[item.cursor];
    if (next === undefined) continue;
    if (draft.bytes > batchBytesMax) return false;
    const taken = state.marks.get(source);
    if (taken !== undefined && taken.index === index && next.n <= taken.n) continue;
    state.marks.set(source, { index, n: next.n });
    const cause = { kind: 'mail' as const, shard: source, index, n: next.n, from: next.mail.from };
    step(awaken(state, released(workOfMail(next.mail, cause))));
  }
  return true;
}

/** Mail brings actors to life like any first message: the log then names their machine. */
function awaken(state: ShardState, work: Work): Work {
  const { actor, op, event } = work;
  if (op !== 'event' || event === undefined || isNotice(event.type)) return work;
  if (state.actors.peek(actor) !== undefined || actor.includes('~')) return work;
  const kind = state.registry.kind(actor.slice(0, actor.indexOf('/')));
  if (kind?.spawnOnMessage !== true) return work;
  const machine = `${kind.machine}@${kind.version}`;
  return { ...work, machine, ...(kind.input !== undefined && { input: kind.input }) };
}

/** Built field by field: conditional spreads cost more than the step itself. */
function causeOfAsk({ id, from }: Ask): Cause {
  if (id === undefined) return from === undefined ? { kind: 'ask' } : { kind: 'ask', from };
  return from === undefined ? { kind: 'ask', id } : { kind: 'ask', id, from };
}

function causeOfInbox({ seq, id, from }: InboxMessage): Cause {
  if (id === undefined) return from === undefined ? { kind: 'inbox', seq } : { kind: 'inbox', seq, from };
  return from === undefined ? { kind: 'inbox', seq, id } : { kind: 'inbox', seq, id, from };
}

function resolve(
  context: ItemContext,
  cause: Entry['cause'],
  address: string,
  message: Ask | InboxMessage,
  refusal?: WireError,
): Work {
  const { state, deps, draft, inlineBytesMax } = context;
  const { contentType, trace } = message;
  const bodyBytes = ('bodyBytes' in message ? message.bodyBytes : undefined) ?? message.body.byteLength;
  const isStored =
    bodyBytes > inlineBytesMax && mayBeTaken(state, address, bodyBytes, deps.limits.bodyBytesMax);
  const blob = isStored ? blobOf(message.body, contentType) : undefined;
  const arrival = { cause, address, message, bodyBytes, contentType, trace, blob };
  const dead = refusal ?? message.refusal;
  if (dead !== undefined) return deadArrival(arrival, dead);
  try {
    const place = (): string => `${state.shard}-${draft.index}-${draft.entries.length}`;
    const doors = { gate: deps.gate, guard: deps.guard, place };
    return resolveArrival(state, arrival, doors, deps.limits, draft.at);
  } catch (thrown) {
    // A fault of ours must not let one message stop the shard each time it comes.
    const error = toWireError(thrown);
    deps.logger.error({ shard: state.shard, address, error }, 'resolve_fault');
    return deadArrival(arrival, error);
  }
}

function blobOf(body: Uint8Array, contentType: string | undefined): NonNullable<Entry['blob']> {
  return { hash: bodyHash(body), ...(contentType !== undefined && { contentType }) };
}
