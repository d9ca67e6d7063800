/**
 * A bundle: a range of the log with everything that is needed to verify it, in one file, with no server. Lines of JSON,
 * so that any tool can look into it:
 *
 *     {"format":"infrafabric-bundle@1","from":…,"through":…,"checkpoint":"<the signed note>","policy":"…"|"key":"<vkey>"}
 *     {"tile":"tile/0/000.p/7","bytes":"<base64>"}     every tile and entry bundle that the range needs
 *     {"seq":1,"shard":0,"storedAt":…,"bytes":"<base64>"}     every message of the range, in order
 *
 * The policy or key in it says whom its maker trusts: who checks it brings their own.
 */
import { fromBase64, toBase64 } from './bytes.ts';
import type { LogMessage, LogReader } from './log-reader.ts';
import { parseTilePath, type Tile, tilePath } from './tiles.ts';
import type { FindTile } from './verify/signed-tree.ts';

export const BUNDLE_FORMAT = 'infrafabric-bundle@1';
/** A line holds one message of the log: at most 64 MiB in base64. */
export const LINE_CHARS_MAX = 96 * 1024 * 1024;
const TILES_MAX = 1_000_000;
/** A bundle is checked in memory; larger logs are checked range by range, or in the realm. */
const MESSAGES_MAX = 10_000_000;
const BYTES_MAX = 4 * 1024 * 1024 * 1024;
const TOO_MUCH = 'the bundle is too large to be checked at once: export smaller ranges of the log';

export interface BundleHead {
  readonly from: number;
  readonly through: number;
  /** The signed note, as text. */
  readonly checkpoint?: string;
  /** Text of a C2SP tlog-policy. */
  readonly policy?: string;
  /** Verifier key of the log. */
  readonly key?: string;
}

export interface Bundle extends BundleHead {
  readonly tiles: ReadonlyMap<string, Uint8Array>;
  /** In the order of the log. */
  readonly messages: readonly LogMessage[];
}

export interface BundleProblem {
  /** From 1. */
  readonly line: number;
  readonly problem: string;
}

export function headLine(head: BundleHead): string {
  return JSON.stringify({ format: BUNDLE_FORMAT, ...head });
}

export function tileLine(tile: Tile, bytes: Uint8Array): string {
  return JSON.stringify({ tile: tilePath(tile), bytes: toBase64(bytes) });
}

export function messageLine({ seq, shard, storedAt, bytes }: LogMessage): string {
  return JSON.stringify({ seq, shard, storedAt, bytes: toBase64(bytes) });
}

/** Reads a bundle line by line; give every line, then {@link end}. */
export class BundleParser {
  #head: BundleHead | undefined;
  readonly #tiles = new Map<string, Uint8Array>();
  readonly #messages: LogMessage[] = [];
  #line = 0;
  #bytes = 0;

  /** What is wrong with the line; undefined where nothing is. */
  line(text: string): BundleProblem | undefined {
    this.#line += 1;
    if (text === '') return undefined;
    const problem = text.length > LINE_CHARS_MAX ? 'it is too long' : this.#take(jsonOf(text));
    return problem === undefined ? undefined : { line: this.#line, problem };
  }

  end(): Bundle | BundleProblem {
    if (this.#head === undefined) return { line: 1, problem: 'the file is empty' };
    return { ...this.#head, tiles: this.#tiles, messages: this.#messages };
  }

  #take(value: unknown): string | undefined {
    if (typeof value !== 'object' || value === null) return 'it is no JSON object';
    const row = value as Record<string, unknown>;
    if (this.#head === undefined) return this.#takeHead(row);
    const bytes = typeof row['bytes'] === 'string' ? fromBase64(row['bytes']) : undefined;
    if (bytes === undefined) return 'it has no bytes in base64';
    this.#bytes += bytes.byteLength;
    if (this.#bytes > BYTES_MAX) return TOO_MUCH;
    if ('tile' in row) return this.#takeTile(row['tile'], bytes);
    const { seq, shard, storedAt } = row;
    if (!isCount(seq) || !isCount(shard) || typeof storedAt !== 'number' || !Number.isFinite(storedAt)) {
      return 'it is neither a tile nor a message of the log';
    }
    if (seq <= (this.#messages.at(-1)?.seq ?? 0)) return `message ${seq} does not follow the one before it`;
    if (this.#messages.length >= MESSAGES_MAX) return TOO_MUCH;
    this.#messages.push({ seq, shard, storedAt, bytes });
    return undefined;
  }

  #takeHead(row: Record<string, unknown>): string | undefined {
    const { format, from, through } = row;
    if (format !== BUNDLE_FORMAT) return `it does not begin with "format": "${BUNDLE_FORMAT}"`;
    if (!isCount(from) || !isCount(through) || from < 1) return 'it does not say from and through';
    const texts = ['checkpoint', 'policy', 'key'].flatMap((name) => {
      const text = row[name];
      return typeof text === 'string' ? [[name, text] as const] : [];
    });
    this.#head = { from, through, ...Object.fromEntries(texts) };
    return undefined;
  }

  #takeTile(path: unknown, bytes: Uint8Array): string | undefined {
    if (typeof path !== 'string' || parseTilePath(path) === undefined)
      return 'its tile has no path of a tile';
    if (this.#tiles.size >= TILES_MAX) return 'there are too many tiles';
    this.#tiles.set(path, bytes);
    return undefined;
  }
}

export function isBundle(parsed: Bundle | BundleProblem): parsed is Bundle {
  return 'messages' in parsed;
}

/** A bundle held in memory as text. */
export function parseBundle(text: string): Bundle | BundleProblem {
  const parser = new BundleParser();
  for (const line of text.split('\n')) {
    const problem = parser.line(line);
    if (problem !== undefined) return problem;
  }
  return parser.end();
}

/** The log in a bundle, as `verifyLog` reads it. */
export function bundleLog({ from, through, messages }: Bundle): Pick<LogReader, 'range' | 'read'> {
  return {
    range: async () => ({ first: from, last: Math.min(through, messages.at(-1)?.seq ?? from - 1) }),
    async *read(first, last) {
      yield messages.filter(({ seq }) => seq >= first && seq <= last);
    },
  };
}

export function bundleTiles({ tiles }: Bundle): FindTile {
  return async (tile) => tiles.get(tilePath(tile));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What is no JSON is no object either, and that is what is said of it.
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
