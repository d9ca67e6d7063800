/**
 * Step: one work, one entry. No I/O, no clock, no randomness: the same works over the same state give the same
 * entries, which is what recovery and replay rely on.
 *
 * S1  A work changes at most the actor it names; other actors hear by mail.
 * S2  A step that throws changes nothing: the entry is `dead` and the last good state stays.
 * S3  Ids, effect keys and due times come from the commit's index and time only.
 * S4  An actor that ends leaves no timer, no effect and no child behind.
 */

import { encode } from '#runtime/bus/codec';
import type { EventData, Machine, Step, StepContext } from '#runtime/machine/types';
import type { Address } from '#schemas/address';
import type { Entry, Severity } from '#schemas/commit';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { carry, mail } from './carry.ts';
import { checkAction } from './check-action.ts';
import type { Draft } from './draft.ts';
import { base, dead, noteOf, plainError, threwError } from './entry.ts';
import { shardErrors } from './errors.ts';
import {
  consumeCause,
  discard,
  fail,
  finish,
  incarnationIn,
  isLateEnd,
  newCell,
  tellStarted,
} from './lifecycle.ts';
import { estimateBytes } from './size.ts';
import type { ShardState } from './state.ts';
import { contextProblem, storageProblem } from './storable.ts';
import { type Cell, NOWHERE, statusOf } from './table.ts';
import { senderOf, type Work } from './work.ts';

/** What one step may add to a commit (entry, mail, effects, timers), bytes. More is refused as `output_too_big`. */
export const STEP_BYTES_MAX = 256 * 1024;

/** Applies one work and appends its entry to the draft. Never throws for what a machine or a sender did. */
export function applyWork(state: ShardState, draft: Draft, work: Work): Entry {
  const entry = entryFor(state, draft, work);
  draft.entries.push(entry);
  return entry;
}

function entryFor(state: ShardState, draft: Draft, work: Work): Entry {
  if (work.error !== undefined) return applyDead(state, draft, work, work.error);
  switch (work.op) {
    case 'event':
      return applyEvent(state, draft, work);
    case 'spawn':
      return applySpawn(state, draft, work);
    case 'stop':
      return applyStop(state, draft, work);
    case 'migrate':
      return applyMigrate(state, draft, work);
    case 'note':
    case 'dead':
      consumeCause(state, draft, work, state.actors.cell(work.actor));
      if (work.forwardTo !== undefined)
        mail(draft, { to: work.forwardTo, from: work.actor, event: work.event });
      return noteOf(work);
  }
}

/** Refused at a door, or (at replay) by a machine that threw. */
function applyDead(state: ShardState, draft: Draft, work: Work, error: WireError): Entry {
  const cell = state.actors.cell(work.actor);
  consumeCause(state, draft, work, cell);
  if (work.failed === true && cell !== undefined) fail(state, draft, cell, error);
  return dead(work, error);
}

function applyEvent(state: ShardState, draft: Draft, work: Work): Entry {
  const present = state.actors.cell(work.actor);
  if (isLateEnd(work, present)) return noteOf(work);
  consumeCause(state, draft, work, present);
  // A finished effect whose action has no listener, or whose actor is gone, is recorded and that is all.
  if (work.event === undefined) return noteOf(work);
  if (present === undefined) return applyFirst(state, draft, work, work.event);
  const status = statusOf(present);
  if (status !== 'active') {
    if (isNotice(work.event.type)) return noteOf(work);
    const kind = status === 'done' ? shardErrors.actor_done : shardErrors.actor_failed;
    const why = present.failed === undefined ? '' : ` (${present.failed.message})`;
    const message = `${work.actor} is ${status}${why}: it takes no more events`;
    return dead(work, new FabricError(kind, message).toWire());
  }
  const before = present.state.value;
  try {
    const step = present.machine.step(present.state, work.event, contextOf(draft, work));
    checkOutput(state, present.machine, step, work, present.state.context);
    present.state = step.state;
    state.actors.touch(present, draft.at);
    draft.touched.add(present);
    return settleStep(state, draft, work, present, step, before);
  } catch (thrown) {
    return threw(state, draft, work, present, thrown);
  }
}

