/** One reading of the log against the tree that was signed over it (scrubber.ts, S2). */
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import { equalBytes } from '#runtime/shard/commit';
import { FabricError } from '#schemas/fabric-error';
import type { LogBreak } from '#schemas/log-break';
import { type CommitHead, readCommitHead } from '../commit-head.ts';
import { decodeLeaf, encodeLeaf } from '../leaf.ts';
import type { LogMessage } from '../log-reader.ts';
import { merkle } from '../node-crypto.ts';
import { decodeBundle, hashesOf, TILE_WIDTH, type TileLevel, tilePath } from '../tiles.ts';
import { ofShard } from '../verify/break.ts';
import { Chain } from '../verify/chain.ts';
import type { Pace } from './pace.ts';
import { RightEdge } from './right-edge.ts';

/** The signed tree as it is stored, not as it is remembered. */
export interface StoredTree {
  readonly size: number;
  readonly root: Uint8Array;
  /** Undefined where it is not stored. */
  read(level: TileLevel, n: number, width: number): Promise<Uint8Array | undefined>;
}

/** What is left of a message of the log, whose bytes may be many. */
export interface Found {
  readonly shard: number;
  readonly hash: Uint8Array;
  readonly storedAt: number;
  /** Undefined where it is no commit. */
  readonly head: CommitHead | undefined;
}

/** Stands for a leaf of which neither tiles nor log know anything any more. */
const NO_ENTRY = new Uint8Array();

export function foundIn({ shard, bytes, storedAt }: LogMessage): Found {
  return { shard, hash: sha256(bytes), storedAt, head: headIn(bytes) };
}

export class ScrubPass {
  readonly #tree: StoredTree;
  readonly #tell: (found: LogBreak) => void;
  readonly #pace: Pick<Pace, 'step'>;
  #archivedThrough = 0;
  #chain = new Chain(true);
  /** Grows by what was signed, as far as that is known: what the tiles above must be. */
  readonly #edge = new RightEdge();
  #tilesBroken = false;
  /** The commit before was altered or missing: a run of them, as after a shift, is told of once. */
  #inRun = false;

  constructor(tree: StoredTree, tell: (found: LogBreak) => void, pace: Pick<Pace, 'step'>) {
    this.#tree = tree;
    this.#tell = tell;
    this.#pace = pace;
  }

  /**
   * Checks one bundle, the leaves from `from` on, against the messages found under their sequences. What the stream
   * dropped because it is archived, through `archivedThrough`, is not missing.
   */
  async check(
    from: number,
    width: number,
    found: ReadonlyMap<number, Found>,
    archivedThrough = 0,
  ): Promise<void> {
    this.#archivedThrough = archivedThrough;
    const n = from / TILE_WIDTH;
    const hashes = await this.#hashes(n, width);
    const entries = await this.#entries(n, width);
    let isTileSound = hashes !== undefined;
    let isBundleSound = entries !== undefined;
    for (let i = 0; i < width; i += 1) {
      const seq = from + i + 1;
      const judged = judge(hashes?.[i], entries?.[i], leafFrom(seq, found.get(seq)));
      isTileSound &&= judged.isTileSound;
      isBundleSound &&= judged.isBundleSound;
      this.#checkCommit(seq, judged.entry, found.get(seq));
      await this.#grow(judged.hash);
      await this.#pace.step();
    }
    if (!isTileSound) this.#tellTile(0, n);
    if (!isBundleSound) this.#tellTile('entries', n);
  }

  /** After the last bundle: the signed root must come out. */
  end(): void {
    const { size, root } = this.#tree;
    if (this.#tilesBroken || this.#inRun || equalBytes(this.#edge.root(), root)) return;
    const what = `the tiles of ${size} commits do not give the root that was signed`;
    this.#tell({ id: `rewritten@${size}`, kind: 'rewritten', seq: size, what });
  }

  async #hashes(n: number, width: number): Promise<Uint8Array[] | undefined> {
    const tile = await this.#tree.read(0, n, width);
    return tile === undefined ? undefined : hashesOf(tile, width);
  }

