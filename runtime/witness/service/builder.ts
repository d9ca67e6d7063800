/**
 * Follows the log, checks it as it reads, grows the tree and signs it. One runs per realm, by lease; that two at once
 * do no harm is not the lease's doing:
 *
 * W1  Only what stands in the witness bucket is signed: size and root are swapped in there first, by compare-and-swap,
 *     and the signature is made after that. A builder that crashed in between is followed by one that signs the same.
 * W2  The tree that is swapped in is consistent with the one it replaces: an RFC 6962 consistency proof between the two
 *     roots is made and checked each time. So all roots that are ever signed for an origin are of one append-only log.
 * W3  A builder whose swap is refused (another one signs; this one slept) drops what it knows and leaves.
 * W4  Full tiles are stored before a checkpoint that covers them is swapped in, and a tile that is stored already is not
 *     replaced by other bytes unless the root over the log shows that it was spoilt.
 * W5  What is built on is what was signed: after a start, the root over the stored tiles and the commits behind them must
 *     be the stored one. Where it is not, where a commit is missing or has no leaf, nothing is signed any more; reading
 *     and checking go on. (Commits further back are the scrubber's: altered, they do not change the tree.)
 * W6  The server is not believed about what was signed: the holder of the key has a record of its own, on disk before a
 *     signature is made. Nothing is signed but a tree that contains the recorded one; where the log cannot give that any
 *     more, signing ends as in W5. A bucket that was lost is made anew from a log that was not.
 */
import { setImmediate } from 'node:timers/promises';
import { sha256 } from '#runtime/bus/codec';
import { equalBytes } from '#runtime/shard/commit';
import type { Logger } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import type { LogBreak } from '#schemas/log-break';
import { toBase64 } from '../bytes.ts';
import { formatCheckpoint } from '../checkpoint.ts';
import { readCommitHead } from '../commit-head.ts';
import { encodeLeaf } from '../leaf.ts';
import type { LogMessage, LogReader } from '../log-reader.ts';
import type { TreeHead } from '../merkle.ts';
import { ofShard } from '../verify/break.ts';
import { Chain } from '../verify/chain.ts';
import { witnessServiceErrors } from './errors.ts';
import { recoverEdge, tileName, truncated } from './open-edge.ts';
import { pause } from './pause.ts';
import { PublishedTree } from './published-tree.ts';
import { type FullTile, RightEdge } from './right-edge.ts';
import type { SignedRecord } from './signed-record.ts';
import type { RealmSigner } from './signer.ts';
import type { SignedState, WitnessStore } from './state-store.ts';
import type { TileStore } from './tile-store.ts';

/** A stride begins when this part of the interval has passed: the rest is for reading and signing. */
const STRIDE_SHARE = 0.5;

export interface BuilderOptions {
  readonly origin: string;
  readonly intervalMs: number;
  readonly reader: LogReader;
  readonly store: WitnessStore;
  readonly tiles: TileStore;
  /** Lies with the key, out of reach of the server (W6). */
  readonly record: SignedRecord;
  readonly openSigner: (isFirst: boolean) => Promise<RealmSigner>;
  /** Whether a verifier key took the place of the one that signed; none does when absent. */
  readonly mayFollow?: (signed: string, key: string) => Promise<boolean>;
  readonly tell: (found: LogBreak) => void;
  /** Takes over a checkpoint that stands in the bucket and is signed. */
  readonly signed: (tree: PublishedTree, note: string) => Promise<void>;
  readonly now: () => number;
  readonly logger: Logger;
}

interface Signed {
  readonly state: SignedState;
  readonly revision: number;
}

export class Builder {
  readonly tree: PublishedTree;
  readonly key: string;
  readonly #options: BuilderOptions;
  readonly #signer: RealmSigner;
  readonly #edge: RightEdge;
  readonly #chain: Chain;
  #signed: Signed;
  /** The tree that was signed last as far as is known here (W6); that of the bucket may be behind it. */
  #recorded: TreeHead;
  #halted: string | undefined;
  /** Sequence of the next commit. */
  #next: number;
  /** When the oldest commit that is not signed yet was stored. */
  #unsignedSince: number | undefined;
  #checkpointsSigned = 0;

  private constructor(
    options: BuilderOptions,
    signer: RealmSigner,
    signed: Signed,
    recorded: TreeHead | undefined,
    edge: RightEdge,
    halted: string | undefined,
  ) {
    this.#options = options;
    this.#signer = signer;
    this.key = signer.key;
    this.#signed = signed;
    this.#recorded = recorded ?? headOf(signed.state);
    this.#edge = edge;
    this.#halted = halted;
    this.#chain = new Chain(true, headsFrom(signed.state));
    this.#next = signed.state.size + 1;
    this.tree = new PublishedTree(edge, options.tiles);
  }

