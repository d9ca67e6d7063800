/** From a body at a door to the work it means, or the typed reason why not. */
import { BATCH_BYTES_MAX } from '#runtime/bus/ask-batch';
import { checkBody, decodeBody } from '#runtime/bus/codec';
import type { EventData, Machine } from '#runtime/machine/types';
import type { Cause, Entry } from '#schemas/commit';
import { type ErrorKind, FabricError, type WireError } from '#schemas/fabric-error';
import { HELD_EVENT, RELEASED_EVENT } from '#schemas/policy';
import { WITHIN } from '#schemas/within';
import { shardErrors } from './errors.ts';
import type { EdgeGate, Guard } from './ports.ts';
import { acceptSeq, lastSeq } from './settle.ts';
import type { ShardState } from './state.ts';
import { type DraftWork, senderOf, type Work } from './work.ts';

export interface Arrival {
  readonly cause: Cause;
  readonly address: string;
  readonly message: { readonly body: Uint8Array; readonly value?: unknown };
  /** Size of the body. */
  readonly bodyBytes: number;
  readonly contentType: string | undefined;
  readonly trace: string | undefined;
  /** Set where the body was put into the blob store because it is too big for the log. */
  readonly blob: NonNullable<Entry['blob']> | undefined;
}

/** Never throws for what a sender did: the refusal is in `work.error`. */
export function resolveArrival(
  state: ShardState,
  arrival: Arrival,
  doors: { readonly gate: EdgeGate; readonly guard?: Guard | undefined; readonly place: () => string },
  limits: { readonly bodyBytesMax: number },
  now: number,
): Work {
  const { address, message, contentType } = arrival;
  const type = address.slice(0, address.indexOf('/'));
  const kind = state.registry.kind(type);
  if (kind === undefined)
    return refused(arrival, shardErrors.unknown_kind, `This realm has no actor type "${type}"`);
  if (kind.door === 'closed') {
    return refused(
      arrival,
      shardErrors.door_closed,
      `Actors of type "${type}" take no messages from outside`,
    );
  }
  const bytes = bytesOf(arrival, limits.bodyBytesMax);
  if (bytes > limits.bodyBytesMax) {
    const why = `The body has ${bytes} bytes; ${limits.bodyBytesMax} are allowed`;
    return refused(arrival, shardErrors.body_too_big, why);
  }
  let value: unknown;
  try {
    value = message.value === undefined ? decodeBody(message.body, contentType) : checkBody(message.value);
  } catch (thrown) {
    if (thrown instanceof FabricError) return deadArrival(arrival, thrown.toWire());
    throw thrown;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refused(arrival, shardErrors.bad_event, 'The body is not an object with a string "type"');
  }
  let event = value as EventData;
  let signed: Entry['signed'];
  if ('performative' in value || kind.door === 'signed') {
    const last = (from: string): number => lastSeq(state, from, address);
    const verdict = doors.gate.check(value, { actor: address, now, lastSeq: last });
    if (!verdict.ok) return deadArrival(arrival, verdict.error);
    ({ event, signed } = verdict);
  } else if (typeof event.type !== 'string' || event.type === '' || event.type.length > EVENT_TYPE_MAX) {
    const message = `The event has no "type" of 1 to ${EVENT_TYPE_MAX} characters`;
    return refused(arrival, shardErrors.bad_event, message);
  } else if (isReserved(event.type)) {
    return refused(arrival, shardErrors.reserved_event, `"${event.type}" is an event of the kernel`);
  }
  const cell = state.actors.cell(address);
  // A child's address comes to life by its parent only.
  if (cell === undefined && (!kind.spawnOnMessage || address.includes('~'))) {
    return refused(arrival, shardErrors.unknown_actor, `No actor lives at ${address}`, event);
  }
  const machine = cell?.machine ?? state.registry.machine(kind.machine, kind.version);
  if (!reactsTo(machine, event.type)) {
    const known = machine.events?.slice(0, 20).join(', ') ?? '';
    const message = `${machine.ref} has no event "${event.type}"; it has: ${known}`;
    return refused(arrival, shardErrors.unknown_event, message, event);
  }
  const work = workFor(arrival);
  work.event = event;
  if (signed !== undefined) {
    work.signed = signed;
    acceptSeq(state, signed.from, address, { seq: signed.seq, at: now });
  }
  if (cell === undefined) {
    work.machine = machine.ref;
    if (kind.input !== undefined) work.input = kind.input;
  }
  return doors.guard === undefined ? work : guarded(work, doors.guard, cell?.state.context, doors.place);
}

