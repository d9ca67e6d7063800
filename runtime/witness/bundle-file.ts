/** Bundles as files: written as the log is read, read line by line. */
import { once } from 'node:events';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { FabricError } from '#schemas/fabric-error';
import {
  type Bundle,
  type BundleHead,
  BundleParser,
  headLine,
  isBundle,
  LINE_CHARS_MAX,
  messageLine,
  tileLine,
} from './bundle.ts';
import { boundedLines } from './lines.ts';
import type { LogReader } from './log-reader.ts';
import { TILE_WIDTH, type Tile, tileWidth } from './tiles.ts';
import { verifyErrors } from './verify/errors.ts';
import type { FindTile } from './verify/signed-tree.ts';

/** Throws `bad_bundle` with file and line, `bundle_unopened` where it cannot be opened, and what reading throws. */
export async function readBundleFile(file: string): Promise<Bundle> {
  const parser = new BundleParser();
  const input = (await openFile(file, 'r')).createReadStream({ encoding: 'utf8' });
  try {
    for await (const line of boundedLines(input, LINE_CHARS_MAX)) {
      const problem = parser.line(line);
      if (problem !== undefined) throw bad(file, problem.line, problem.problem);
    }
  } finally {
    input.destroy();
  }
  const parsed = parser.end();
  if (!isBundle(parsed)) throw bad(file, parsed.line, parsed.problem);
  return parsed;
}

export interface BundleSource {
  readonly log: Pick<LogReader, 'read'>;
  readonly head: BundleHead;
  /** Leaves that the checkpoint covers; 0 without one. */
  readonly size: number;
  readonly tile: FindTile;
  readonly signal: AbortSignal;
  readonly progress?: (commits: number, bytes: number) => void;
}

/** Writes a bundle; the file is there whole or not at all. Gives the number of messages. Throws `bundle_unopened` where it cannot. */
export async function writeBundleFile(file: string, source: BundleSource): Promise<number> {
  const draft = `${file}.tmp`;
  const output = (await openFile(draft, 'w', file)).createWriteStream();
  const done = finished(output);
  // Told by the next write that has to wait, or at the end.
  done.catch(() => {});
  const write = async (line: string): Promise<void> => {
    if (!output.write(`${line}\n`)) await Promise.race([once(output, 'drain'), done]);
  };
  try {
    const { head, log, size, signal } = source;
    await write(headLine(head));
    for (const tile of tilesFor(head.from, Math.min(head.through, size), size)) {
      const bytes = await source.tile(tile);
      // A tile that is not there is a break, and for the verifier to tell.
      if (bytes !== undefined) await write(tileLine(tile, bytes));
    }
    let commits = 0;
    let bytes = 0;
    for await (const batch of log.read(head.from, head.through, signal)) {
      for (const message of batch) {
        await write(messageLine(message));
        bytes += message.bytes.byteLength;
      }
      commits += batch.length;
      source.progress?.(commits, bytes);
      signal.throwIfAborted();
    }
    output.end();
    await done;
    await rename(draft, file);
    return commits;
  } catch (thrown) {
    output.destroy();
    await rm(draft, { force: true });
    throw thrown;
  }
}

/** The tiles and bundles that the range needs, with the way up from them and the right edge of the tree. */
export function* tilesFor(from: number, through: number, size: number): Generator<Tile> {
  if (size === 0) return;
  let first = Math.floor((from - 1) / TILE_WIDTH);
  let last = Math.floor((Math.max(from, through) - 1) / TILE_WIDTH);
  for (let n = first; n <= last; n += 1) {
    const width = tileWidth(size, 'entries', n);
    if (width > 0) yield { level: 'entries', n, width };
  }
  for (let level = 0; tileWidth(size, level, 0) > 0; level += 1) {
    const edge = Math.floor(size / TILE_WIDTH ** (level + 1));
    for (let n = first; n <= last; n += 1) {
      const width = tileWidth(size, level, n);
      if (width > 0) yield { level, n, width };
    }
    if (edge > last && tileWidth(size, level, edge) > 0)
      yield { level, n: edge, width: tileWidth(size, level, edge) };
    first = Math.floor(first / TILE_WIDTH);
    last = Math.floor(last / TILE_WIDTH);
  }
}

async function openFile(path: string, flag: 'r' | 'w', file = path): Promise<FileHandle> {
  try {
    return await open(path, flag, 0o600);
  } catch (cause) {
    const what = `${file} cannot be ${flag === 'r' ? 'read' : 'written'}`;
    throw new FabricError(verifyErrors.bundle_unopened, what, { details: { file }, cause });
  }
}

function bad(file: string, line: number, problem: string): FabricError {
  return new FabricError(verifyErrors.bad_bundle, `${file}:${line}: ${problem}`, { details: { file, line } });
}
