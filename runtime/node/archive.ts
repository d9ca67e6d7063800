/** What a node does about the archive: puts limits back that a run left lowered, and runs the schedule of its config. */
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { GUARD_EVERY_MS, type GuardMemory, guardLimits } from '#runtime/archive/drop';
import { Marks } from '#runtime/archive/mark';
import type { Subjects } from '#runtime/bus/subjects';
import { JETSTREAM_TIMEOUT_MS } from '#runtime/bus/tidy-jetstream';
import type { Clock, Logger, Random } from '#runtime/shard/ports';
import type { RealmConfig } from '#schemas/config';
import { toWireError } from '#schemas/fabric-error';

/** No timer of a process is longer than some days: longer pauses are looked at again. */
const LOOK_AFTER_MS_MAX = 3_600_000;

export interface ArchiveParts {
  readonly nodeId: string;
  readonly config: RealmConfig;
  readonly baseDir: string;
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class ArchiveKeeper {
  readonly #parts: ArchiveParts;
  readonly #stopped = new AbortController();
  #guard: unknown;
  readonly #guardMemory: GuardMemory = { revision: 0, since: 0 };
  #schedule: unknown;
  #working: Promise<void> = Promise.resolve();

  constructor(parts: ArchiveParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#armGuard();
    this.#armSchedule();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    const { clock } = this.#parts;
    if (this.#guard !== undefined) clock.clearTimer(this.#guard);
    if (this.#schedule !== undefined) clock.clearTimer(this.#schedule);
    await this.#working;
  }

  #armGuard(): void {
    this.#guard = this.#parts.clock.setTimer(() => {
      this.#after(
        async () => {
          const { nc, subjects, logger } = this.#parts;
          const marks = await Marks.open(nc, subjects.buckets.witness);
          const jsm = await jetstreamManager(nc, { timeout: JETSTREAM_TIMEOUT_MS });
          if (await guardLimits(jsm, subjects.streams.log, marks, this.#guardMemory)) {
            logger.warn({ stream: subjects.streams.log }, 'log_limits_restored');
          }
        },
        () => this.#armGuard(),
      );
    }, GUARD_EVERY_MS);
  }

  /** The next run is told from the end of the last one, whichever node or command did it: a restart begins nothing anew. */
  #armSchedule(): void {
    const { clock, config, nc, subjects } = this.#parts;
    const { archive } = config;
    if (archive === undefined) return;
    let dueInMs = Math.min(archive.everyMs, LOOK_AFTER_MS_MAX);
    this.#after(
      async () => {
        const { lastArchiveEnd } = await import('#runtime/archive/turn');
        const bucket = subjects.buckets.witness;
        const dueAt = (await lastArchiveEnd({ nc, bucket, now: () => clock.now() })) + archive.everyMs;
        dueInMs = Math.max(0, Math.min(dueAt - clock.now(), LOOK_AFTER_MS_MAX));
        if (dueInMs === 0) await this.#archive();
      },
      () => {
        // What ran has told its end, and what failed or was another's is looked at again no sooner than a pause later.
        const againMs = dueInMs === 0 ? Math.min(archive.everyMs, LOOK_AFTER_MS_MAX) : dueInMs;
        this.#schedule = clock.setTimer(() => this.#armSchedule(), againMs);
      },
    );
  }

  /** One after the other; what fails is told and tried again at its next time. */
  #after(work: () => Promise<void>, next: () => void): void {
    this.#working = this.#working.then(async () => {
      if (this.#stopped.signal.aborted) return;
      try {
        await work();
      } catch (thrown) {
        if (!this.#stopped.signal.aborted)
          this.#parts.logger.error({ error: toWireError(thrown) }, 'archive_failed');
      }
      if (!this.#stopped.signal.aborted) next();
    });
  }

  async #archive(): Promise<void> {
    const { nodeId, config, baseDir, nc, subjects, random, logger } = this.#parts;
    const { archive } = config;
    if (archive === undefined) return;
    const { archiveLog } = await import('#runtime/archive/archiver');
    const { archiveParts, realmTile } = await import('#runtime/archive/open');
    const { openStore } = await import('#runtime/archive/store');
    const { isBusy } = await import('#runtime/archive/turn');
    try {
      const store = openStore(archive.to, baseDir, process.env);
      const parts = await archiveParts({
        nc,
        subjects,
        shards: config.shards,
        realm: config.realm,
        store,
        tile: realmTile(nc, subjects),
      });
      const { signal } = this.#stopped;
      const holder = `${nodeId}.${random.id()}`;
      const run = { holder, until: Number.POSITIVE_INFINITY, keep: archive.keep, signal };
      logger.info(await archiveLog(parts, run), 'archived');
    } catch (thrown) {
      // Another node, or a command, is at it.
      if (!isBusy(thrown)) throw thrown;
    }
  }
}
