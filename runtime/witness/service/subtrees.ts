/** Hashes of full subtrees, out of tiles: what proofs are made of. */
import { FabricError } from '#schemas/fabric-error';
import { type SubtreeReader, tilePath } from './core.ts';
import { witnessServiceErrors } from './errors.ts';
import { hashesIn, rootOf, TILE_WIDTH } from './right-edge.ts';

/** Levels of the binary tree within one tile. */
const TILE_HEIGHT = 8;
const HASH_BYTES = 32;

/** The first `width` hashes of a tile; undefined where it has fewer. */
export type TileReader = (level: number, n: number, width: number) => Promise<Uint8Array | undefined>;

/** The reader throws `tile_missing` where a tile of the tree is not there. */
export function subtreesOf(read: TileReader): SubtreeReader {
  return async (height, n) => {
    const level = Math.floor(height / TILE_HEIGHT);
    const width = 2 ** (height % TILE_HEIGHT);
    const tileN = Math.floor((n * width) / TILE_WIDTH);
    const offset = (n * width) % TILE_WIDTH;
    const tile = await read(level, tileN, offset + width);
    if (tile?.byteLength !== (offset + width) * HASH_BYTES) {
      const path = tilePath(level, tileN, offset + width);
      throw new FabricError(witnessServiceErrors.tile_missing, `${path} is not there`, { details: { path } });
    }
    return rootOf(hashesIn(tile).slice(offset));
  };
}
