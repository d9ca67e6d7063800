/** When a shard snapshots, passivates and lets go of what it no longer needs. All of it beside the loop. */
import { toWireError } from '#schemas/fabric-error';
import type { Mailer } from './mailer.ts';
import { passivate } from './passivate.ts';
import type { ShardDeps } from './shard-types.ts';
import { capture, restoreCapture, type SnapshotWriter } from './snapshot.ts';
import type { ShardState } from './state.ts';

export class Snapshotter {
  readonly #deps: ShardDeps;
  readonly #state: ShardState;
  readonly #writer: SnapshotWriter;
  #entries = 0;
  #writing: Promise<void> | undefined;
  #garbageReady = false;
  #passivateDue = false;
  #closed = false;
  /** Of inbox messages that came since the last release. */
  #inboxBytes = 0;
  #releasing = false;

  constructor(deps: ShardDeps, state: ShardState, writer: SnapshotWriter) {
    this.#deps = deps;
    this.#state = state;
    this.#writer = writer;
  }

  /** Between two batches only: a batch relies on what it brought in. */
  betweenBatches(): void {
    if (!this.#passivateDue) return;
    this.#passivateDue = false;
    const { residentMax, passivateAfterMs } = this.#deps.limits;
    passivate(this.#state.actors, { residentMax, idleBefore: this.#deps.clock.now() - passivateAfterMs });
  }

  /** True where a commit that begins to be appended now will prove that garbage may go (N3). */
  get provesGarbage(): boolean {
    return this.#garbageReady;
  }

  /** Counts what an inbox message takes in its stream. */
  received(bytes: number): void {
    this.#inboxBytes += bytes;
  }

  /** After a commit, with no other in flight. */
  committed(entries: number, mailer: Mailer, provesGarbage: boolean): void {
    if (this.#inboxBytes >= (this.#deps.limits.inboxReleaseBytes ?? Number.POSITIVE_INFINITY))
      this.#release();
    if (provesGarbage && this.#garbageReady) this.#collectGarbage();
    this.#entries += entries;
    if (this.#entries < this.#deps.limits.snapshotEveryEntries || this.#writing !== undefined) return;
    // What is captured looks stored where it was before: nothing may be passivated until it is.
    if (this.#passivateDue) return;
    this.#entries = 0;
    this.#writing = this.#write(mailer).finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when no snapshot is being written any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
  }

  /** A failed snapshot costs a longer recovery and nothing else. */
  async #write(mailer: Mailer): Promise<void> {
    const taken = capture(this.#state, mailer.pending());
    try {
      await this.#writer.write(this.#state, taken);
      if (this.#closed) return;
      this.#garbageReady = this.#writer.hasGarbage;
      this.#passivateDue = true;
      await this.#deps.inbox.release(taken.tables.consumed);
    } catch (thrown) {
      restoreCapture(this.#state, taken);
      this.#deps.logger.warn({ shard: this.#deps.shard, error: toWireError(thrown) }, 'snapshot_failed');
    }
  }

  /** A full inbox refuses senders: what the log holds must not fill it until the next snapshot. */
  #release(): void {
    if (this.#releasing) return;
    this.#releasing = true;
    this.#inboxBytes = 0;
    void this.#deps.inbox
      .release(this.#state.consumed)
      .catch((thrown: unknown) => {
        this.#deps.logger.warn({ shard: this.#deps.shard, error: toWireError(thrown) }, 'inbox_not_released');
      })
      .finally(() => {
        this.#releasing = false;
      });
  }

  #collectGarbage(): void {
    this.#garbageReady = false;
    void this.#writer.collectGarbage().catch((thrown: unknown) => {
      this.#deps.logger.warn(
        { shard: this.#deps.shard, error: toWireError(thrown) },
        'snapshot_garbage_left',
      );
    });
  }
}
