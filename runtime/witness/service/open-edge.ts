/** The right edge of the tree after a restart: from the full tiles that are stored, and only the last commits. */
import { sha256 } from '#runtime/bus/codec';
import { busErrors } from '#runtime/bus/errors';
import { equalBytes } from '#runtime/shard/commit';
import { FabricError } from '#schemas/fabric-error';
import type { LogBreak } from '#schemas/log-break';
import { readCommitHead } from '../commit-head.ts';
import { encodeLeaf } from '../leaf.ts';
import type { LogMessage, LogReader } from '../log-reader.ts';
import { merkle } from '../node-crypto.ts';
import { hashesOf, TILE_WIDTH, tilePath, tileRoot } from '../tiles.ts';
import { type FullTile, RightEdge } from './right-edge.ts';
import type { SignedState } from './state-store.ts';
import type { TileStore } from './tile-store.ts';

/** Spoilt tiles that one reading of the log remembers, 17 KiB each at most. */
const SPOILT_MAX = 2_048;

export interface Recovered {
  readonly edge: RightEdge;
  /** Why the log is not the one that was signed. */
  readonly problem?: LogBreak;
}

/**
 * The edge over the tree that was signed last (builder.ts, W5). Where tiles are missing or spoilt they are made anew
 * from the log, if that gives the signed root; spoilt ones are told of, but for those that a put left without their content
 * (its answer was lost, and the client took its pieces away again).
 */
export async function recoverEdge(
  { tiles, reader, tell }: { tiles: TileStore; reader: LogReader; tell: (found: LogBreak) => void },
  { size, root }: SignedState,
  signal: AbortSignal,
): Promise<Recovered> {
  const wanted = Buffer.from(root, 'base64');
  const fromTiles = await edgeFromTiles(tiles, size - (size % TILE_WIDTH));
  if (fromTiles !== undefined) {
    const problem = await growEdge(fromTiles, reader, size, signal, async () => {});
    if (problem !== undefined) return { edge: fromTiles, problem: breakOf(problem, fromTiles.size, size) };
    if (equalBytes(fromTiles.root(), wanted)) return { edge: fromTiles };
  }
  for (;;) {
    const edge = new RightEdge();
    const spoilt = new Map<string, Uint8Array>();
    const problem = await growEdge(edge, reader, size, signal, async (tile) => {
      const path = tileName(tile);
      const stored = await wholeTile(tiles, path);
      if (stored === undefined) await tiles.put(path, tile.bytes);
      else if (!equalBytes(stored, tile.bytes) && spoilt.size < SPOILT_MAX) spoilt.set(path, tile.bytes);
    });
    if (problem !== undefined) return { edge, problem: breakOf(problem, edge.size, size) };
    if (!equalBytes(edge.root(), wanted)) return { edge, problem: rewritten(size) };
    for (const [path, bytes] of spoilt) {
      tell({
        id: `tile@${path}`,
        kind: 'tile',
        seq: 0,
        what: `${path} was not what was signed; it is made anew`,
      });
      await tiles.put(path, bytes);
    }
    if (spoilt.size < SPOILT_MAX) return { edge };
  }
}

function rewritten(size: number): LogBreak {
  const what = `the ${size} commits in the log do not give the root that was signed`;
  return { id: `rewritten@${size}`, kind: 'rewritten', seq: size, what };
}

function breakOf(problem: LeafProblem, have: number, size: number): LogBreak {
  const seq = have + 1;
  switch (problem) {
    case 'truncated':
      return truncated(have, size);
    case 'removed':
      return {
        id: `removed@${seq}`,
        kind: 'removed',
        seq,
        what: `the commit of sequence ${seq} is not in the log`,
      };
    case 'unreadable':
      return { id: `unreadable@${seq}`, kind: 'unreadable', seq, what: 'the message is no commit' };
  }
}

/** The log has lost its tail: it ends at `last`, and was read or signed through `was`. */
export function truncated(last: number, was: number): LogBreak {
  return {
    id: `truncated@${last + 1}`,
    kind: 'truncated',
    seq: last + 1,
    what: `the log ends at sequence ${last}; it was there through ${was}`,
  };
}

export function tileName({ level, n }: FullTile): string {
  return tilePath({ level, n, width: TILE_WIDTH });
}

/**
 * The edge over the first `size` leaves, a multiple of the tile width. Reads at most 255 tiles a level, of as many
 * levels as the tree has. Undefined where one is missing; that none is altered shows in the root.
 */
async function edgeFromTiles(tiles: TileStore, size: number): Promise<RightEdge | undefined> {
  const partials: Uint8Array[][] = [];
  for (let level = 0, span = TILE_WIDTH; span <= size; level += 1, span *= TILE_WIDTH) {
    const full = Math.floor(size / span);
    const hashes: Uint8Array[] = [];
    for (let n = full - (full % TILE_WIDTH); n < full; n += 1) {
      const tile = await wholeTile(tiles, tilePath({ level, n, width: TILE_WIDTH }));
      const below = tile === undefined ? undefined : hashesOf(tile, TILE_WIDTH);
      if (below === undefined) return undefined;
      hashes.push(tileRoot(merkle, below));
    }
    partials.push(hashes);
  }
  return new RightEdge(size, partials);
}

/** Undefined for one that is missing, or of which the store itself knows that it is not what was put. */
async function wholeTile(tiles: TileStore, path: string): Promise<Uint8Array | undefined> {
  try {
    return await tiles.get(path);
  } catch (thrown) {
    if (thrown instanceof FabricError && thrown.code === busErrors.object_corrupt.code) return undefined;
    throw thrown;
  }
}

/** Why a log does not give the leaves that it should. */
type LeafProblem = 'truncated' | 'removed' | 'unreadable';

/**
 * Grows the edge by the commits from its size through `size` as the log has them now. Tiles that get full go to
 * `store`. Gives the problem that ended it early, at the sequence after the edge's size.
 */
async function growEdge(
  edge: RightEdge,
  reader: LogReader,
  size: number,
  signal: AbortSignal,
  store: (tile: FullTile) => Promise<void>,
): Promise<LeafProblem | undefined> {
  if (edge.size >= size) return undefined;
  for await (const batch of reader.read(edge.size + 1, size, signal)) {
    for (const message of batch) {
      if (message.seq !== edge.size + 1) return 'removed';
      const leaf = leafIn(message);
      if (leaf === undefined) return 'unreadable';
      for (const tile of edge.append(leaf)) await store(tile);
    }
  }
  signal.throwIfAborted();
  return edge.size < size ? 'truncated' : undefined;
}

function leafIn({ seq, bytes }: LogMessage): Uint8Array | undefined {
  const head = readCommitHead(bytes);
  return head === undefined ? undefined : encodeLeaf({ ...head, seq, hash: sha256(bytes) });
}
