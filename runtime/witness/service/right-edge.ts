/**
 * The tree as it grows: of each tile level only the last, partial tile is in memory; a tile that gets full leaves it.
 *
 * The hashes of the partial tiles are enough for the root of the tree and for every tile that is not stored.
 */
import { concat } from '../bytes.ts';
import { merkle, nodePrimitives } from '../node-crypto.ts';
import { encodeBundle, TILE_WIDTH, type TileLevel, tileRoot } from '../tiles.ts';

export interface FullTile {
  readonly level: TileLevel;
  readonly n: number;
  readonly bytes: Uint8Array;
}

export class RightEdge {
  #size: number;
  readonly #entries: Uint8Array[] = [];
  /** Hashes of the partial tile at each level. */
  readonly #levels: Uint8Array[][];

  /** An empty tree, or one whose size is a multiple of {@link TILE_WIDTH} with the partial tiles of the levels from 1. */
  constructor(size = 0, partials: readonly (readonly Uint8Array[])[] = []) {
    this.#size = size;
    this.#levels = [[], ...partials.map((hashes) => [...hashes])];
  }

  /** Leaves. */
  get size(): number {
    return this.#size;
  }

  /** Adds a leaf; the tiles that it made full, entries first. */
  append(entry: Uint8Array): FullTile[] {
    this.#entries.push(entry);
    const full: FullTile[] = [];
    if (this.#entries.length === TILE_WIDTH) {
      full.push({
        level: 'entries',
        n: Math.floor(this.#size / TILE_WIDTH),
        bytes: encodeBundle(this.#entries),
      });
      this.#entries.length = 0;
    }
    return [...full, ...this.appendHash(merkle.leafHash(entry))];
  }

  /** Adds a leaf of which only the hash is known; the bundles of such a tree are not known either. */
  appendHash(leafHash: Uint8Array): FullTile[] {
    this.#size += 1;
    const full: FullTile[] = [];
    let hash = leafHash;
    for (let level = 0, span = TILE_WIDTH; ; level += 1, span *= TILE_WIDTH) {
      this.#levels[level] ??= [];
      const hashes = this.#levels[level] as Uint8Array[];
      hashes.push(hash);
      if (hashes.length < TILE_WIDTH) return full;
      full.push({ level, n: this.#size / span - 1, bytes: concat(...hashes) });
      hash = tileRoot(merkle, hashes);
      hashes.length = 0;
    }
  }

  /** RFC 6962 root hash; that of no leaves is SHA-256 of nothing. */
  root(): Uint8Array {
    const peaks = this.#levels.toReversed().flatMap(peaksOf);
    return (
      peaks.reduceRight<Uint8Array | undefined>(joinLeft, undefined) ??
      nodePrimitives.sha256(new Uint8Array())
    );
  }

  /** The first `width` hashes or entries of the partial tile of a level; undefined where it has fewer. */
  partial(level: TileLevel, width: number): Uint8Array | undefined {
    const items = level === 'entries' ? this.#entries : (this.#levels[level] ?? []);
    if (items.length < width) return undefined;
    return level === 'entries' ? encodeBundle(items.slice(0, width)) : concat(...items.slice(0, width));
  }
}

function joinLeft(right: Uint8Array | undefined, left: Uint8Array): Uint8Array {
  return right === undefined ? left : merkle.nodeHash(left, right);
}

/** Roots of the largest full subtrees, from the left. */
function peaksOf(hashes: readonly Uint8Array[]): Uint8Array[] {
  const peaks: Uint8Array[] = [];
  let from = 0;
  for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
    if (((hashes.length / width) & 1) === 0) continue;
    peaks.push(tileRoot(merkle, hashes.slice(from, from + width)));
    from += width;
  }
  return peaks;
}
