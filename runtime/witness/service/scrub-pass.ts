/** One reading of the log against the tree that was signed over it (scrubber.ts, S2). */
import { sha256 } from '#runtime/bus/codec';
import { equalBytes } from '#runtime/shard/commit';
import { FabricError } from '#schemas/fabric-error';
import type { LogBreak } from '#schemas/log-break';
import { decodeLeaf, encodeLeaf } from '../leaf.ts';
import type { LogMessage } from '../log-reader.ts';
import { merkle } from '../node-crypto.ts';
import { decodeBundle, hashesOf, TILE_WIDTH, type TileLevel, tilePath } from '../tiles.ts';
import { ChainWatch } from './chain-watch.ts';
import { type CommitHead, commitHead } from './commit-head.ts';
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
  /** Undefined where it is no commit. */
  readonly head: CommitHead | undefined;
}

/** Stands for a leaf of which neither tiles nor log know anything any more. */
const NO_ENTRY = new Uint8Array();

export function foundIn({ shard, bytes }: LogMessage): Found {
  return { shard, hash: sha256(bytes), head: headIn(bytes) };
}

export class ScrubPass {
  readonly #tree: StoredTree;
  readonly #tell: (found: LogBreak) => void;
  readonly #chain = new ChainWatch();
  /** Grows by what was signed, as far as that is known: what the tiles above must be. */
  readonly #edge = new RightEdge();
  #tilesBroken = false;
  /** The commit before was altered or missing: a run of them, as after a shift, is told of once. */
  #inRun = false;

  constructor(tree: StoredTree, tell: (found: LogBreak) => void) {
    this.#tree = tree;
    this.#tell = tell;
  }

  /** Checks one bundle, the leaves from `from` on, against the messages found under their sequences. */
  async check(from: number, width: number, found: ReadonlyMap<number, Found>): Promise<void> {
    const n = from / TILE_WIDTH;
    const hashes = await this.#hashes(n, width);
    const entries = await this.#entries(n, width);
    let isBundleSound = entries !== undefined;
    for (let i = 0; i < width; i += 1) {
      const seq = from + i + 1;
      const candidates = [entries?.[i], leafFrom(seq, found.get(seq))];
      const signed = hashes?.[i];
      // Where the bundle is spoilt, the log itself may still have what was signed.
      const match = candidates.find(
        (leaf) => leaf !== undefined && signed !== undefined && equalBytes(merkle.leafHash(leaf), signed),
      );
      const entry = match ?? candidates[0];
      if (entries === undefined || (match !== undefined && match !== candidates[0])) isBundleSound = false;
      this.#checkCommit(seq, entry, found.get(seq));
      await this.#grow(entry ?? NO_ENTRY);
    }
    if (hashes === undefined) this.#tellTile(0, n, width);
    else if (!isBundleSound) this.#tellTile('entries', n, width);
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
    const isSame = leaf !== undefined && found !== undefined && equalBytes(found.hash, leaf.hash);
    if (isSame && found.head !== undefined) {
      this.#inRun = false;
      const wrong = this.#chain.take(seq, found.shard, found.head, found.hash);
      if (wrong !== undefined) this.#tell(wrong);
      return;
    }
    // The chain goes on from what was signed, so that the commit after this one is no second break.
    if (leaf !== undefined) this.#chain.skip(leaf);
    if (this.#inRun) return;
    this.#inRun = true;
    const where = leaf === undefined ? {} : { shard: leaf.shard, index: leaf.index };
    if (found === undefined) {
      const what = 'the commit that was signed here is not in the log';
      this.#tell({ id: `removed@${seq}`, kind: 'removed', seq, ...where, what });
    } else {
      const what = 'its bytes are not those that were signed';
      this.#tell({ id: `altered@${seq}`, kind: 'altered', seq, ...where, what });
    }
  }

  async #grow(entry: Uint8Array): Promise<void> {
    for (const { level, n, bytes } of this.#edge.append(entry)) {
      if (level === 'entries') continue;
      const stored = await this.#tree.read(level, n, TILE_WIDTH);
      if (stored === undefined || !equalBytes(stored, bytes)) this.#tellTile(level, n, TILE_WIDTH);
    }
  }

  #tellTile(level: TileLevel, n: number, width: number): void {
    this.#tilesBroken = true;
    const path = tilePath({ level, n, width });
    const id = `tile@${tilePath({ level, n, width: TILE_WIDTH })}`;
    this.#tell({ id, kind: 'tile', seq: 0, what: `${path} is missing or not what was signed` });
  }
}

function leafFrom(seq: number, found: Found | undefined): Uint8Array | undefined {
  return found?.head === undefined ? undefined : encodeLeaf({ ...found.head, seq, hash: found.hash });
}

function headIn(bytes: Uint8Array): CommitHead | undefined {
  try {
    return commitHead(bytes);
  } catch (thrown) {
    if (thrown instanceof FabricError) return undefined;
    throw thrown;
  }
}
