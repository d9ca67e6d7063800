/** From a body at a door to the work it means, or the typed reason why not. */
import { decodeBody } from '#runtime/bus/codec';
import type { EventData, Machine } from '#runtime/machine/types';
import type { Cause, Entry } from '#schemas/commit';
import { type ErrorKind, FabricError, type WireError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import type { EdgeGate } from './ports.ts';
import { acceptSeq, lastSeq } from './settle.ts';
import type { ShardState } from './state.ts';
import type { Work } from './work.ts';

export interface Arrival {
  readonly cause: Cause;
  readonly address: string;
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  readonly trace: string | undefined;
  /** Set where the body was put into the blob store because it is too big for the log. */
  readonly blob: NonNullable<Entry['blob']> | undefined;
}

/** Never throws for what a sender did: the refusal is in `work.error`. */
export function resolveArrival(
  state: ShardState,
  arrival: Arrival,
  gate: EdgeGate,
  limits: { readonly bodyBytesMax: number },
  now: number,
): Work {
  const base = {
    cause: arrival.cause,
    actor: arrival.address,
    op: 'event' as const,
    ...(arrival.trace !== undefined && { trace: arrival.trace }),
    ...(arrival.blob !== undefined && { blob: arrival.blob }),
  };
  const refuse = (error: WireError, event?: EventData): Work => ({
    ...base,
    ...(event === undefined ? { ...(arrival.blob === undefined && { raw: rawOf(arrival) }) } : { event }),
    error,
  });
  const type = arrival.address.slice(0, arrival.address.indexOf('/'));
  const kind = state.registry.kind(type);
  const where = { actor: arrival.address };
  const refusal = (which: ErrorKind, message: string): WireError =>
    new FabricError(which, message, { details: where }).toWire();

  if (kind === undefined)
    return refuse(refusal(shardErrors.unknown_kind, `This realm has no actor type "${type}"`));
  if (kind.door === 'closed') {
    return refuse(refusal(shardErrors.door_closed, `Actors of type "${type}" take no messages from outside`));
  }
  if (arrival.body.byteLength > limits.bodyBytesMax) {
    return refuse(
      refusal(
        shardErrors.body_too_big,
        `The body has ${arrival.body.byteLength} bytes; ${limits.bodyBytesMax} are allowed`,
      ),
    );
  }
  let value: unknown;
  try {
    value = decodeBody(arrival.body, arrival.contentType);
  } catch (thrown) {
    if (thrown instanceof FabricError) return refuse(thrown.toWire());
    throw thrown;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(refusal(shardErrors.bad_event, 'The body is not an object with a string "type"'));
  }
  let event = value as EventData;
  let signed: Entry['signed'];
  if ('performative' in value || kind.door === 'signed') {
    const verdict = gate.check(value, {
      actor: arrival.address,
      now,
      lastSeq: (from) => lastSeq(state, from, arrival.address),
    });
    if (!verdict.ok) return refuse(verdict.error);
    ({ event } = verdict);
    signed = verdict.signed;
    if (signed !== undefined) acceptSeq(state, signed.from, arrival.address, { seq: signed.seq, at: now });
  } else if (typeof event.type !== 'string' || event.type === '' || event.type.length > 128) {
    return refuse(refusal(shardErrors.bad_event, 'The event has no "type" of 1 to 128 characters'));
  } else if (isReserved(event.type)) {
    return refuse(refusal(shardErrors.reserved_event, `"${event.type}" is an event of the kernel`));
  }
  const cell = state.actors.cell(arrival.address);
  // A child's address comes to life by its parent only.
  if (cell === undefined && (!kind.spawnOnMessage || arrival.address.includes('~'))) {
    return refuse(refusal(shardErrors.unknown_actor, `No actor lives at ${arrival.address}`), event);
  }
  const machine = cell?.machine ?? state.registry.machine(kind.machine, kind.version);
  if (!reactsTo(machine, event.type)) {
    const known = machine.events?.slice(0, 20).join(', ') ?? '';
    const message = `${machine.ref} has no event "${event.type}"; it has: ${known}`;
    return refuse(refusal(shardErrors.unknown_event, message), event);
  }
  return {
    ...base,
    event,
    ...(signed !== undefined && { signed }),
    ...(cell === undefined && {
      machine: machine.ref,
      ...(kind.input !== undefined && { input: kind.input }),
    }),
  };
}

function rawOf(arrival: Arrival): NonNullable<Entry['raw']> {
  const { body, contentType } = arrival;
  return { body, ...(contentType !== undefined && { contentType }) };
}

function isReserved(type: string): boolean {
  return type.startsWith('xstate.') || type.startsWith('child.') || type.startsWith('config.');
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
