/**
 * The tree as it is published: what the last checkpoint covers, and no more. Its full tiles come from the store, its
 * partial ones from the right edge, which may be ahead of it.
 */
import { FabricError } from '#schemas/fabric-error';
import { toBase64 } from '../bytes.ts';
import { HASH_BYTES } from '../hash.ts';
import { LEAF_BYTES } from '../leaf.ts';
import type { TreeHead } from '../merkle.ts';
import { merkle } from '../node-crypto.ts';
import { parseTilePath, TILE_WIDTH, type TileLevel, tilePath, tileReader, tileWidth } from '../tiles.ts';
import { witnessServiceErrors } from './errors.ts';
import type { FullTile, RightEdge } from './right-edge.ts';
import type { StoredTree } from './scrub-pass.ts';
import type { TileStore } from './tile-store.ts';

/** An entry of a bundle, with its length. */
const ENTRY_BYTES = 2 + LEAF_BYTES;

export class PublishedTree {
  readonly #edge: RightEdge;
  readonly #tiles: TileStore;
  /** Full tiles on their way to the store, by path. */
  readonly #leaving = new Map<string, Uint8Array>();
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

  /** A tile that left the edge, and is not in the store yet. */
  leaving({ level, n, bytes }: FullTile): void {
    this.#leaving.set(tilePath({ level, n, width: TILE_WIDTH }), bytes);
  }

  arrived({ level, n }: FullTile): void {
    this.#leaving.delete(tilePath({ level, n, width: TILE_WIDTH }));
  }

  publish(size: number, root: Uint8Array): void {
    this.#size = size;
    this.#root = root;
  }

  /** A tile or bundle by its path; undefined for what the published tree has not. */
  async tile(path: string): Promise<Uint8Array | undefined> {
    const parsed = parseTilePath(path);
    if (parsed === undefined || parsed.width > tileWidth(this.#size, parsed.level, parsed.n))
      return undefined;
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

  /** Whether the tree of `to` leaves, published or not, contains that of `from`. */
  async isExtension(from: TreeHead, to: TreeHead): Promise<boolean> {
    return merkle.isConsistent(from, to, await this.#consistency(from.size, to.size));
  }

  /** The consistency proof between two sizes, a line of base64 each. */
  async proofLines(from: number, to: number): Promise<readonly string[]> {
    return (await this.#consistency(from, to)).map(toBase64);
  }

  async #consistency(from: number, to: number): Promise<Uint8Array[]> {
    const read = tileReader(merkle, to, async ({ level, n, width }) => {
      const tile = await this.#read(this.#tiles, level, n, width);
      if (tile !== undefined) return tile;
      const path = tilePath({ level, n, width });
      throw new FabricError(witnessServiceErrors.tile_missing, `${path} is not stored`, {
        details: { path },
      });
    });
    return await merkle.consistencyProof(from, to, read);
  }

  /** The first `width` of a tile, from the edge where it is still partial there. */
  async #read(store: TileStore, level: TileLevel, n: number, width: number): Promise<Uint8Array | undefined> {
    if (tileWidth(this.#edge.size, level, n) < TILE_WIDTH) return this.#edge.partial(level, width);
    const path = tilePath({ level, n, width: TILE_WIDTH });
    const full = this.#leaving.get(path) ?? (await store.get(path));
    return full?.subarray(0, width * (level === 'entries' ? ENTRY_BYTES : HASH_BYTES));
  }
}
