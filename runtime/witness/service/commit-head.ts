/**
 * The head of a stored commit without the rest: the builder sees every commit, and decoding all their entries would
 * cost the realm as much as writing them.
 */
import { decodeCommit } from '#runtime/bus/codec';
import { busErrors } from '#runtime/bus/errors';
import { COMMIT_FORMAT } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';

/** The fields a leaf and the chain need. */
export interface CommitHead {
  readonly shard: number;
  readonly index: number;
  readonly prev: Uint8Array;
  /** ms since the epoch. */
  readonly at: number;
}

/** The order in which `encodeCommit` writes a commit's first fields. */
const FIELDS = ['format', 'shard', 'index', 'prev', 'at'] as const;
const FIELDS_BYTES = FIELDS.map((name) => Buffer.from(name, 'latin1'));
const HASH_BYTES = 32;
const SHARD_MAX = 2 ** 32 - 1;

/**
 * Reads the head from the bytes of the first fields, or by decoding the whole commit where they do not stand where our
 * encoder puts them. Throws `bad_commit`.
 */
export function commitHead(bytes: Uint8Array): CommitHead {
  return quickHead(bytes) ?? slowHead(bytes);
}

function slowHead(bytes: Uint8Array): CommitHead {
  const { shard, index, prev, at } = decodeCommit(bytes);
  if (!isLeafable(shard, index, at)) {
    throw new FabricError(busErrors.bad_commit, 'The commit has numbers that no leaf of the tree holds');
  }
  return { shard, index, prev, at };
}

/** Undefined for anything unusual: the slow way then says what it is. */
function quickHead(bytes: Uint8Array): CommitHead | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = mapBody(view);
  if (at === undefined) return undefined;
  const numbers: number[] = [];
  let prev: Uint8Array | undefined;
  for (const name of FIELDS_BYTES) {
    // fixstr: the length stands in the first byte.
    if (at + 1 + name.byteLength > bytes.byteLength || view.getUint8(at) !== (0xa0 | name.byteLength))
      return undefined;
    for (let i = 0; i < name.byteLength; i++) if (bytes[at + 1 + i] !== name[i]) return undefined;
    at += 1 + name.byteLength;
    if (name === FIELDS_BYTES[3]) {
      // bin 8
      if (at + 2 + HASH_BYTES > bytes.byteLength || view.getUint16(at) !== 0xc420) return undefined;
      prev = bytes.subarray(at + 2, at + 2 + HASH_BYTES);
      at += 2 + HASH_BYTES;
      continue;
    }
    const number = numberAt(view, at);
    if (number === undefined) return undefined;
    numbers.push(number.value);
    at = number.end;
  }
  const [format, shard, index, time] = numbers;
  if (
    format !== COMMIT_FORMAT ||
    prev === undefined ||
    shard === undefined ||
    index === undefined ||
    time === undefined
  )
    return undefined;
  return isLeafable(shard, index, time) ? { shard, index, prev, at: time } : undefined;
}

function isLeafable(shard: number, index: number, at: number): boolean {
  return shard <= SHARD_MAX && [shard, index, at].every((n) => Number.isSafeInteger(n) && n >= 0);
}

/** Where the fields of a map begin. */
function mapBody(view: DataView): number | undefined {
  const first = view.byteLength === 0 ? 0 : view.getUint8(0);
  if ((first & 0xf0) === 0x80) return 1;
  if (first === 0xde) return 3;
  return first === 0xdf ? 5 : undefined;
}

/** Bytes after the type byte. */
const NUMBER_BYTES: Readonly<Record<number, number>> = { 204: 1, 205: 2, 206: 4, 207: 8, 203: 8 };

function numberAt(view: DataView, at: number): { value: number; end: number } | undefined {
  if (at >= view.byteLength) return undefined;
  const type = view.getUint8(at);
  if (type < 0x80) return { value: type, end: at + 1 };
  const size = NUMBER_BYTES[type];
  if (size === undefined || at + 1 + size > view.byteLength) return undefined;
  const end = at + 1 + size;
  switch (type) {
    case 0xcc:
      return { value: view.getUint8(at + 1), end };
    case 0xcd:
      return { value: view.getUint16(at + 1), end };
    case 0xce:
      return { value: view.getUint32(at + 1), end };
    case 0xcf:
      return { value: Number(view.getBigUint64(at + 1)), end };
    default:
      return { value: view.getFloat64(at + 1), end };
  }
}
