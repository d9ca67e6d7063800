/** Tiles and entry bundles of C2SP tlog-tiles: their names, what is in them, and a tree read through them. */
import { concat } from './bytes.ts';
import { HASH_BYTES } from './hash.ts';
import type { Merkle, SubtreeReader } from './merkle.ts';

/** Hashes of a full tile, entries of a full bundle. */
export const TILE_WIDTH = 256;
/** Tree levels that a tile spans. */
export const TILE_HEIGHT = 8;
/** 256^6 leaves are more than a sequence number counts. */
const LEVEL_MAX = 6;
const ENTRY_BYTES_MAX = 0xffff;
/** Tiles kept by a reader: the right edge of the largest tree, and a path beside it. */
const KEPT_MAX = 64;

/** A level of hashes, or the entries below level 0. */
export type TileLevel = number | 'entries';

export interface Tile {
  readonly level: TileLevel;
  readonly n: number;
  /** 1 to 256. */
  readonly width: number;
}

/** `tile/<L>/<N>[.p/<W>]` */
export function tilePath({ level, n, width }: Tile): string {
  const digits = String(n);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? [];
  const name = groups.map((group, i) => (i === groups.length - 1 ? group : `x${group}`)).join('/');
  return `tile/${level}/${name}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Undefined for anything but the one spelling of a tile's path. */
export function parseTilePath(path: string): Tile | undefined {
  const match = /^tile\/(entries|\d)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (match === null) return undefined;
  const [, levelText = '', nText = '', widthText] = match;
  const tile: Tile = {
    level: levelText === 'entries' ? levelText : Number(levelText),
    n: Number(nText.replaceAll(/[x/]/g, '')),
    width: widthText === undefined ? TILE_WIDTH : Number(widthText),
  };
  const isSound =
    tilePath(tile) === path &&
    Number.isSafeInteger(tile.n) &&
    tile.width >= 1 &&
    tile.width <= TILE_WIDTH &&
    (tile.level === 'entries' || tile.level <= LEVEL_MAX);
  return isSound ? tile : undefined;
}

/** Hashes of a level in a tree; entries count like level 0. */
export function levelSize(size: number, level: TileLevel): number {
  return Math.floor(size / TILE_WIDTH ** (level === 'entries' ? 0 : level));
}

/** Width of a tile in a tree of this size; 0 where the tree has none of it. */
export function tileWidth(size: number, level: TileLevel, n: number): number {
  return Math.max(0, Math.min(TILE_WIDTH, levelSize(size, level) - n * TILE_WIDTH));
}

/** Every tile and bundle of a tree of this size, bundles first, then level by level. */
export function* tilesOf(size: number): Generator<Tile> {
  const levels: TileLevel[] = ['entries'];
  for (let level = 0; levelSize(size, level) > 0; level += 1) levels.push(level);
  for (const level of levels) {
    for (let n = 0; n * TILE_WIDTH < levelSize(size, level); n += 1) {
      yield { level, n, width: tileWidth(size, level, n) };
    }
  }
}

/** Entries with their lengths before them, 16 bits each. Throws a RangeError for one above 64 KiB. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  return concat(
    ...entries.flatMap((entry) => {
      const { byteLength } = entry;
      if (byteLength > ENTRY_BYTES_MAX)
        throw new RangeError(`An entry of ${byteLength} bytes fits no bundle`);
      return [Uint8Array.of(byteLength >> 8, byteLength & 0xff), entry];
    }),
  );
}

/** Undefined where the bytes are not exactly so many entries. */
export function decodeBundle(bytes: Uint8Array, count: number): Uint8Array[] | undefined {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at + 2 <= bytes.byteLength && entries.length < count) {
    const end = at + 2 + ((bytes[at] ?? 0) << 8) + (bytes[at + 1] ?? 0);
    if (end > bytes.byteLength) return undefined;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return at === bytes.byteLength && entries.length === count ? entries : undefined;
}

/** The hashes of a tile; undefined where it has not exactly its width of them. */
export function hashesOf(bytes: Uint8Array, width: number): Uint8Array[] | undefined {
  if (bytes.byteLength !== width * HASH_BYTES) return undefined;
  return Array.from({ length: width }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

/** Root of the subtree that a tile's hashes are the leaves of; of a partial tile, of what there is. */
export function tileRoot(merkle: Merkle, hashes: readonly Uint8Array[]): Uint8Array {
  let row = [...hashes];
  while (row.length > 1) {
    const next: Uint8Array[] = [];
    for (let i = 0; i + 1 < row.length; i += 2) {
      next.push(merkle.nodeHash(row[i] as Uint8Array, row[i + 1] as Uint8Array));
    }
    if (row.length % 2 === 1) next.push(row[row.length - 1] as Uint8Array);
    row = next;
  }
  const [root] = row;
  if (root === undefined) throw new RangeError('A tile has at least one hash');
  return root;
}

/** Gives a tile's bytes. Throws where there is none. */
export type TileFetch = (tile: Tile) => Promise<Uint8Array>;

/** Reads the subtrees of a tree of `size` leaves from its tiles. Throws what `fetch` throws, and for a tile of another width. */
export function tileReader(merkle: Merkle, size: number, fetch: TileFetch): SubtreeReader {
  const kept = new Map<string, Promise<TileRows>>();
  const load = async (tile: Tile): Promise<TileRows> => {
    const hashes = hashesOf(await fetch(tile), tile.width);
    if (hashes === undefined) throw new RangeError(`${tilePath(tile)} has not the bytes of its width`);
    return new TileRows(merkle, hashes);
  };
  return async (height, n) => {
    const level = Math.floor(height / TILE_HEIGHT);
    const within = height % TILE_HEIGHT;
    const at = n % 2 ** (TILE_HEIGHT - within);
    const tileN = Math.floor(n / 2 ** (TILE_HEIGHT - within));
    const tile: Tile = { level, n: tileN, width: tileWidth(size, level, tileN) };
    const path = tilePath(tile);
    let rows = kept.get(path);
    if (rows === undefined) {
      rows = load(tile);
      kept.set(path, rows);
      for (const oldest of kept.keys()) {
        if (kept.size <= KEPT_MAX) break;
        kept.delete(oldest);
      }
    }
    const hash = (await rows).hash(within, at);
    if (hash === undefined) throw new RangeError(`A tree of ${size} has no subtree ${n} of height ${height}`);
    return hash;
  };
}

/** The hashes of a tile and those above them, row by row, each made once. */
class TileRows {
  readonly #merkle: Merkle;
  readonly #rows: Uint8Array[][];

  constructor(merkle: Merkle, hashes: Uint8Array[]) {
    this.#merkle = merkle;
    this.#rows = [hashes];
  }

  /** Undefined where the tile has not all hashes below it. */
  hash(row: number, at: number): Uint8Array | undefined {
    while (this.#rows.length <= row) {
      const below = this.#rows.at(-1) ?? [];
      const above: Uint8Array[] = [];
      for (let i = 0; i + 1 < below.length; i += 2) {
        above.push(this.#merkle.nodeHash(below[i] as Uint8Array, below[i + 1] as Uint8Array));
      }
      this.#rows.push(above);
    }
    return this.#rows[row]?.[at];
  }
}
