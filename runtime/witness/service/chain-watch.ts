/** The chain of every shard as its commits pass by: what does not follow the commit before it is a break. */
import { equalBytes } from '#runtime/shard/commit';
import type { LogBreak } from '#schemas/log-break';
import type { CommitHead } from './commit-head.ts';
import type { ChainHead } from './state-store.ts';

/** `prev` of a shard's first commit. */
const NO_COMMIT = new Uint8Array(32);

interface Head {
  readonly index: number;
  readonly hash: Uint8Array;
  readonly at: number;
}

const UNKNOWN: Head = { index: -1, hash: NO_COMMIT, at: 0 };

export class ChainWatch {
  readonly #heads = new Map<number, Head>();

  constructor(heads: readonly ChainHead[] = []) {
    for (const { shard, index, hash, at } of heads) {
      this.#heads.set(shard, { index, hash: Buffer.from(hash, 'base64'), at });
    }
  }

  /**
   * Takes the next commit of the log and gives what is wrong with it, undefined where nothing is. The chain goes on from
   * it in any case, so that one break is one break. `shard` is that of the subject it was stored under.
   */
  take(seq: number, shard: number, commit: CommitHead, hash: Uint8Array): LogBreak | undefined {
    const before = this.#heads.get(shard) ?? { index: -1, hash: NO_COMMIT, at: 0 };
    this.#heads.set(shard, { index: commit.index, hash, at: commit.at });
    if (before === UNKNOWN) return undefined;
    const wrong = problem(before, shard, commit);
    if (wrong === undefined) return undefined;
    return {
      id: `${wrong.kind}@${seq}`,
      kind: wrong.kind,
      seq,
      shard,
      index: commit.index,
      what: wrong.what,
    };
  }

  /** Goes on from a commit that cannot be checked itself. */
  skip({ shard, index, hash, at }: Head & { readonly shard: number }): void {
    this.#heads.set(shard, { index, hash, at });
  }

  /** The next commit of a shard, or of every shard, may be any. */
  forget(shard?: number): void {
    for (const known of shard === undefined ? [...this.#heads.keys()] : [shard])
      this.#heads.set(known, UNKNOWN);
  }

  heads(): ChainHead[] {
    return [...this.#heads]
      .map(([shard, { index, hash, at }]) => ({
        shard,
        index,
        hash: Buffer.from(hash).toString('base64'),
        at,
      }))
      .sort((a, b) => a.shard - b.shard);
  }
}

function problem(
  before: Head,
  shard: number,
  commit: CommitHead,
): Pick<LogBreak, 'kind' | 'what'> | undefined {
  if (commit.shard !== shard) {
    return {
      kind: 'inserted',
      what: `stored under shard ${shard}, it says that it is of shard ${commit.shard}`,
    };
  }
  const due = before.index + 1;
  if (commit.index > due)
    return { kind: 'removed', what: `commit ${due} was due, commit ${commit.index} came` };
  if (commit.index < due)
    return { kind: 'inserted', what: `commit ${due} was due, commit ${commit.index} came` };
  if (!equalBytes(commit.prev, before.hash)) {
    return { kind: 'altered', what: 'it does not carry the hash of the commit before it' };
  }
  if (commit.at < before.at) {
    return {
      kind: 'back_dated',
      what: `its time is ${before.at - commit.at} ms before that of the commit before it`,
    };
  }
  return undefined;
}
