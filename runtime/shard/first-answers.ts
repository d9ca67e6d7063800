/** First answers of messages that come again, read back from the log: few reads at a time, each shared by all who wait. */
import { decodeCommit } from '#runtime/bus/codec';
import type { Commit } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import type { ShardLog } from './ports.ts';

const READS_MAX = 4;
/** Reads that may wait for their turn. */
const WAITING_MAX = 4_096;
/** Commits kept: a client that asks again for all it had in flight hits the same few. */
const KEPT_MAX = 8;

export class FirstAnswers {
  readonly #log: ShardLog;
  readonly #kept = new Map<number, Promise<Commit | undefined>>();
  readonly #waiting: (() => void)[] = [];
  #reading = 0;

  constructor(log: ShardLog) {
    this.#log = log;
  }

  /** The commit at a sequence of the log; undefined where it is gone. Throws `overloaded` and what reading throws. */
  commitAt(seq: number): Promise<Commit | undefined> {
    const known = this.#kept.get(seq);
    if (known !== undefined) return known;
    if (this.#waiting.length >= WAITING_MAX) {
      const message = `${this.#waiting.length} messages handled before wait for their first answers`;
      throw new FabricError(shardErrors.overloaded, message);
    }
    const reading = this.#read(seq);
    this.#kept.set(seq, reading);
    // A failure is told to those who wait and not kept.
    reading.catch(() => this.#kept.delete(seq));
    return reading;
  }

  async #read(seq: number): Promise<Commit | undefined> {
    if (this.#reading >= READS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#reading += 1;
    try {
      const stored = await this.#log.get(seq);
      return stored === undefined ? undefined : decodeCommit(stored.bytes);
    } finally {
      this.#reading -= 1;
      this.#waiting.shift()?.();
      this.#forget();
    }
  }

  /** Oldest first; what is still being read counts too, so only the excess over both bounds goes. */
  #forget(): void {
    for (const seq of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_MAX + this.#reading + this.#waiting.length) return;
      this.#kept.delete(seq);
    }
  }
}
