/**
 * The head of a stored commit, read from its first bytes without the rest: a verifier sees every commit, and decoding
 * all their entries would cost more than hashing them.
 *
 * A commit is a msgpack map that begins with the fields below, in this order; the fabric writes no other form.
 */
import { HASH_BYTES } from './hash.ts';

export interface CommitHead {
  readonly shard: number;
  readonly index: number;
  /** SHA-256 of the stored bytes of the shard's commit before this one. */
  readonly prev: Uint8Array;
  /** ms since the epoch. */
  readonly at: number;
}

const COMMIT_FORMAT = 1;
const FORMAT = fieldName('format');
const SHARD = fieldName('shard');
const INDEX = fieldName('index');
/** With the head of 32 binary bytes behind it. */
const PREV = [...fieldName('prev'), 0xc4, HASH_BYTES];
const AT = fieldName('at');
const SHARD_MAX = 2 ** 32 - 1;

/** Undefined for bytes that do not begin like a commit. */
export function readCommitHead(bytes: Uint8Array): CommitHead | undefined {
  const cursor = new Cursor(bytes);
  if (!cursor.map()) return undefined;
  const format = cursor.skip(FORMAT) ? cursor.number() : undefined;
  const shard = cursor.skip(SHARD) ? cursor.number() : undefined;
  const index = cursor.skip(INDEX) ? cursor.number() : undefined;
  const prev = cursor.skip(PREV) ? cursor.take(HASH_BYTES) : undefined;
  const at = cursor.skip(AT) ? cursor.number() : undefined;
  if (format !== COMMIT_FORMAT || prev === undefined) return undefined;
  if (shard === undefined || index === undefined || at === undefined || shard > SHARD_MAX) return undefined;
  return { shard, index, prev, at };
}

/** A short text as msgpack writes it. */
function fieldName(name: string): readonly number[] {
  return [0xa0 | name.length, ...Array.from(name, (char) => char.charCodeAt(0))];
}

class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  map(): boolean {
    const first = this.#bytes[0] ?? 0;
    this.#at = (first & 0xf0) === 0x80 ? 1 : first === 0xde ? 3 : first === 0xdf ? 5 : 0;
    return this.#at > 0;
  }

  skip(expected: readonly number[]): boolean {
    for (let i = 0; i < expected.length; i += 1) {
      if (this.#bytes[this.#at + i] !== expected[i]) return false;
    }
    this.#at += expected.length;
    return true;
  }

  take(length: number): Uint8Array | undefined {
    const end = this.#at + length;
    if (end > this.#bytes.byteLength) return undefined;
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  /** A count from 0 to 2^53 − 1 as any of the forms that msgpack has for it. */
  number(): number | undefined {
    const type = this.#bytes[this.#at] ?? 0xff;
    this.#at += 1;
    if (type < 0x80) return type;
    if (type === 0xcb) return this.#float();
    const length = type >= 0xcc && type <= 0xcf ? 1 << (type - 0xcc) : 0;
    const bytes = length === 0 ? undefined : this.take(length);
    if (bytes === undefined) return undefined;
    let value = 0;
    for (const byte of bytes) value = value * 256 + byte;
    return Number.isSafeInteger(value) ? value : undefined;
  }

  #float(): number | undefined {
    const bytes = this.take(8);
    if (bytes === undefined) return undefined;
    const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0);
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  }
}