/** The first event of an actor that comes to life by it. */
function applyFirst(state: ShardState, draft: Draft, work: Work, event: EventData): Entry {
  if (work.machine === undefined) {
    if (isNotice(event.type)) return noteOf(work);
    return dead(
      work,
      new FabricError(shardErrors.unknown_actor, `No actor lives at ${work.actor}`, {
        details: { actor: work.actor },
      }).toWire(),
    );
  }
  try {
    const machine = state.registry.byRef(work.machine);
    const context = contextOf(draft, work);
    const first = machine.initial(work.input, context);
    const second = first.state.status === 'active' ? machine.step(first.state, event, context) : undefined;
    const last: Step = second ?? first;
    const step: Step = {
      state: last.state,
      actions: second === undefined ? first.actions : [...first.actions, ...second.actions],
    };
    checkOutput(state, machine, step, work);
    const cell = newCell(work, machine, step);
    state.actors.put(cell);
    state.actors.touch(cell, draft.at);
    draft.touched.add(cell);
    return settleStep(state, draft, work, cell, step, undefined);
  } catch (thrown) {
    return dead(work, threwError(work, thrown));
  }
}

function applySpawn(state: ShardState, draft: Draft, work: Work): Entry {
  const present = state.actors.cell(work.actor);
  if (present !== undefined && statusOf(present) === 'active') {
    if (work.parent !== undefined) {
      present.parent = work.parent;
      state.actors.touch(present, draft.at);
    }
    tellStarted(draft, work, true);
    return {
      ...base(work),
      op: 'spawn',
      machine: present.machine.ref,
      before: present.state.value,
      after: present.state.value,
    };
  }
  try {
    const machine = state.registry.byRef(work.machine ?? '');
    const step = machine.initial(work.input, contextOf(draft, work));
    checkOutput(state, machine, step, work);
    if (present !== undefined) {
      discard(state, draft, present);
      draft.touched.delete(present);
    }
    const cell = newCell(work, machine, step);
    cell.location = present?.location ?? NOWHERE;
    state.actors.put(cell);
    state.actors.touch(cell, draft.at);
    draft.touched.add(cell);
    tellStarted(draft, work, false);
    draft.emit(work.actor, { type: 'spawned', machine: machine.ref });
    const entry = settleStep(state, draft, work, cell, step, undefined);
    return { ...entry, op: 'spawn' };
  } catch (thrown) {
    const error = threwError(work, thrown);
    if (work.parent !== undefined) {
      const { address, childId } = work.parent;
      mail(draft, {
        to: address,
        from: work.actor,
        event: { type: `xstate.error.actor.${childId}`, actorId: childId, error },
        ...incarnationIn(work.parent),
      });
    }
    return dead(work, error);
  }
}

function applyStop(state: ShardState, draft: Draft, work: Work): Entry {
  const present = state.actors.cell(work.actor);
  // A supervisor that another took the child over from stops it no more: for this one it is gone.
  const cell = isTakenOver(present, work) ? undefined : present;
  const parent = cell?.parent?.supervised === true ? cell.parent : work.parent;
  if (cell !== undefined) {
    discard(state, draft, cell);
    state.actors.remove(cell);
    draft.touched.delete(cell);
    draft.emit(work.actor, { type: 'stopped' });
  }
  if (parent?.supervised === true) {
    mail(draft, {
      to: parent.address,
      from: work.actor,
      event: { type: 'child.stopped', childId: parent.childId, address: work.actor },
    });
  }
  return {
    ...base(work),
    op: 'stop',
    ...(cell !== undefined && { machine: cell.machine.ref, before: cell.state.value }),
  };
}

/** True where another supervisor than the one that asks has the child: a config moved it from the one to the other. */
function isTakenOver(cell: Cell | undefined, { parent }: Work): boolean {
  if (cell?.parent?.supervised !== true || parent?.supervised !== true) return false;
  return cell.parent.address !== parent.address;
}

function applyMigrate(state: ShardState, draft: Draft, work: Work): Entry {
  const cell = state.actors.cell(work.actor);
  if (cell === undefined) {
    return dead(work, new FabricError(shardErrors.unknown_actor, `No actor lives at ${work.actor}`).toWire());
  }
  const before = cell.state.value;
  try {
    const next = state.registry.byRef(work.machine ?? '');
    if (next.ref !== cell.machine.ref) {
      const data = cell.machine.persist(cell.state);
      const moved = state.registry.migrate(next.name, cell.machine.version, next.version, data);
      const restored = next.restore(moved);
      checkOutput(state, next, { state: restored, actions: [] }, work);
      cell.state = restored;
      state.actors.migrate(cell, next);
    }
    state.actors.touch(cell, draft.at);
    draft.touched.add(cell);
    if (cell.parent?.supervised === true) {
      const { address, childId } = cell.parent;
      const event = { type: 'child.migrated', childId, address: work.actor, machine: next.ref };
      mail(draft, { to: address, from: work.actor, event });
    }
    return { ...base(work), op: 'migrate', machine: next.ref, before, after: cell.state.value };
  } catch (thrown) {
    return dead(work, threwError(work, thrown));
  }
}

