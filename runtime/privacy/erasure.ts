/** Sends that came in the clear, overwritten in the inbox once the log holds them: D4 of door.ts. */
import type { Logger } from '#runtime/shard/ports';
import { toWireError } from '#schemas/fabric-error';

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

export interface ErasureDeps {
  readonly shard: number;
  readonly eraser: InboxEraser;
  /** Types with marks. */
  readonly personalTypes: () => readonly string[];
  readonly logger: Logger;
}

export class InboxErasure {
  readonly #deps: ErasureDeps;
  readonly #mayBePlain: (message: StoredSend) => boolean;
  /** Inbox sequences that came in the clear. */
  readonly #due = new Set<number>();
  #consumed = 0;
  #erasing: Promise<void> | undefined;

  constructor(deps: ErasureDeps, mayBePlain: (message: StoredSend) => boolean) {
    this.#deps = deps;
    this.#mayBePlain = mayBePlain;
  }

  /** A message to overwrite once it is consumed. */
  add(seq: number): void {
    this.#due.add(seq);
  }

  /** The inbox is read from here on: what a node that died had taken is overwritten beside. */
  opened(consumed: number): void {
    this.#consumed = consumed;
    if (consumed > 0) void this.#sweep(consumed);
  }

  committed(consumed: number): void {
    if (consumed <= this.#consumed) return;
    this.#consumed = consumed;
    if (this.#due.size > 0) this.#soon();
  }

  /** Resolves when all that was consumed is overwritten, or cannot be now. */
  async settled(): Promise<void> {
    await this.#erasing;
    await this.through(this.#consumed).catch((thrown: unknown) => this.#notErased(thrown));
  }

  /** Resolves when everything up to a sequence is overwritten. */
  async through(seq: number): Promise<void> {
    const due = [...this.#due].filter((at) => at <= seq);
    if (due.length === 0) return;
    await this.#deps.eraser.erase(due);
    for (const at of due) this.#due.delete(at);
  }

  #soon(): void {
    if (this.#erasing !== undefined) return;
    const through = this.#consumed;
    this.#erasing = this.through(through).then(
      () => {
        this.#erasing = undefined;
        if (this.#consumed > through && this.#due.size > 0) this.#soon();
      },
      (thrown: unknown) => {
        this.#erasing = undefined;
        this.#notErased(thrown);
      },
    );
  }

  /** It is tried again with the next commit, the next release, or by the next owner. */
  #notErased(thrown: unknown): void {
    const { shard, logger } = this.#deps;
    logger.warn({ shard, error: toWireError(thrown) }, 'inbox_not_erased');
  }

  async #sweep(through: number): Promise<void> {
    const { eraser, shard, logger, personalTypes } = this.#deps;
    try {
      for (const type of personalTypes()) {
        const stored = eraser.stored(shard, type, through);
        await eraser.erase(await collect(stored, this.#mayBePlain));
      }
    } catch (thrown) {
      logger.warn({ shard, error: toWireError(thrown) }, 'inbox_not_swept');
    }
  }
}

/** Sequences of the messages that may be in the clear. */
async function collect(
  stored: ReturnType<InboxEraser['stored']>,
  mayBePlain: (message: StoredSend) => boolean,
): Promise<number[]> {
  const seqs: number[] = [];
  for await (const message of stored) if (mayBePlain(message)) seqs.push(message.seq);
  return seqs;
}
