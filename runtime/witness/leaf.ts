/**
 * What the tree holds of a commit, 64 bytes, big-endian:
 *
 *     "IFC1" (4) ‖ shard (4) ‖ index (8) ‖ sequence in the stream (8) ‖ at (8, ms) ‖ SHA-256 of the stored bytes (32)
 *
 * The commit of sequence `s` is leaf `s − 1`: what the tree says of a leaf is checked against where it stands.
 */
import { concat, equal, utf8 } from './bytes.ts';
import { HASH_BYTES } from './hash.ts';

export const LEAF_BYTES = 64;
const MAGIC = utf8('IFC1');

export interface Leaf {
  readonly shard: number;
  readonly index: number;
  /** Sequence in the stream of the log, from 1. */
  readonly seq: number;
  /** The commit's own time, ms since the epoch. */
  readonly at: number;
  /** SHA-256 of the commit's stored bytes. */
  readonly hash: Uint8Array;
}

/** Throws a RangeError for numbers that no commit has. */
export function encodeLeaf({ shard, index, seq, at, hash }: Leaf): Uint8Array {
  const head = new Uint8Array(LEAF_BYTES - HASH_BYTES - MAGIC.byteLength);
  const view = new DataView(head.buffer);
  view.setUint32(0, shard);
  view.setBigUint64(4, BigInt(index));
  view.setBigUint64(12, BigInt(seq));
  view.setBigUint64(20, BigInt(at));
  return concat(MAGIC, head, hash);
}

/** Undefined for what is no leaf. */
export function decodeLeaf(entry: Uint8Array): Leaf | undefined {
  if (entry.byteLength !== LEAF_BYTES || !equal(entry.subarray(0, MAGIC.byteLength), MAGIC)) return undefined;
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const [index, seq, at] = [8, 16, 24].map((offset) => Number(view.getBigUint64(offset)));
  if (index === undefined || seq === undefined || at === undefined) return undefined;
  if (![index, seq, at].every(Number.isSafeInteger)) return undefined;
  return { shard: view.getUint32(4), index, seq, at, hash: entry.slice(32) };
}
