/**
 * The chain of every shard, commit by commit in the order of the stream. Pure: what does not follow the commit before it
 * is a break, and the chain goes on from it, so that one break is one break.
 */
import { equal } from '../bytes.ts';
import type { CommitHead } from '../commit-head.ts';
import { HASH_BYTES } from '../hash.ts';
import type { Leaf } from '../leaf.ts';
import { isShard } from '../log-reader.ts';
import type { Fault } from './break.ts';

/** `prev` of a shard's first commit. */
const NO_COMMIT = new Uint8Array(HASH_BYTES);
/** A commit waits for its server as long as that is away; longer than this nobody waits. */
const AGE_MS_MAX = 24 * 3_600_000;
/** Clocks of node and server differ by less. */
const AHEAD_MS_MAX = 5 * 60_000;

/** The last commit of a shard, as far as it was read. */
export interface ChainHead {
  readonly index: number;
  readonly hash: Uint8Array;
  readonly at: number;
}

export interface Link {
  /** From the message's subject. */
  readonly shard: number;
  readonly head: CommitHead;
  /** SHA-256 of the stored bytes. */
  readonly hash: Uint8Array;
  /** When the server stored it, ms since the epoch. */
  readonly storedAt: number;
}

export class Chain {
  readonly #heads: Map<number, ChainHead>;
  /** False where the range begins in the middle of the log and the commits before it are not known. */
  readonly #fromStart: boolean;

  /** `heads`: the last commits before the range, where it does not begin with the log. */
  constructor(fromStart: boolean, heads: ReadonlyMap<number, ChainHead> = new Map()) {
    this.#fromStart = fromStart;
    this.#heads = new Map(heads);
  }

  /** The last commit of each shard. */
  get heads(): ReadonlyMap<number, ChainHead> {
    return this.#heads;
  }

  /** Takes the next commit; what is wrong with it, undefined where nothing is. */
  take({ shard, head, hash, storedAt }: Link): Fault | undefined {
    if (!isShard(shard)) {
      const what = `stored under a subject that names no shard, it says that it is of shard ${head.shard}`;
      return { kind: 'inserted', what };
    }
    const before = this.#heads.get(shard);
    this.#heads.set(shard, { index: head.index, hash, at: head.at });
    if (head.shard !== shard) {
      const what = `stored as a commit of shard ${shard}, it says that it is of shard ${head.shard}`;
      return { kind: 'inserted', what };
    }
    return (
      faultOf(before ?? (this.#fromStart ? { index: -1, hash: NO_COMMIT, at: 0 } : undefined), head, hash) ??
      dated(head, storedAt)
    );
  }

  /** Goes on from a commit that is known from elsewhere. */
  resume({ shard, index, hash, at }: Leaf): void {
    this.#heads.set(shard, { index, hash, at });
  }
}

function faultOf(before: ChainHead | undefined, head: CommitHead, hash: Uint8Array): Fault | undefined {
  if (before === undefined) return undefined;
  const due = before.index + 1;
  if (head.index !== due) {
    const came = `commit ${due} was due, commit ${head.index} came`;
    if (head.index > due) return { kind: 'removed', what: came };
    if (equal(hash, before.hash)) return { kind: 'duplicated', what: `${came}: the one before it once more` };
    return { kind: 'inserted', what: came };
  }
  if (!equal(head.prev, before.hash)) {
    return {
      kind: 'altered',
      what: `it, or commit ${before.index} before it: the link between them is not its hash`,
    };
  }
  if (head.at < before.at) {
    const what = `its time is ${before.at - head.at} ms before that of the commit before it`;
    return { kind: 'back_dated', what };
  }
  return undefined;
}

function dated({ at }: CommitHead, storedAt: number): Fault | undefined {
  if (storedAt - at > AGE_MS_MAX) {
    const what = `it says ${iso(at)}, and was stored at ${iso(storedAt)}`;
    return { kind: 'back_dated', what };
  }
  if (at - storedAt > AHEAD_MS_MAX) {
    return { kind: 'back_dated', what: `it says ${iso(at)}, but was stored before, at ${iso(storedAt)}` };
  }
  return undefined;
}

function iso(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}
