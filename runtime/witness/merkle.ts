/**
 * The Merkle tree of RFC 6962, section 2.1: hashes, roots, inclusion and consistency proofs and their checks (RFC 9162,
 * sections 2.1.3.2 and 2.1.4.2).
 *
 * A tree is read through {@link SubtreeReader}: the hashes of its whole subtrees, from tiles or from memory.
 */
import { concat, equal } from './bytes.ts';
import { HASH_BYTES, type Sha256 } from './hash.ts';

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** Hash of the subtree over leaves `n · 2^height` to `(n + 1) · 2^height − 1`, all of which the tree has. */
export type SubtreeReader = (height: number, n: number) => Promise<Uint8Array>;

export interface Merkle {
  /** Root of the tree without leaves. */
  emptyRoot(): Uint8Array;
  leafHash(entry: Uint8Array): Uint8Array;
  nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array;
  /** Root of a tree of some leaves of that tree, from 0 on. */
  root(size: number, read: SubtreeReader): Promise<Uint8Array>;
  /** Sibling hashes from the leaf up. Throws a RangeError where the tree has no such leaf. */
  inclusionProof(index: number, size: number, read: SubtreeReader): Promise<Uint8Array[]>;
  /** Proof that the tree of `to` leaves begins with that of `from`. Throws a RangeError unless `from ≤ to`. */
  consistencyProof(from: number, to: number, read: SubtreeReader): Promise<Uint8Array[]>;
  /** The root that an inclusion proof leads to; undefined where it has the wrong length for that place. */
  rootOfInclusion(
    leafHash: Uint8Array,
    index: number,
    size: number,
    proof: readonly Uint8Array[],
  ): Uint8Array | undefined;
  isConsistent(from: TreeHead, to: TreeHead, proof: readonly Uint8Array[]): boolean;
}

export interface TreeHead {
  /** Leaves. */
  readonly size: number;
  readonly root: Uint8Array;
}

export function merkleOver(sha256: Sha256): Merkle {
  const leafHash = (entry: Uint8Array): Uint8Array => sha256(concat(LEAF_PREFIX, entry));
  // Written over each time: hashing is synchronous, and a node of the tree should not cost an allocation.
  const node = new Uint8Array(1 + 2 * HASH_BYTES);
  node.set(NODE_PREFIX);
  const nodeHash = (left: Uint8Array, right: Uint8Array): Uint8Array => {
    if (left.byteLength !== HASH_BYTES || right.byteLength !== HASH_BYTES)
      throw new RangeError('A hash has 32 bytes');
    node.set(left, 1);
    node.set(right, 1 + HASH_BYTES);
    return sha256(node);
  };

  /** MTH of leaves `from` to `to − 1`, where `from` is a multiple of the largest power of two not above the size. */
  async function rangeHash(from: number, to: number, read: SubtreeReader): Promise<Uint8Array> {
    const size = to - from;
    if (size === 0) return emptyRoot();
    const k = splitOf(size);
    if (size === 1 || k * 2 === size) return await read(Math.round(Math.log2(size)), from / size);
    return nodeHash(await rangeHash(from, from + k, read), await rangeHash(from + k, to, read));
  }

  async function path(index: number, from: number, to: number, read: SubtreeReader): Promise<Uint8Array[]> {
    if (to - from === 1) return [];
    const middle = from + splitOf(to - from);
    return index < middle
      ? [...(await path(index, from, middle, read)), await rangeHash(middle, to, read)]
      : [...(await path(index, middle, to, read)), await rangeHash(from, middle, read)];
  }

  /** SUBPROOF of RFC 6962, section 2.1.2. */
  async function subproof(
    m: number,
    from: number,
    to: number,
    isWhole: boolean,
    read: SubtreeReader,
  ): Promise<Uint8Array[]> {
    if (m === to - from) return isWhole ? [] : [await rangeHash(from, to, read)];
    const k = splitOf(to - from);
    return m <= k
      ? [...(await subproof(m, from, from + k, isWhole, read)), await rangeHash(from + k, to, read)]
      : [...(await subproof(m - k, from + k, to, false, read)), await rangeHash(from, from + k, read)];
  }

  const emptyRoot = (): Uint8Array => sha256(new Uint8Array());

  return {
    emptyRoot,
    leafHash,
    nodeHash,
    root: (size, read) => rangeHash(0, size, read),

    async inclusionProof(index, size, read) {
      if (!(index >= 0 && index < size)) throw new RangeError(`A tree of ${size} has no leaf ${index}`);
      return await path(index, 0, size, read);
    },

    async consistencyProof(from, to, read) {
      if (!(from >= 0 && from <= to)) throw new RangeError(`No tree of ${to} begins with one of ${from}`);
      return from === 0 || from === to ? [] : await subproof(from, 0, to, true, read);
    },

    rootOfInclusion(hash, index, size, proof) {
      if (!(index >= 0 && index < size)) return undefined;
      let [fn, sn] = [index, size - 1];
      let root = hash;
      for (const sibling of proof) {
        if (sn === 0) return undefined;
        if (isOdd(fn) || fn === sn) {
          root = nodeHash(sibling, root);
          while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
        } else root = nodeHash(root, sibling);
        [fn, sn] = [half(fn), half(sn)];
      }
      return sn === 0 ? root : undefined;
    },

    isConsistent(from, to, proof) {
      if (from.size > to.size) return false;
      if (from.size === to.size) return proof.length === 0 && equal(from.root, to.root);
      // Every tree begins with the empty one.
      if (from.size === 0) return proof.length === 0 && equal(from.root, emptyRoot());
      const [start, ...rest] = Number.isInteger(Math.log2(from.size)) ? [from.root, ...proof] : proof;
      if (start === undefined) return false;
      let [fn, sn] = [from.size - 1, to.size - 1];
      while (isOdd(fn)) [fn, sn] = [half(fn), half(sn)];
      let [fromRoot, toRoot] = [start, start];
      for (const hash of rest) {
        if (sn === 0) return false;
        if (isOdd(fn) || fn === sn) {
          fromRoot = nodeHash(hash, fromRoot);
          toRoot = nodeHash(hash, toRoot);
          while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
        } else toRoot = nodeHash(toRoot, hash);
        [fn, sn] = [half(fn), half(sn)];
      }
      return sn === 0 && equal(fromRoot, from.root) && equal(toRoot, to.root);
    },
  };
}

/** The largest power of two below a size above 1; 1 for 1. */
function splitOf(size: number): number {
  let k = 1;
  while (k * 2 < size) k *= 2;
  return k;
}

/** Bits of numbers up to 2^53, which the bitwise operators would cut at 32. */
function isOdd(n: number): boolean {
  return n % 2 === 1;
}

function half(n: number): number {
  return Math.floor(n / 2);
}