  /**
   * Takes up where the last builder was. Throws `witness_key_foreign` where another key began the log,
   * `witness_state_bad` where another origin did or the state is no state, `witness_moved` where another builder begins,
   * `witness_record_bad`.
   */
  static async open(options: BuilderOptions, signal: AbortSignal): Promise<Builder> {
    const found = await options.store.state();
    const signer = await options.openSigner(found.value === undefined);
    const recorded = await options.record.last(options.origin);
    const signed = await begin(options, signer.key, found.value, found.revision);
    const { edge, problem } = await recoverEdge(options, signed.state, signal);
    const builder = new Builder(options, signer, signed, recorded, edge, problem?.what);
    if (problem !== undefined) {
      options.tell(problem);
      return builder;
    }
    const head = headOf(signed.state);
    builder.tree.publish(head.size, head.root);
    // W1: the last builder may have ended before it did. A bucket that is behind is caught up with first (W6).
    if (head.size === 0 || head.size < builder.#recorded.size) return builder;
    if (await builder.#contains(builder.#recorded, head)) await builder.#sign(signed.state);
    return builder;
  }

  get halted(): string | undefined {
    return this.#halted;
  }

  get checkpointsSigned(): number {
    return this.#checkpointsSigned;
  }

  get signedState(): SignedState {
    return this.#signed.state;
  }

  /** Sequence of the last commit whose chain was checked. */
  get verifiedSeq(): number {
    return this.#next - 1;
  }

  /** Age of the oldest commit that is not signed, ms. */
  get lagMs(): number {
    return this.#unsignedSince === undefined ? 0 : Math.max(0, this.#options.now() - this.#unsignedSince);
  }

  /**
   * Reads and signs until the signal aborts. The log is read in strides, not message by message: being woken for every
   * commit would cost a busy realm a tenth of what it does. Throws `witness_moved` (W3) and what the bus throws.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { intervalMs, now } = this.#options;
    while (!signal.aborted) {
      const startedAt = now();
      await this.stride(signal);
      await pause(Math.max(0, intervalMs * STRIDE_SHARE - (now() - startedAt)), signal);
    }
  }

  /** Reads what is in the log now, and signs it. */
  async stride(signal: AbortSignal): Promise<void> {
    const { reader, now, intervalMs } = this.#options;
    const { last } = await reader.range();
    if (last < this.#recorded.size && this.#halted === undefined) {
      this.#halt(truncated(last, this.#recorded.size)); // W6
    }
    if (last < this.#next) return;
    let signAt = now() + intervalMs;
    for await (const batch of reader.read(this.#next, last, signal)) {
      await this.#take(batch);
      // The node's own work comes first.
      await setImmediate();
      if (now() < signAt) continue;
      await this.checkpoint();
      signAt = now() + intervalMs;
    }
    if (!signal.aborted) await this.checkpoint();
  }

  /** Signs the tree as it is, if it grew (W1, W2, W6). Throws `witness_moved` where another one signs (W3). */
  async checkpoint(): Promise<void> {
    const { store, origin } = this.#options;
    const before = this.#signed;
    const size = this.#edge.size;
    if (this.#halted !== undefined || size === before.state.size || size < this.#recorded.size) return;
    const root = this.#edge.root();
    const heads = headsOf(this.#chain);
    for (const old of [headOf(before.state), this.#recorded]) {
      if (!(await this.#contains(old, { size, root }))) return;
    }
    const state = { origin, key: this.key, size, root: Buffer.from(root).toString('base64'), heads };
    const revision = await store.swapState(state, before.revision);
    if (revision === undefined) throw moved();
    this.#signed = { state, revision };
    this.tree.publish(size, root);
    this.#unsignedSince = undefined;
    await this.#sign(state);
    this.#checkpointsSigned += 1;
  }

  /** Whether a tree contains one that was signed (W2, W6); halts where it does not. */
  async #contains(old: TreeHead, tree: TreeHead): Promise<boolean> {
    if (await this.tree.isExtension(old, tree)) return true;
    this.#halt({
      id: `rewritten@${old.size}`,
      kind: 'rewritten',
      seq: old.size,
      what: `the tree of ${tree.size} commits does not contain the one of ${old.size} that was signed`,
    });
    return false;
  }

  /** Records what stands in the bucket (W6), signs it and passes it on. */
  async #sign(state: SignedState): Promise<void> {
    const { record, origin, signed } = this.#options;
    const head = headOf(state);
    await record.keep(origin, head);
    this.#recorded = head;
    await signed(this.tree, this.#signer.sign(formatCheckpoint({ origin, ...head, extensions: [] })));
  }

  async #take(batch: readonly LogMessage[]): Promise<void> {
    const { now, tell } = this.#options;
    for (const message of batch) {
      const { seq, shard, bytes, storedAt } = message;
      if (seq < this.#next) continue;
      if (seq > this.#next) {
        const last = seq - 1;
        this.#halt({
          id: `removed@${this.#next}`,
          kind: 'removed',
          seq: this.#next,
          what: `the commits from sequence ${this.#next} through ${last} are not in the log`,
        });
      }
      this.#next = seq + 1;
      const hash = sha256(bytes);
      const head = readCommitHead(bytes);
      if (head === undefined) {
        this.#halt({
          id: `unreadable@${seq}`,
          kind: 'unreadable',
          seq,
          ...ofShard(shard),
          what: 'the message is no commit',
        });
        continue;
      }
      const fault = this.#chain.take({ shard, head, hash, storedAt });
      if (fault !== undefined)
        tell({ id: `${fault.kind}@${seq}`, seq, ...ofShard(shard), index: head.index, ...fault });
      if (this.#halted !== undefined) continue;
      const full = this.#edge.append(encodeLeaf({ ...head, seq, hash }));
      // They have left the edge: until they are stored readers get them from here.
      for (const tile of full) this.tree.leaving(tile);
      for (const tile of full) {
        await this.#keep(tile);
        this.tree.arrived(tile);
      }
      this.#unsignedSince ??= Math.min(storedAt, now());
    }
  }

  /** W5 */
  #halt(found: LogBreak): void {
    this.#options.tell(found);
    this.#halted ??= found.what;
  }

  /** W4 */
  async #keep(tile: FullTile): Promise<void> {
    const { tiles, store } = this.#options;
    const path = tileName(tile);
    const stored = await tiles.get(path);
    if (stored !== undefined && equalBytes(stored, tile.bytes)) return;
    // Left by a builder that ended before it signed, or signed by one that took over while this one slept (W3).
    if (stored !== undefined && (await store.state()).revision !== this.#signed.revision) throw moved();
    await tiles.put(path, tile.bytes);
  }
}

function moved(): FabricError {
  return new FabricError(witnessServiceErrors.witness_moved, 'Another builder has signed meanwhile');
}

function headOf({ size, root }: SignedState): TreeHead {
  return { size, root: Buffer.from(root, 'base64') };
}

function headsFrom({ heads }: SignedState): Map<number, { index: number; hash: Uint8Array; at: number }> {
  return new Map(
    heads.map(({ shard, index, hash, at }) => [shard, { index, hash: Buffer.from(hash, 'base64'), at }]),
  );
}

function headsOf({ heads }: Chain): SignedState['heads'] {
  return [...heads]
    .map(([shard, { index, hash, at }]) => ({ shard, index, hash: toBase64(hash), at }))
    .sort((a, b) => a.shard - b.shard);
}

/** The state to go on from; that of an empty tree where nothing was signed yet. */
async function begin(
  { origin, store, mayFollow }: BuilderOptions,
  key: string,
  found: SignedState | undefined,
  revision: number,
): Promise<Signed> {
  if (found === undefined) {
    const root = Buffer.from(new RightEdge().root()).toString('base64');
    const state = { origin, key, size: 0, root, heads: [] };
    const first = await store.swapState(state, revision);
    if (first === undefined) throw moved();
    return { state, revision: first };
  }
  if (found.origin !== origin) {
    throw new FabricError(
      witnessServiceErrors.witness_state_bad,
      `Checkpoints of this realm are signed for origin "${found.origin}", not "${origin}"`,
      { details: { signed: found.origin, configured: origin } },
    );
  }
  if (found.key !== key && (await mayFollow?.(found.key, key)) === true) {
    // The same tree, signed anew (W1): the key that signed before is not used again.
    const state = { ...found, key };
    const next = await store.swapState(state, revision);
    if (next === undefined) throw moved();
    return { state, revision: next };
  }
  if (found.key !== key) {
    throw new FabricError(
      witnessServiceErrors.witness_key_foreign,
      `Checkpoints of this realm are signed with ${found.key}; the key of this node is ${key}`,
      { details: { signed: found.key, here: key } },
    );
  }
  return { state: found, revision };
}
