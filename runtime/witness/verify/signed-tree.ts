/**
 * The tree behind a signed root, read through tiles that nobody needs to trust.
 *
 * T1  What this gives was signed: the right edge is checked against the root, every other tile against the tile above
 *     it, every entry against its leaf hash.
 * T2  A tile that is missing or not what was signed is told of by its path; what it would have vouched for counts as
 *     not known.
 */
import { equal } from '../bytes.ts';
import { encodeLeaf, type Leaf } from '../leaf.ts';
import type { Merkle, TreeHead } from '../merkle.ts';
import {
  decodeBundle,
  hashesOf,
  levelSize,
  TILE_WIDTH,
  type Tile,
  tilePath,
  tileRoot,
  tileWidth,
} from '../tiles.ts';

/** Levels of hashes: 256^6 leaves are more than a log can have. */
const LEVELS_MAX = 7;
/** Tiles kept per level: readers go from left to right. */
const KEPT_MAX = 2;

/** Undefined where there is no such tile. */
export type FindTile = (tile: Tile) => Promise<Uint8Array | undefined>;

export class SignedTree {
  readonly head: TreeHead;
  readonly #merkle: Merkle;
  readonly #find: FindTile;
  readonly #kept = new Map<string, readonly Uint8Array[] | undefined>();
  /** Paths told of, each once. */
  readonly broken: string[] = [];
  #isRooted = false;

  private constructor(merkle: Merkle, head: TreeHead, find: FindTile) {
    this.#merkle = merkle;
    this.head = head;
    this.#find = find;
  }

  /** Reads the right edge (T1). Where that does not give the root, no tile can be believed: see {@link isRooted}. */
  static async open(merkle: Merkle, head: TreeHead, find: FindTile): Promise<SignedTree> {
    const tree = new SignedTree(merkle, head, find);
    await tree.#openEdge();
    return tree;
  }

  /** False where the tiles at the right edge do not give the signed root. */
  get isRooted(): boolean {
    return this.#isRooted;
  }

  leafHash(leaf: Leaf): Uint8Array {
    return this.#merkle.leafHash(encodeLeaf(leaf));
  }

  /** Leaf hashes and entries of a bundle; undefined where they are not known. An entry that is not what was signed is undefined. */
  async bundle(n: number): Promise<readonly Signed[] | undefined> {
    const hashes = await this.#hashes(0, n);
    if (hashes === undefined) return undefined;
    const tile: Tile = { level: 'entries', n, width: hashes.length };
    const bytes = await this.#find(tile);
    const entries = bytes === undefined ? undefined : decodeBundle(bytes, hashes.length);
    let isSound = entries !== undefined;
    const signed = hashes.map((leafHash, i): Signed => {
      const entry = entries?.[i];
      if (entry !== undefined && equal(this.#merkle.leafHash(entry), leafHash)) return { leafHash, entry };
      isSound = false;
      return { leafHash, entry: undefined };
    });
    if (!isSound) this.#tell(tile);
    return signed;
  }

  /** T1 for the partial tiles: from the lowest level up they join to the root. */
  async #openEdge(): Promise<void> {
    const { size, root } = this.head;
    if (size === 0) {
      this.#isRooted = equal(root, this.#merkle.emptyRoot());
      return;
    }
    let right: Uint8Array | undefined;
    const partials: Tile[] = [];
    for (let level = 0; level < LEVELS_MAX && levelSize(size, level) > 0; level += 1) {
      const n = Math.floor(levelSize(size, level) / TILE_WIDTH);
      const width = tileWidth(size, level, n);
      if (width === 0) continue;
      const tile: Tile = { level, n, width };
      partials.push(tile);
      const hashes = await this.#read(tile);
      if (hashes === undefined) {
        this.#tell(tile);
        return;
      }
      this.#keep(tile, hashes);
      for (const peak of peaksOf(this.#merkle, hashes)) {
        right = right === undefined ? peak : this.#merkle.nodeHash(peak, right);
      }
    }
    this.#isRooted = right !== undefined && equal(right, root);
    if (this.#isRooted) return;
    this.#kept.clear();
    for (const tile of partials) this.#tell(tile);
  }

  async #hashes(level: number, n: number): Promise<readonly Uint8Array[] | undefined> {
    if (!this.#isRooted) return undefined;
    const tile: Tile = { level, n, width: tileWidth(this.head.size, level, n) };
    const path = tilePath(tile);
    if (this.#kept.has(path)) return this.#kept.get(path);
    // Only full tiles come here: the partial ones were kept with the edge.
    const above = await this.#hashes(level + 1, Math.floor(n / TILE_WIDTH));
    const wanted = above?.[n % TILE_WIDTH];
    if (wanted === undefined) return undefined;
    const found = await this.#read(tile);
    const hashes = found !== undefined && equal(tileRoot(this.#merkle, found), wanted) ? found : undefined;
    if (hashes === undefined) this.#tell(tile);
    this.#keep(tile, hashes);
    return hashes;
  }

  async #read(tile: Tile): Promise<Uint8Array[] | undefined> {
    const bytes = await this.#find(tile);
    return bytes === undefined ? undefined : hashesOf(bytes, tile.width);
  }

  #keep(tile: Tile, hashes: readonly Uint8Array[] | undefined): void {
    const ofLevel = [...this.#kept.keys()].filter(
      (path) => path.startsWith(`tile/${tile.level}/`) && !path.includes('.p/'),
    );
    for (const path of ofLevel.slice(0, Math.max(0, ofLevel.length - KEPT_MAX + 1))) this.#kept.delete(path);
    this.#kept.set(tilePath(tile), hashes);
  }

  #tell(tile: Tile): void {
    const path = tilePath(tile);
    if (!this.broken.includes(path)) this.broken.push(path);
  }
}

export interface Signed {
  readonly leafHash: Uint8Array;
  /** Undefined where the bundle does not hold what was signed. */
  readonly entry: Uint8Array | undefined;
}

/** Roots of the largest whole subtrees of a partial tile, the smallest first. */
function peaksOf(merkle: Merkle, hashes: readonly Uint8Array[]): Uint8Array[] {
  const peaks: Uint8Array[] = [];
  let to = hashes.length;
  for (let width = 1; width <= hashes.length; width *= 2) {
    if (Math.floor(hashes.length / width) % 2 === 0) continue;
    peaks.push(tileRoot(merkle, hashes.slice(to - width, to)));
    to -= width;
  }
  return peaks;
}
