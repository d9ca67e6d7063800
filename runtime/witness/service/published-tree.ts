/**
 * The tree as it is published: what the last checkpoint covers, and no more. Its full tiles come from the store, its
 * partial ones from the right edge, which may be ahead of it.
 */
import { consistencyProof, parseTilePath, tilePath, verifyConsistency } from './core.ts';
import { type RightEdge, TILE_WIDTH, type TileLevel } from './right-edge.ts';
import type { StoredTree } from './scrub-pass.ts';
import { subtreesOf } from './subtrees.ts';
import type { TileStore } from './tile-store.ts';

const HASH_BYTES = 32;
/** An entry with its length. */
const ENTRY_BYTES = 66;

export class PublishedTree {
  readonly #edge: RightEdge;
  readonly #tiles: TileStore;
  #size = 0;
  #root: Uint8Array;

  constructor(edge: RightEdge, tiles: TileStore) {
    this.#edge = edge;
    this.#tiles = tiles;
    this.#root = new Uint8Array();
  }

  /** Leaves that the published checkpoint covers. */
  get size(): number {
    return this.#size;
  }

  publish(size: number, root: Uint8Array): void {
    this.#size = size;
    this.#root = root;
  }

  /** A tile or bundle by its path; undefined for what the published tree has not. */
  async tile(path: string): Promise<Uint8Array | undefined> {
    const parsed = parseTilePath(path);
    if (parsed === undefined || parsed.width > widthOf(parsed.level, parsed.n, this.#size)) return undefined;
    return await this.#read(this.#tiles, parsed.level, parsed.n, parsed.width);
  }

  /** The tree with its full tiles as `store` has them, for a reader that looks for changes in it. */
  stored(store: TileStore): StoredTree {
    return {
      size: this.#size,
      root: this.#root,
      read: (level, n, width) => this.#read(store, level, n, width),
    };
  }

  /** Whether the tree of `size` leaves, published or not, contains the one of `oldSize`. */
  async isExtension(oldSize: number, oldRoot: Uint8Array, size: number, root: Uint8Array): Promise<boolean> {
    return verifyConsistency(oldSize, size, oldRoot, root, await this.#consistency(oldSize, size));
  }

  /** The consistency proof between two sizes, a line of base64 each. */
  async proofLines(oldSize: number, size: number): Promise<readonly string[]> {
    return (await this.#consistency(oldSize, size)).map((hash) => Buffer.from(hash).toString('base64'));
  }

  async #consistency(oldSize: number, size: number): Promise<Uint8Array[]> {
    const read = subtreesOf((level, n, width) => this.#read(this.#tiles, level, n, width));
    return await consistencyProof(oldSize, size, read);
  }

  /** The first `width` of a tile, from the edge where it is still partial there. */
  async #read(store: TileStore, level: TileLevel, n: number, width: number): Promise<Uint8Array | undefined> {
    if (widthOf(level, n, this.#edge.size) < TILE_WIDTH) return this.#edge.partial(level, width);
    const full = await store.get(tilePath(level, n, TILE_WIDTH));
    return full?.subarray(0, width * (level === 'entries' ? ENTRY_BYTES : HASH_BYTES));
  }
}

/** Hashes or entries that a tile has in a tree of `size` leaves; 0 or less where it has none. */
function widthOf(level: TileLevel, n: number, size: number): number {
  const span = level === 'entries' ? 1 : TILE_WIDTH ** level;
  return Math.min(TILE_WIDTH, Math.floor(size / span) - n * TILE_WIDTH);
}
