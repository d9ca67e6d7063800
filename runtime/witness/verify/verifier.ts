/**
 * Verifies a range of the log: its chain, and, as far as a checkpoint covers it, every commit against what was signed.
 *
 * V1  A commit that a checkpoint covers is right where its bytes, sequence, shard, index and time are those of its leaf,
 *     and its leaf is in the tree that was signed (T1). Nothing else is looked at to believe it.
 * V2  Where the log differs from what was signed the break is named by what is where, and the chain goes on from what
 *     was signed: one change is one break, not one for every commit behind it.
 * V3  Past the checkpoint the chain alone speaks; what it cannot know (a tail that was cut off, a chain written anew)
 *     the report does not claim.
 */
import { equal } from '../bytes.ts';
import { type CommitHead, readCommitHead } from '../commit-head.ts';
import type { Sha256 } from '../hash.ts';
import { decodeLeaf, type Leaf } from '../leaf.ts';
import { isShard, type LogMessage } from '../log-reader.ts';
import { TILE_WIDTH } from '../tiles.ts';
import { BREAKS_MAX, type Break, type Fault, ofShard } from './break.ts';
import { Chain, type ChainHead } from './chain.ts';
import { breaksOf, type Place } from './runs.ts';
import type { Signed, SignedTree } from './signed-tree.ts';

/** A longer run of differences is told of in parts. */
const RUN_MAX = 4_096;
/** Differences remembered, to tell a copy from what changed places. */
const DIFFERING_MAX = 16_384;
/** A larger gap is told of as one. */
const GAP_MAX = 10_000;

export interface VerifierOptions {
  readonly sha256: Sha256;
  /** The tree of a checkpoint that was judged already; undefined where only the chain is checked. */
  readonly tree: SignedTree | undefined;
  /** Sequence of the first message that is due. */
  readonly from: number;
  /** Last commits before `from`, where they are known. */
  readonly heads?: ReadonlyMap<number, ChainHead>;
}

export interface Findings {
  /** Messages read. */
  readonly commits: number;
  readonly bytes: number;
  /** Of these, how many a checkpoint covers. */
  readonly signed: number;
  /** In the order of the log; the first {@link BREAKS_MAX} of them. */
  readonly breaks: readonly Break[];
  readonly breakCount: number;
  /** The last commit of each shard. */
  readonly heads: ReadonlyMap<number, ChainHead>;
}

