/**
 * Frames between a jail's process and its parent: u32 length of what follows, u8 kind, then fields of u32 length and
 * bytes, all little-endian. Both sides use this file; it imports nothing.
 *
 * F1  Whoever reads a frame says how long it may be before a byte of it is kept.
 * F2  A frame is its fields and nothing else: lengths that do not add up are refused.
 * F3  Text is UTF-8, or the frame is refused.
 */

export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

/** Below 16 to the jail, the others to the parent. */
export const FRAME = {
  load: 1,
  run: 2,
  answer: 3,
  gate: 4,
  ready: 16,
  log: 17,
  call: 18,
  done: 19,
  failed: 20,
  gated: 21,
  refused: 22,
  loaded: 23,
} as const;

export interface Frame {
  readonly kind: number;
  readonly fields: readonly Uint8Array[];
}

export const HEAD_BYTES = 4;
const KIND_BYTES = 1;
const FIELD_HEAD_BYTES = 4;
const NUMBER_BYTES = 8;
/** The most that one frame has: a component of many core modules. */
const FIELDS_MAX = 1_024;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The message says what was wrong with the bytes, in words of this file alone. */
export class FrameError extends Error {}

export function encodeFrame(kind: FrameKind, fields: readonly Uint8Array[]): Uint8Array {
  const size = fields.reduce((sum, field) => sum + FIELD_HEAD_BYTES + field.byteLength, KIND_BYTES);
  const bytes = new Uint8Array(HEAD_BYTES + size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size, true);
  bytes[HEAD_BYTES] = kind;
  let at = HEAD_BYTES + KIND_BYTES;
  for (const field of fields) {
    view.setUint32(at, field.byteLength, true);
    bytes.set(field, at + FIELD_HEAD_BYTES);
    at += FIELD_HEAD_BYTES + field.byteLength;
  }
  return bytes;
}

/** The length of the frame behind a head. F1. Throws {@link FrameError}. */
export function frameLength(head: Uint8Array, bytesMax: number): number {
  const length = new DataView(head.buffer, head.byteOffset, HEAD_BYTES).getUint32(0, true);
  if (length < KIND_BYTES || length > bytesMax) throw new FrameError(`a frame of ${length} bytes`);
  return length;
}

/** Reads what follows a head. F2. The fields are views of the bytes. Throws {@link FrameError}. */
export function decodeFrame(body: Uint8Array): Frame {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const fields: Uint8Array[] = [];
  let at = KIND_BYTES;
  while (at < body.byteLength) {
    if (fields.length === FIELDS_MAX) throw new FrameError('too many fields');
    if (body.byteLength - at < FIELD_HEAD_BYTES) throw new FrameError('a field without its length');
    const end = at + FIELD_HEAD_BYTES + view.getUint32(at, true);
    if (end > body.byteLength) throw new FrameError('a field longer than its frame');
    fields.push(body.subarray(at + FIELD_HEAD_BYTES, end));
    at = end;
  }
  return { kind: body[0] ?? 0, fields };
}

export const toText = (text: string): Uint8Array => encoder.encode(text);

/** F3. Throws {@link FrameError}. */
export function fromText(field: Uint8Array | undefined): string {
  if (field === undefined) throw new FrameError('a field is missing');
  try {
    return decoder.decode(field);
  } catch {
    throw new FrameError('a text that is not UTF-8');
  }
}

export function toNumber(value: number): Uint8Array {
  const bytes = new Uint8Array(NUMBER_BYTES);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return bytes;
}

/** An integer that counts something. Throws {@link FrameError}. */
export function fromNumber(field: Uint8Array | undefined): number {
  if (field?.byteLength !== NUMBER_BYTES) throw new FrameError('a number that has not eight bytes');
  const value = new DataView(field.buffer, field.byteOffset).getFloat64(0, true);
  if (!Number.isSafeInteger(value) || value < 0) throw new FrameError('a number that counts nothing');
  return value;
}

export function toWord(value: bigint): Uint8Array {
  const bytes = new Uint8Array(NUMBER_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

/** Throws {@link FrameError}. */
export function fromWord(field: Uint8Array | undefined): bigint {
  if (field?.byteLength !== NUMBER_BYTES) throw new FrameError('a word that has not eight bytes');
  return new DataView(field.buffer, field.byteOffset).getBigUint64(0, true);
}
