/**
 * Reads again what was written: every commit that a signed checkpoint covers, its entry in the bundles, the chain, and
 * all tiles up to the signed root.
 *
 * S1  A pass covers the whole tree that was signed when it began; the next begins a pause after it ended.
 * S2  Commits are judged by the entries and tiles, those by the signed root: what was altered in the log, in a bundle
 *     or in a tile is told apart, and one alteration is one break.
 * S3  It takes no more commits and bytes a second than it may, in slices: a bundle at once would keep everybody who asks
 *     this node for something waiting for tens of milliseconds, twice a second.
 */
import type { LogBreak } from '#schemas/log-break';
import type { LogReader } from '../log-reader.ts';
import { TILE_WIDTH } from '../tiles.ts';
import { Pace } from './pace.ts';
import { pause } from './pause.ts';
import { type Found, foundIn, ScrubPass, type StoredTree } from './scrub-pass.ts';

/** Bytes of commits a second: of large commits, decoding and hashing that much takes a hundredth of a core. */
const BYTES_PER_SECOND = 1024 * 1024;

/** Until a first checkpoint is signed. */
const NOTHING_YET_MS = 1_000;

export interface ScrubberOptions {
  readonly reader: LogReader;
  /** Undefined where nothing is signed yet, or nothing any more. */
  readonly tree: () => StoredTree | undefined;
  readonly tell: (found: LogBreak) => void;
  /** Through which sequence the stream dropped what is archived. */
  readonly archivedThrough?: () => Promise<number>;
  readonly commitsPerSecond: number;
  readonly pauseMs: number;
}

export class Scrubber {
  readonly #options: ScrubberOptions;
  #passes = 0;
  #seq = 0;

  constructor(options: ScrubberOptions) {
    this.#options = options;
  }

  /** Passes that came to their end. */
  get passes(): number {
    return this.#passes;
  }

  /** Sequence to which the pass under way has come. */
  get seq(): number {
    return this.#seq;
  }

  /** Pass after pass until the signal aborts. Throws what the bus throws. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const hasRead = await this.pass(signal);
      await pause(hasRead ? this.#options.pauseMs : Math.min(this.#options.pauseMs, NOTHING_YET_MS), signal);
    }
  }

  /** One pass (S1); false where nothing is signed. */
  async pass(signal: AbortSignal): Promise<boolean> {
    const { tree: current, reader, tell, commitsPerSecond } = this.#options;
    const tree = current();
    if (tree === undefined || tree.size === 0) return false;
    const pace = new Pace({ commitsPerSecond, bytesPerSecond: BYTES_PER_SECOND }, signal);
    const pass = new ScrubPass(tree, tell, pace);
    for (let from = 0; from < tree.size && !signal.aborted; from += TILE_WIDTH) {
      const width = Math.min(TILE_WIDTH, tree.size - from);
      const found = new Map<number, Found>();
      for await (const batch of reader.read(from + 1, from + width, signal)) {
        for (const message of batch) {
          found.set(message.seq, foundIn(message));
          pace.count(message.bytes.byteLength);
          await pace.step();
        }
      }
      if (signal.aborted) return true;
      // Asked after reading: what is dropped was declared before.
      const archived = found.size < width ? await this.#options.archivedThrough?.() : 0;
      await pass.check(from, width, found, archived);
      this.#seq = from + width;
      await pace.rest();
    }
    if (signal.aborted) return true;
    pass.end();
    this.#passes += 1;
    return true;
  }
}
