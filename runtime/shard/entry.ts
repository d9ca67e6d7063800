/** Entries, from the works that make them. */
import type { Entry } from '#schemas/commit';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import { estimateBytes } from './size.ts';
import { storageProblem } from './storable.ts';
import type { Work } from './work.ts';

/** An entry while it is built: field by field, since conditional spreads cost more than the step itself. */
export type DraftEntry = { -readonly [K in keyof Entry]: Entry[K] };

/** What the entry takes over from its work. */
export function base(work: Work): DraftEntry {
  const { cause, actor, event, blob } = work;
  const entry: DraftEntry = { cause, actor };
  if (event !== undefined) entry.event = blob === undefined ? event : { type: event.type };
  if (work.input !== undefined) entry.input = work.input;
  if (work.parent !== undefined) entry.parent = work.parent;
  if (work.trace !== undefined) entry.trace = work.trace;
  if (work.signed !== undefined) entry.signed = work.signed;
  if (work.policy !== undefined) entry.policy = work.policy;
  if (blob !== undefined) entry.blob = blob;
  if (work.raw !== undefined) entry.raw = work.raw;
  return entry;
}

export function dead(work: Work, error: WireError): Entry {
  return { ...base(work), op: 'dead', error, severity: 'HIGH' };
}

export function noteOf(work: Work): Entry {
  return { ...base(work), op: 'note', ...(work.reply !== undefined && { reply: work.reply }) };
}

/** Longest message of what a machine threw, characters: it is written with each entry and told to the parent. */
const THROWN_CHARS_MAX = 2_000;
/** Details of a FabricError above this are left out, bytes. */
const THROWN_BYTES_MAX = 16_384;

/** Never throws, whatever a machine threw. */
export function threwError(work: Work, thrown: unknown): WireError {
  if (thrown instanceof FabricError && !isHeavy(thrown)) return thrown.toWire();
  const message = toWireError(thrown).message.slice(0, THROWN_CHARS_MAX).toWellFormed();
  const what = work.event === undefined ? 'starting' : `on ${work.event.type}`;
  return new FabricError(shardErrors.machine_threw, `${work.actor} threw ${what}: ${message}`, {
    details: { actor: work.actor, ...(work.event !== undefined && { event: work.event.type }) },
  }).toWire();
}

function isHeavy({ message, details }: FabricError): boolean {
  return (
    message.length > THROWN_CHARS_MAX ||
    estimateBytes(details) > THROWN_BYTES_MAX ||
    storageProblem(details) !== undefined
  );
}

export function plainError(error: unknown): WireError {
  if (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    'message' in error &&
    'retryable' in error
  ) {
    return error as WireError;
  }
  return toWireError(error);
}