/** Carries a step's actions into the draft and ends the actor where the step ended it. */
function settleStep(
  state: ShardState,
  draft: Draft,
  work: Work,
  cell: Cell,
  step: Step,
  before: unknown,
): Entry {
  let reply: unknown;
  let log: { message: unknown; severity: Severity }[] | undefined;
  // An entry is as grave as the gravest of its lines.
  let severity: Severity | undefined;
  for (const action of step.actions) {
    if (action.kind === 'reply') reply = action.body;
    else if (action.kind === 'log') {
      log ??= [];
      log.push({ message: action.message, severity: action.severity });
      if (action.severity === 'HIGH' || (action.severity === 'WARN' && severity === undefined)) {
        severity = action.severity;
      }
    } else carry(state, draft, work, cell, action);
  }
  const status = step.state.status;
  if (status !== 'active') finish(state, draft, cell);
  const entry = base(work);
  entry.machine = cell.machine.ref;
  if (before !== undefined) entry.before = before;
  entry.after = step.state.value;
  if (reply !== undefined) entry.reply = reply;
  if (log !== undefined) entry.log = log;
  if (severity !== undefined) entry.severity = severity;
  if (status === 'error') {
    entry.severity = 'HIGH';
    entry.error = plainError(step.state.error);
  }
  return entry;
}

/** S2, and where its kind says so the actor fails and its supervisor acts. */
function threw(state: ShardState, draft: Draft, work: Work, cell: Cell, thrown: unknown): Entry {
  const error = threwError(work, thrown);
  const type = cell.address.slice(0, cell.address.indexOf('/'));
  const failed = state.registry.kind(type)?.onThrow === 'fail';
  if (failed) fail(state, draft, cell, error);
  return {
    ...dead(work, error),
    machine: cell.machine.ref,
    before: cell.state.value,
    after: cell.state.value,
    ...(failed && { failed }),
  };
}

function contextOf(draft: Draft, work: Work): StepContext {
  // A verified sender before a claimed one.
  const from = work.signed?.from ?? senderOf(work.cause);
  const self = work.actor as Address;
  return from === undefined ? { self, at: draft.at } : { self, at: draft.at, from };
}

/** What the kernel tells supervisors and parents: harmless where nobody listens any more. */
export function isNotice(type: string): boolean {
  return type.startsWith('child.') || type.startsWith('xstate.');
}

/**
 * Throws where a step puts out too much, what nobody can carry out, or where it holds what the log would give back as
 * something else. `before` is the context that the step began with.
 */
function checkOutput(state: ShardState, machine: Machine, step: Step, work: Work, before?: unknown): void {
  const { context, status, output, error } = step.state;
  const held = contextProblem(context, before);
  if (held !== undefined) throw notEncodable(work, `its context holds ${held}`);
  if (step.actions.length > 0 || status !== 'active') {
    checkSize(step, work);
    for (const action of step.actions) checkAction(action, work.actor);
    const ended = storageProblem([output, error]);
    if (ended !== undefined) throw notEncodable(work, `it ends with ${ended}`);
  }
  if (!state.careful) return;
  try {
    encode([machine.persist(step.state), step.actions, output, error]);
  } catch (thrown) {
    throw notEncodable(work, toWireError(thrown).message);
  }
}

/** An end counts twice: in the entry or the state, and in the mail to the parent. */
function checkSize({ actions, state }: Step, work: Work): void {
  let bytes = 2 * (estimateBytes(state.output) + estimateBytes(state.error));
  for (const action of actions) bytes += estimateBytes(action);
  if (bytes <= STEP_BYTES_MAX) return;
  throw new FabricError(
    shardErrors.output_too_big,
    `One event made ${work.actor} put out about ${bytes} bytes; ${STEP_BYTES_MAX} are allowed`,
    { details: { actor: work.actor, bytes, bytesMax: STEP_BYTES_MAX } },
  );
}

function notEncodable({ actor }: Work, why: string): FabricError {
  return new FabricError(
    shardErrors.not_encodable,
    `What ${actor} holds or puts out cannot be stored: ${why}`,
    { details: { actor } },
  );
}