  async #entries(n: number, width: number): Promise<Uint8Array[] | undefined> {
    const bundle = await this.#tree.read('entries', n, width);
    return bundle === undefined ? undefined : decodeBundle(bundle, width);
  }

  #checkCommit(seq: number, entry: Uint8Array | undefined, found: Found | undefined): void {
    const leaf = entry === undefined ? undefined : decodeLeaf(entry);
    if (seq <= this.#archivedThrough && found === undefined) {
      if (leaf !== undefined) this.#chain.resume(leaf);
      return;
    }
    const isSame = leaf !== undefined && found !== undefined && equalBytes(found.hash, leaf.hash);
    if (isSame && found.head !== undefined) {
      this.#inRun = false;
      const { shard, head, hash, storedAt } = found;
      const fault = this.#chain.take({ shard, head, hash, storedAt });
      if (fault !== undefined) {
        this.#tell({ id: `${fault.kind}@${seq}`, seq, ...ofShard(shard), index: head.index, ...fault });
      }
      return;
    }
    // The chain goes on from what was signed, so that the commit after this one is no second break.
    if (leaf === undefined) this.#forget(found?.shard);
    else this.#chain.resume(leaf);
    if (this.#inRun) return;
    this.#inRun = true;
    const where = leaf === undefined ? {} : { shard: leaf.shard, index: leaf.index };
    const kind = found === undefined ? 'removed' : isSame ? 'unreadable' : 'altered';
    this.#tell({ id: `${kind}@${seq}`, kind, seq, ...where, what: WHAT[kind] });
  }

  /** Nothing tells what was signed here: the next commit of the shard, or of any, may be any. */
  #forget(shard: number | undefined): void {
    const known = [...this.#chain.heads].filter(([other]) => shard !== undefined && other !== shard);
    this.#chain = new Chain(false, new Map(known));
  }

  async #grow(hash: Uint8Array): Promise<void> {
    for (const { level, n, bytes } of this.#edge.appendHash(hash)) {
      // Level 0 was judged leaf by leaf.
      if (level === 0) continue;
      const stored = await this.#tree.read(level, n, TILE_WIDTH);
      if (stored === undefined || !equalBytes(stored, bytes)) this.#tellTile(level, n);
    }
  }

  #tellTile(level: TileLevel, n: number): void {
    this.#tilesBroken = true;
    const path = tilePath({ level, n, width: TILE_WIDTH });
    this.#tell({
      id: `tile@${path}`,
      kind: 'tile',
      seq: 0,
      what: `${path} is missing or not what was signed`,
    });
  }
}

const WHAT = {
  removed: 'the commit that was signed here is not in the log',
  altered: 'its bytes are not those that were signed',
  unreadable: 'what was signed here is no whole commit',
} as const;

interface Judged {
  /** What the tree above was made of, as far as anything tells. */
  readonly hash: Uint8Array;
  /** The entry that was signed; undefined where neither bundle nor log have it. */
  readonly entry: Uint8Array | undefined;
  readonly isTileSound: boolean;
  readonly isBundleSound: boolean;
}

/** Three tell of each leaf: the tile its hash, the bundle its entry, the log the commit. Two that agree are right. */
function judge(
  signed: Uint8Array | undefined,
  bundled: Uint8Array | undefined,
  logged: Uint8Array | undefined,
): Judged {
  const isSigned = (entry: Uint8Array | undefined): boolean =>
    entry !== undefined && signed !== undefined && equalBytes(merkle.leafHash(entry), signed);
  if (signed !== undefined && isSigned(bundled)) {
    return { hash: signed, entry: bundled, isTileSound: true, isBundleSound: true };
  }
  if (signed !== undefined && isSigned(logged)) {
    return { hash: signed, entry: logged, isTileSound: true, isBundleSound: false };
  }
  if (bundled !== undefined && logged !== undefined && equalBytes(bundled, logged)) {
    return { hash: merkle.leafHash(bundled), entry: bundled, isTileSound: false, isBundleSound: true };
  }
  if (signed !== undefined)
    return { hash: signed, entry: undefined, isTileSound: true, isBundleSound: false };
  const entry = bundled ?? logged;
  return {
    hash: merkle.leafHash(entry ?? NO_ENTRY),
    entry,
    isTileSound: false,
    isBundleSound: bundled !== undefined,
  };
}

function leafFrom(seq: number, found: Found | undefined): Uint8Array | undefined {
  return found?.head === undefined ? undefined : encodeLeaf({ ...found.head, seq, hash: found.hash });
}

/** The head of a whole commit: the builder reads no more of it than the head. */
function headIn(bytes: Uint8Array): CommitHead | undefined {
  try {
    decodeCommit(bytes);
  } catch (thrown) {
    if (thrown instanceof FabricError) return undefined;
    throw thrown;
  }
  return readCommitHead(bytes);
}
