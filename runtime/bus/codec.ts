/**
 * Bytes to values and back. Hash stored bytes, never re-encoded ones: msgpack has no canonical form.
 *
 * C1  What comes from outside decodes to plain data or to a FabricError, in time and memory of the order of its size.
 * C2  `encode(decode(encode(v)))` is `encode(v)` for plain data: a state read back from a snapshot has the digest that
 *     it was written with.
 */
import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { Packr, Unpackr } from 'msgpackr';
import { COMMIT_FORMAT, type Commit } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';
import { msgpackProblem } from './msgpack-check.ts';
import { plainDataProblem } from './plain-data.ts';

export const MSGPACK = 'application/msgpack';
export const JSON_TYPE = 'application/json';
const HASH_BYTES = 32;

const packr = new Packr({
  useRecords: false,
  encodeUndefinedAsNil: false,
  // In data `toJSON` is a field like any other.
  useToJSON: false,
  // Any number of fields, and one form for an object and for the map it is read back from.
  variableMapSize: true,
});
// Copies, so that a small value does not keep the chunk it came in.
const common = { useRecords: false, mapsAsObjects: true, structuredClone: false, copyBuffers: true };
const unpackr = new Unpackr(common);
// Other encoders write small integers with 64 bits: numbers where they fit. The types do not know of `auto`.
const bodyUnpackr = new Unpackr({ ...common, int64AsType: 'auto' as 'number' });

/** Plain msgpack. Half a character (text cut in the middle of an emoji) is written as U+FFFD. */
export function encode(value: unknown): Uint8Array {
  const bytes = packr.pack(value);
  if (!mayHoldHalves(bytes)) return bytes;
  const whole = wellFormed(value);
  return whole === value ? bytes : packr.pack(whole);
}

/** Throws what msgpackr throws; for bytes that the fabric wrote itself. */
export function decode(bytes: Uint8Array): unknown {
  return unpackr.unpack(plain(bytes));
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

export function encodeCommit(commit: Commit): Uint8Array {
  return encode(commit);
}

/** Throws `bad_commit` for anything that has not the shape of a commit. */
export function decodeCommit(bytes: Uint8Array): Commit {
  let value: unknown;
  try {
    value = unpackr.unpack(plain(bytes));
  } catch (cause) {
    throw new FabricError(busErrors.bad_commit, 'The bytes are no msgpack', { cause });
  }
  const commit = value as Commit;
  if (typeof value !== 'object' || value === null || !Number.isInteger(commit.format)) throw noCommit();
  if (commit.format !== COMMIT_FORMAT) {
    throw new FabricError(
      busErrors.bad_commit,
      `The commit has format ${commit.format}; ${COMMIT_FORMAT} is known`,
    );
  }
  const isWhole =
    [commit.shard, commit.index, commit.epoch, commit.consumed].every(isCount) &&
    Number.isInteger(commit.acted) &&
    Number.isFinite(commit.at) &&
    commit.prev instanceof Uint8Array &&
    commit.prev.byteLength === HASH_BYTES &&
    (commit.digest === undefined || commit.digest instanceof Uint8Array) &&
    isRecords(commit.entries) &&
    [commit.mail, commit.effects, commit.timers].every((list) => list === undefined || isRecords(list)) &&
    commit.entries.every(
      (e) => typeof e.actor === 'string' && typeof e.cause === 'object' && e.cause !== null,
    );
  if (!isWhole) throw noCommit();
  return commit;
}

/** A body in the content type asked for; JSON unless it is msgpack. */
export function encodeBody(value: unknown, contentType?: string): Uint8Array {
  return isMsgpack(contentType)
    ? encode(value)
    : Buffer.from((JSON.stringify(value) as string | undefined) ?? 'null');
}

/**
 * Reads a body from outside: JSON, or msgpack where the content type says so. Throws `bad_body` for what is neither,
 * and for values that the log would not give back as they came or that reach for a prototype.
 */
export function decodeBody(bytes: Uint8Array, contentType: string | undefined): unknown {
  return checkBody(isMsgpack(contentType) ? decodeMsgpackBody(bytes) : decodeJson(bytes));
}

/** The value itself, where it is plain data. Throws `bad_body`. */
export function checkBody(value: unknown): unknown {
  const problem = plainDataProblem(value);
  if (problem !== undefined) throw badBody(problem);
  return value;
}

function decodeMsgpackBody(bytes: Uint8Array): unknown {
  const problem = msgpackProblem(bytes);
  if (problem !== undefined) throw badBody(`is no plain msgpack: it ${problem}`);
  try {
    return bodyUnpackr.unpack(plain(bytes));
  } catch (cause) {
    throw badBody(`is no msgpack: ${(cause as Error).message.slice(0, 200)}`);
  }
}

/** JSON, whatever it says: yet to be checked. Throws `bad_body`. */
export function decodeJson(bytes: Uint8Array): unknown {
  if (!isUtf8(bytes)) throw badBody('is no JSON: its text is no UTF-8');
  try {
    // A third of the time of a TextDecoder for the few dozen bytes of most bodies.
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch (cause) {
    throw badBody(`is no JSON: ${(cause as Error).message.slice(0, 200)}`);
  }
}

function badBody(problem: string): FabricError {
  return new FabricError(busErrors.bad_body, `The body ${problem}`);
}

/** Binary values are made like their source: never Node buffers, which behave otherwise and exist in one place only. */
function plain(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes;
}

function isMsgpack(contentType: string | undefined): boolean {
  return contentType?.startsWith(MSGPACK) === true;
}

function noCommit(): FabricError {
  return new FabricError(busErrors.bad_commit, 'The message is no commit');
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0;
}

function isRecords(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null);
}

/** C2: the decoder reads the encoder's half characters as something else. True for little besides their three bytes. */
function mayHoldHalves(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    if (((bytes[at + 1] ?? 0) & 0xe0) === 0xa0 && ((bytes[at + 2] ?? 0) & 0xc0) === 0x80) return true;
  }
  return false;
}

/** The value itself where all its text is whole. */
function wellFormed(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value !== 'object' || value === null || !holdsHalves(value)) return value;
  if (Array.isArray(value)) return value.map(wellFormed);
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key.toWellFormed(), wellFormed(field)]),
  );
}

function holdsHalves(value: unknown): boolean {
  if (typeof value === 'string') return !value.isWellFormed();
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  if (Array.isArray(value)) return value.some(holdsHalves);
  return Object.entries(value).some(([key, field]) => !key.isWellFormed() || holdsHalves(field));
}
