/** Bytes to values and back. Hash stored bytes, never re-encoded ones: msgpack has no canonical form. */
import { hash } from 'node:crypto';
import { Packr, Unpackr } from 'msgpackr';
import { COMMIT_FORMAT, type Commit } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';

export const MSGPACK = 'application/msgpack';
export const JSON_TYPE = 'application/json';
/** Deepest nesting of a body: deeper ones exist only to exhaust a stack. */
export const BODY_DEPTH_MAX = 64;

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Plain msgpack. */
export function encode(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Throws what msgpackr throws; for bytes that the fabric wrote itself. */
export function decode(bytes: Uint8Array): unknown {
  return unpackr.unpack(bytes);
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

export function encodeCommit(commit: Commit): Uint8Array {
  return packr.pack(commit);
}

/** Throws `bad_commit` for anything that has not the shape of a commit. */
export function decodeCommit(bytes: Uint8Array): Commit {
  let value: unknown;
  try {
    value = unpackr.unpack(bytes);
  } catch (cause) {
    throw new FabricError(busErrors.bad_commit, 'The bytes are no msgpack', { cause });
  }
  const commit = value as Commit;
  const isWhole =
    typeof value === 'object' &&
    value !== null &&
    Number.isInteger(commit.shard) &&
    Number.isInteger(commit.index) &&
    Number.isInteger(commit.epoch) &&
    Number.isInteger(commit.consumed) &&
    Number.isFinite(commit.at) &&
    commit.prev instanceof Uint8Array &&
    Array.isArray(commit.entries);
  if (!isWhole) throw new FabricError(busErrors.bad_commit, 'The message is no commit');
  if (commit.format !== COMMIT_FORMAT) {
    throw new FabricError(
      busErrors.bad_commit,
      `The commit has format ${commit.format}; ${COMMIT_FORMAT} is known`,
    );
  }
  return commit;
}

/** A body in the content type asked for; JSON unless it is msgpack. */
export function encodeBody(value: unknown, contentType?: string): Uint8Array {
  return isMsgpack(contentType) ? packr.pack(value) : Buffer.from(JSON.stringify(value));
}

/** Reads a body from outside: JSON, or msgpack where the content type says so. Throws `bad_body`. */
export function decodeBody(bytes: Uint8Array, contentType: string | undefined): unknown {
  let value: unknown;
  try {
    value = isMsgpack(contentType) ? unpackr.unpack(bytes) : JSON.parse(utf8.decode(bytes));
  } catch (cause) {
    const form = isMsgpack(contentType) ? 'msgpack' : 'JSON';
    throw new FabricError(
      busErrors.bad_body,
      `The body is no ${form}: ${(cause as Error).message.slice(0, 200)}`,
    );
  }
  const problem = problemOf(value, 0);
  if (problem !== undefined) throw new FabricError(busErrors.bad_body, `The body ${problem}`);
  return value;
}

function isMsgpack(contentType: string | undefined): boolean {
  return contentType?.startsWith(MSGPACK) === true;
}

/** What of a decoded value the fabric does not take: depth, keys that reach prototypes, values with no plain form. */
function problemOf(value: unknown, depth: number): string | undefined {
  if (typeof value !== 'object' || value === null) {
    return typeof value === 'symbol' || typeof value === 'function' ? 'holds no plain data' : undefined;
  }
  if (depth >= BODY_DEPTH_MAX) return `is nested deeper than ${BODY_DEPTH_MAX} levels`;
  if (value instanceof Uint8Array) return undefined;
  if (Array.isArray(value)) {
    for (const item of value) {
      const problem = problemOf(item, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return 'holds a value that is no plain data';
  for (const key of Object.keys(value)) {
    if (key === '__proto__' || key === '__proto_') return 'has a key that reaches a prototype';
    const problem = problemOf((value as Record<string, unknown>)[key], depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
