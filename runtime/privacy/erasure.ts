/** Sends that came in the clear, overwritten in the inbox once the log holds them: D4 of door.ts. */
import { toWireError } from '#schemas/fabric-error';
import { InboxSweep, type StoredSend, type SweepDeps } from './inbox-sweep.ts';

export class InboxErasure {
  readonly #deps: SweepDeps;
  readonly #mayBePlain: (message: StoredSend) => boolean;
  /** Inbox sequences that came in the clear. */
  readonly #due = new Set<number>();
  #consumed = 0;
  #erasing: Promise<void> | undefined;
  /** Of what was consumed before the inbox was opened here: in the clear or not, nobody has told. */
  #sweep: InboxSweep | undefined;

  constructor(deps: SweepDeps, mayBePlain: (message: StoredSend) => boolean) {
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
    this.#sweep?.stop();
    this.#sweep = consumed > 0 ? new InboxSweep(this.#deps, consumed, this.#mayBePlain) : undefined;
    this.#sweep?.start();
  }

  committed(consumed: number): void {
    if (consumed <= this.#consumed) return;
    this.#consumed = consumed;
    if (this.#due.size > 0) this.#soon();
  }

  /** Resolves when all that was taken here is overwritten, or cannot be now. */
  async closed(): Promise<void> {
    this.#sweep?.stop();
    await this.#erasing;
    await this.#erase(this.#consumed).catch((thrown: unknown) => this.#notErased(thrown));
  }

  /** Resolves when everything up to a sequence is overwritten; rejects where it cannot be now. */
  async through(seq: number): Promise<void> {
    await this.#erase(seq);
    await this.#sweep?.done();
  }

  /** What was taken here. */
  async #erase(through: number): Promise<void> {
    const due = [...this.#due].filter((at) => at <= through);
    if (due.length === 0) return;
    await this.#deps.eraser.erase(due);
    for (const at of due) this.#due.delete(at);
  }

  #soon(): void {
    if (this.#erasing !== undefined) return;
    const through = this.#consumed;
    this.#erasing = this.#erase(through).then(
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
}
