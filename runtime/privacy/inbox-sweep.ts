/** What a node that died had taken in the clear, overwritten in the inbox by the next owner: D4 of door.ts. */
import { shardErrors } from '#runtime/shard/errors';
import type { Clock, Logger } from '#runtime/shard/ports';
import { FabricError, toWireError } from '#schemas/fabric-error';

/** Found messages that are overwritten together. */
const ERASED_AT_A_TIME = 64;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/** A send as it lies in the inbox. */
export interface StoredSend {
  readonly seq: number;
  readonly subject: string;
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
}

/** Removes single messages of the inbox for good. */
export interface InboxEraser {
  /** Overwrites these on disk. */
  erase(seqs: readonly number[]): Promise<void>;
  /** Messages still stored up to `through` for actors of a type in a shard. */
  stored(shard: number, type: string, through: number): AsyncIterable<StoredSend>;
}

export interface SweepDeps {
  readonly shard: number;
  readonly eraser: InboxEraser;
  /** Types with marks. */
  readonly personalTypes: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

export class InboxSweep {
  readonly #deps: SweepDeps;
  readonly #through: number;
  readonly #mayBePlain: (message: StoredSend) => boolean;
  #attempt: Promise<void> | undefined;
  #retry: unknown;
  #retryMs = RETRY_FIRST_MS;
  #isStopped = false;

  constructor(deps: SweepDeps, through: number, mayBePlain: (message: StoredSend) => boolean) {
    this.#deps = deps;
    this.#through = through;
    this.#mayBePlain = mayBePlain;
  }

  /** Begins it; what fails is tried again by and by. */
  start(): void {
    // It is logged.
    this.done().catch(() => undefined);
  }

  /** Resolves when everything is overwritten; rejects where it cannot be now. What failed is begun again at once. */
  done(): Promise<void> {
    this.#attempt ??= this.#try();
    return this.#attempt;
  }

  /** Leaves the rest to the next owner, who begins from the start. */
  stop(): void {
    this.#isStopped = true;
    this.#deps.clock.clearTimer(this.#retry);
  }

  async #try(): Promise<void> {
    const { clock, shard, logger } = this.#deps;
    clock.clearTimer(this.#retry);
    try {
      await this.#sweep();
    } catch (thrown) {
      this.#attempt = undefined;
      if (!this.#isStopped) {
        logger.warn({ shard, error: toWireError(thrown) }, 'inbox_not_swept');
        this.#retry = clock.setTimer(() => this.start(), this.#retryMs);
        this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
      }
      throw thrown;
    }
  }

  async #sweep(): Promise<void> {
    const { eraser, shard, personalTypes } = this.#deps;
    this.#checkWanted();
    for (const type of personalTypes()) {
      let found: number[] = [];
      for await (const message of eraser.stored(shard, type, this.#through)) {
        this.#checkWanted();
        if (this.#mayBePlain(message)) found.push(message.seq);
        if (found.length < ERASED_AT_A_TIME) continue;
        await eraser.erase(found);
        found = [];
      }
      await eraser.erase(found);
    }
  }

  #checkWanted(): void {
    if (!this.#isStopped) return;
    throw new FabricError(
      shardErrors.shard_moved,
      'The next owner of the shard overwrites what lies in its inbox',
    );
  }
}