/** What the guard makes of it. What it keeps out is dead, and what has to wait is a note: either leaves its actor alone. */
function guarded(work: DraftWork, guard: Guard, context: unknown, place: () => string): Work {
  const { actor, event, cause, signed, trace, blob } = work;
  if (event === undefined) return work;
  const from = signed?.from ?? senderOf(cause);
  const verdict = guard.check({ actor, event, from, context, place });
  if (verdict === undefined) return work;
  if (verdict.note !== undefined) work.policy = verdict.note;
  if (verdict.go === 'on') {
    if (verdict.event === undefined) return work;
    work.event = verdict.event;
    // The body that lies elsewhere is another one: a fold must hear what the machine heard.
    delete work.blob;
    return work;
  }
  if (verdict.go === 'out') {
    work.error = verdict.error;
    return work;
  }
  const { event: held, to: forwardTo, reply, note: policy } = verdict;
  return {
    cause,
    actor,
    op: 'note',
    event: held,
    forwardTo,
    reply,
    policy,
    ...(signed !== undefined && { signed }),
    ...(trace !== undefined && { trace }),
    ...(blob !== undefined && { blob }),
  };
}

/** An ask that came with others counts with its share of their message; where that may break the bound, with its own body. */
function bytesOf({ message, bodyBytes }: Arrival, bodyBytesMax: number): number {
  const isShare = message.value !== undefined && bodyBytesMax < BATCH_BYTES_MAX;
  return isShare ? message.body.byteLength : bodyBytes;
}

const EVENT_TYPE_MAX = 128;
/** Of a longer body that is refused unread, only the beginning is kept. */
const RAW_BYTES_MAX = 64 * 1024;
const RAW_KEPT_BYTES = 4 * 1024;

/** Field by field: conditional spreads cost more than the step itself. */
function workFor({ cause, address, trace, blob }: Arrival): DraftWork {
  const work: DraftWork = { cause, actor: address, op: 'event' };
  if (trace !== undefined) work.trace = trace;
  if (blob !== undefined) work.blob = blob;
  return work;
}

function refused(arrival: Arrival, kind: ErrorKind, message: string, event?: EventData): Work {
  const error = new FabricError(kind, message, { details: { actor: arrival.address } });
  return deadArrival(arrival, error.toWire(), event);
}

/** What arrived and why it is dead, kept whole: its event where there is one, its bytes otherwise. */
export function deadArrival(arrival: Arrival, error: WireError, event?: EventData): Work {
  const work = workFor(arrival);
  work.error = error;
  if (event !== undefined) work.event = event;
  else if (arrival.blob === undefined) work.raw = rawOf(arrival);
  return work;
}

function rawOf({ message: { body }, contentType }: Arrival): NonNullable<Entry['raw']> {
  const type = contentType !== undefined && { contentType };
  if (body.byteLength <= RAW_BYTES_MAX) return { body, ...type };
  return { body: body.slice(0, RAW_KEPT_BYTES), bytes: body.byteLength, ...type };
}

/**
 * False for what is refused whatever its body says: such bodies are not worth a place in the blob store, which a sender
 * who may do nothing could fill otherwise.
 */
export function mayBeTaken(state: ShardState, address: string, bytes: number, bodyBytesMax: number): boolean {
  const kind = state.registry.kind(address.slice(0, address.indexOf('/')));
  return kind !== undefined && kind.door !== 'closed' && bytes <= bodyBytesMax;
}

const RESERVED = ['xstate.', 'child.', 'config.', 'if.', WITHIN];

function isReserved(type: string): boolean {
  if (type === HELD_EVENT || type === RELEASED_EVENT) return true; // G1 of released.ts.
  // An IFMessage comes as itself, through the gate: who writes the event of one could name any sender.
  return RESERVED.some((prefix) => type.startsWith(prefix));
}

const matchers = new WeakMap<Machine, (type: string) => boolean>();

function reactsTo(machine: Machine, type: string): boolean {
  let matcher = matchers.get(machine);
  if (matcher === undefined) {
    matcher = matcherOf(machine.events);
    matchers.set(machine, matcher);
  }
  return matcher(type);
}

function matcherOf(events: readonly string[] | undefined): (type: string) => boolean {
  if (events === undefined) return () => true;
  const exact = new Set(events);
  const prefixes = events.filter((e) => e.endsWith('.*')).map((e) => e.slice(0, -1));
  return (type) => exact.has(type) || prefixes.some((p) => type.startsWith(p));
}
