/** When a shard snapshots, passivates and lets go of what it no longer needs. All of it beside the loop. */
import type { SnapshotStatement } from '#schemas/commit';
import { type FabricError, toWireError } from '#schemas/fabric-error';
import { capture, restoreCapture } from './capture.ts';
import type { Mailer } from './mailer.ts';
import { passivate } from './passivate.ts';
import { distrust } from './restore.ts';
import type { ShardDeps } from './shard-types.ts';
import type { SnapshotWriter } from './snapshot.ts';
import { isDamage } from './snapshot-load.ts';
import type { ShardState } from './state.ts';

/** So many entries are folded within some 20 ms: a snapshot would take longer. */
const FRESHEN_ENTRIES_MIN = 1_000;

/**
 * Of a commit with one entry, reading costs a recovery most: a snapshot is due after so many times fewer commits than
 * entries, though not after a few.
 */
const COMMIT_ENTRIES = 10;
const COMMITS_MIN = 1_000;

/** What the loop is asked for. */
export interface Loop {
  /** There is a statement to commit. */
  wake(): void;
  /** The shard cannot go on with its snapshot. */
  fault(damage: FabricError): void;
}

export class Snapshotter {
  readonly #deps: ShardDeps;
  readonly #state: ShardState;
  readonly #writer: SnapshotWriter;
  #entries = 0;
  #commits = 0;
  #writing: Promise<void> | undefined;
  /** Of a snapshot that is stored and that no commit states yet. */
  #statement: SnapshotStatement | undefined;
  readonly #loop: Loop;
  #passivateDue = false;
  #closed = false;
  /** Of inbox messages that came since the last release. */
  #inboxBytes = 0;
  #releasing = false;
  /** Waited for by who wants a snapshot soon. */
  #fresh: PromiseWithResolvers<void> | undefined;

  constructor(deps: ShardDeps, state: ShardState, writer: SnapshotWriter, loop: Loop) {
    this.#loop = loop;
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

  /** What the next commit has to state (N2). */
  get statement(): SnapshotStatement | undefined {
    return this.#statement;
  }

  /** Counts what an inbox message takes in its stream. */
  received(bytes: number): void {
    this.#inboxBytes += bytes;
  }

  /** After a commit, with no other in flight. */
  committed(entries: number, mailer: Mailer, stated: SnapshotStatement | undefined): void {
    if (this.#inboxBytes >= (this.#deps.limits.inboxReleaseBytes ?? Number.POSITIVE_INFINITY))
      this.#release();
    if (stated !== undefined && stated === this.#statement) this.#isStated();
    this.#entries += entries;
    this.#commits += 1;
    if (!this.#isDue) return;
    if (this.#writing !== undefined || this.#statement !== undefined) return;
    // What is captured looks stored where it was before: nothing may be passivated until it is.
    if (this.#passivateDue) return;
    this.#entries = 0;
    this.#commits = 0;
    this.#writing = this.#write(mailer).finally(() => {
      this.#writing = undefined;
    });
  }

  /**
   * Has a snapshot made soon where much was committed since the last, so that the next owner of the shard has little to
   * fold. Resolves once it counts, or it will not come. `isIdle`: no commit is in flight.
   */
  async freshen(mailer: Mailer, isIdle: boolean): Promise<void> {
    if (this.#entries < FRESHEN_ENTRIES_MIN || this.#closed) return;
    this.#fresh ??= Promise.withResolvers();
    const { promise } = this.#fresh;
    this.#entries = Number.POSITIVE_INFINITY;
    if (isIdle) this.committed(0, mailer, undefined);
    await promise;
  }

  /** After something of the snapshot was found damaged: the next recovery passes it over. */
  async distrust(damage: FabricError): Promise<void> {
    const { newest } = this.#writer;
    if (newest !== undefined) await distrust(this.#deps.blobs, newest, damage);
  }

  /** Resolves when no snapshot is being written any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#fresh?.resolve();
    await this.#writing;
  }

  get #isDue(): boolean {
    const { snapshotEveryEntries } = this.#deps.limits;
    if (this.#entries >= snapshotEveryEntries) return true;
    return this.#commits >= Math.max(snapshotEveryEntries / COMMIT_ENTRIES, COMMITS_MIN);
  }

  /** A failed snapshot costs a longer recovery and nothing else. */
  async #write(mailer: Mailer): Promise<void> {
    const taken = capture(this.#state, mailer.pending());
    try {
      const statement = await this.#writer.write(this.#state, taken);
      if (this.#closed) return;
      this.#statement = statement;
      this.#passivateDue = true;
      this.#loop.wake();
      await this.#deps.inbox.release(taken.tables.consumed);
    } catch (thrown) {
      restoreCapture(this.#state, taken);
      this.#endFresh();
      this.#deps.logger.warn({ shard: this.#deps.shard, error: toWireError(thrown) }, 'snapshot_failed');
      // The segments that this one was to be merged with are not what they were.
      if (isDamage(thrown) && !this.#closed) this.#loop.fault(thrown);
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

  #endFresh(): void {
    this.#fresh?.resolve();
    this.#fresh = undefined;
  }

  #isStated(): void {
    this.#statement = undefined;
    this.#endFresh();
    this.#state.needs.stored();
    void this.#writer.collectGarbage().catch((thrown: unknown) => {
      this.#deps.logger.warn(
        { shard: this.#deps.shard, error: toWireError(thrown) },
        'snapshot_garbage_left',
      );
    });
  }
}