export class LogVerifier {
  readonly #options: VerifierOptions;
  readonly #chain: Chain;
  readonly #breaks: Break[] = [];
  #breakCount = 0;
  #commits = 0;
  #bytes = 0;
  #signed = 0;
  /** Sequence of the message that is due. */
  #due: number;
  #bundle: { readonly n: number; readonly signed: readonly Signed[] | undefined } | undefined;
  #run: Place[] = [];
  readonly #differing = new Set<number>();

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#due = options.from;
    const isKnown = options.from === 1 || options.heads !== undefined;
    this.#chain = new Chain(isKnown, options.heads);
  }

  /** Takes the next messages of the log. */
  async take(messages: readonly LogMessage[]): Promise<void> {
    for (const message of messages) {
      await this.#missingBefore(message.seq);
      this.#due = message.seq + 1;
      await this.#message(message);
    }
  }

  /** Ends the range: `through` is the last sequence that has to be there, `isEnd` says that the log ends with it. */
  async end(through: number, isEnd: boolean): Promise<Findings> {
    await this.#missingBefore(through + 1);
    await this.#endRun(isEnd);
    for (const path of this.#options.tree?.broken ?? []) {
      this.#tell({ kind: 'tile', what: `${path} is missing or not what was signed` });
    }
    return {
      commits: this.#commits,
      bytes: this.#bytes,
      signed: this.#signed,
      breaks: this.#breaks,
      breakCount: this.#breakCount,
      heads: this.#chain.heads,
    };
  }

  async #message(message: LogMessage): Promise<void> {
    const { seq, shard, bytes } = message;
    this.#commits += 1;
    this.#bytes += bytes.byteLength;
    const hash = this.#options.sha256(bytes);
    const head = readCommitHead(bytes);
    const signed = await this.#signedAt(seq);
    const leaf = signed && this.#leafOf(signed, message, hash, head);
    if (signed !== undefined) {
      this.#signed += 1;
      if (leaf === undefined || !equal(leaf.hash, hash)) {
        await this.#differs({ seq, signed: leaf, found: { shard, index: head?.index, hash } });
        return;
      }
    }
    await this.#endRun(false);
    if (leaf !== undefined) this.#compare(leaf, message, head);
    if (head === undefined) {
      this.#tell({ kind: 'unreadable', seq, ...ofShard(shard), what: 'its bytes are no commit' });
      return;
    }
    const fault = this.#chain.take({ shard, head, hash, storedAt: message.storedAt });
    if (fault !== undefined) this.#tell({ ...fault, seq, ...ofShard(shard), index: head.index });
  }

  /** V1: what the leaf says of the commit beside its hash. A leaf that lies of its place is no excuse for the rest. */
  #compare(leaf: Leaf, { seq, shard }: LogMessage, head: CommitHead | undefined): void {
    const place = { seq, ...ofShard(shard), index: leaf.index };
    if (leaf.seq !== seq)
      this.#tell({ kind: 'altered', ...place, what: `its leaf is of sequence ${leaf.seq}` });
    const fault = head === undefined ? undefined : leafFault(leaf, shard, head);
    if (fault !== undefined) this.#tell({ ...fault, ...place });
  }

  /** What was signed; where its bundle is spoilt the message itself may be it. */
  #leafOf(
    { leafHash, entry }: Signed,
    { seq, shard }: LogMessage,
    hash: Uint8Array,
    head: CommitHead | undefined,
  ): Leaf | undefined {
    if (entry !== undefined) return decodeLeaf(entry);
    if (head === undefined || this.#options.tree === undefined) return undefined;
    const leaf = { shard, index: head.index, seq, at: head.at, hash };
    return equal(this.#options.tree.leafHash(leaf), leafHash) ? leaf : undefined;
  }

  /** Whatever size a checkpoint claims this ends: of a large gap only the newest are looked at, so that the chain goes on (V2). */
  async #missingBefore(seq: number): Promise<void> {
    const signedEnd = Math.min(seq, (this.#options.tree?.head.size ?? 0) + 1);
    await this.#skipTo(signedEnd - GAP_MAX);
    while (this.#due < signedEnd) await this.#missing();
    // Past the tree there is nothing to say of each of them.
    await this.#skipTo(seq);
    while (this.#due < seq) await this.#missing();
  }

  async #skipTo(seq: number): Promise<void> {
    const count = seq - this.#due;
    if (count <= GAP_MAX) return;
    await this.#endRun(false);
    this.#tell({ kind: 'removed', seq: this.#due, what: `${count} sequences have nothing stored` });
    this.#due = seq;
  }

  /** A sequence of which the log has nothing. */
  async #missing(): Promise<void> {
    const seq = this.#due;
    this.#due += 1;
    const signed = await this.#signedAt(seq);
    await this.#differs({ seq, signed: signed?.entry && decodeLeaf(signed.entry), found: undefined });
  }

  async #signedAt(seq: number): Promise<Signed | undefined> {
    const { tree } = this.#options;
    if (tree === undefined || !tree.isRooted || seq > tree.head.size) return undefined;
    const n = Math.floor((seq - 1) / TILE_WIDTH);
    if (this.#bundle?.n !== n) this.#bundle = { n, signed: await tree.bundle(n) };
    return this.#bundle.signed?.[(seq - 1) % TILE_WIDTH];
  }

  /** V2 */
  async #differs(place: Place): Promise<void> {
    this.#run.push(place);
    if (place.signed !== undefined) this.#chain.resume(place.signed);
    if (this.#run.length >= RUN_MAX) await this.#endRun(false);
  }

  async #endRun(isTail: boolean): Promise<void> {
    const run = this.#run;
    const [first] = run;
    const last = run.at(-1);
    if (first === undefined || last === undefined) return;
    this.#run = [];
    const near = await this.#signedNear(first.seq, last.seq);
    for (const found of breaksOf(run, { near, differing: this.#differing, isTail })) this.#tell(found);
    for (const { seq } of run) this.#differing.add(seq);
    for (const oldest of this.#differing) {
      if (this.#differing.size <= DIFFERING_MAX) break;
      this.#differing.delete(oldest);
    }
  }

  /** What was signed in the bundles of a run and the one before: a copy is mostly of something close by. */
  async #signedNear(from: number, through: number): Promise<Leaf[]> {
    const { tree } = this.#options;
    if (tree === undefined || !tree.isRooted) return [];
    const leaves: Leaf[] = [];
    const last = Math.floor((Math.min(through, tree.head.size) - 1) / TILE_WIDTH);
    for (let n = Math.max(0, Math.floor((from - 1) / TILE_WIDTH) - 1); n <= last; n += 1) {
      for (const { entry } of (await tree.bundle(n)) ?? []) {
        const leaf = entry === undefined ? undefined : decodeLeaf(entry);
        if (leaf !== undefined) leaves.push(leaf);
      }
    }
    return leaves;
  }

  #tell(found: Break): void {
    this.#breakCount += 1;
    if (this.#breaks.length < BREAKS_MAX) this.#breaks.push(found);
  }
}

function leafFault(leaf: Leaf, shard: number, head: CommitHead): Fault | undefined {
  if (leaf.shard !== shard) {
    const where = isShard(shard) ? `as a commit of shard ${shard}` : 'under a subject that names no shard';
    return { kind: 'altered', what: `it is stored ${where}; its leaf is of shard ${leaf.shard}` };
  }
  if (leaf.index !== head.index || leaf.at !== head.at) {
    return { kind: 'altered', what: 'its leaf has another index or time' };
  }
  return undefined;
}
