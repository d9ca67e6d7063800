/** One term of the builder, from the lease to its end: opens everything that works on the log then, and closes it. */
import type { NatsConnection } from '@nats-io/nats-core';
import { Marks } from '#runtime/archive/mark';
import { eventHeaders } from '#runtime/bus/live-event';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import type { Subjects } from '#runtime/bus/subjects';
import { apiRequest } from '#runtime/node/api';
import { Resources } from '#runtime/node/resources';
import type { Clock, Logger } from '#runtime/shard/ports';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { type LogBreak, WITNESS_ACTOR } from '#schemas/log-break';
import type { WitnessConfig } from '#schemas/witness';
import type { LogReader } from '../log-reader.ts';
import { Alarm } from './alarm.ts';
import { Builder } from './builder.ts';
import type { CosignerOptions } from './cosigners.ts';
import { witnessServiceErrors } from './errors.ts';
import type { WitnessStatus } from './metrics.ts';
import { truncated } from './open-edge.ts';
import { pause } from './pause.ts';
import { Publisher } from './publisher.ts';
import { answerRead, type ReadSource } from './read-api.ts';
import { Scrubber } from './scrubber.ts';
import type { SignedRecord } from './signed-record.ts';
import type { RealmSigner } from './signer.ts';
import { natsWitnessStore } from './state-store.ts';
import { cachedTiles, natsTiles } from './tile-store.ts';

/** The end of the log is looked at, and breaks that could not be raised are tried again, this often. */
const TICK_MS = 1_000;
/** After the bus failed a pass. */
const SCRUB_RETRY_MS = 5_000;

export interface TermOptions {
  readonly nodeId: string;
  readonly origin: string;
  readonly config: WitnessConfig;
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cosigners: readonly Pick<CosignerOptions, 'url' | 'name' | 'accept'>[];
  readonly record: SignedRecord;
  /** `isFirst`: nothing was signed yet, so the key may be made. */
  readonly openSigner: (isFirst: boolean) => Promise<RealmSigner>;
  /** Whether a verifier key took the place of the one that signed; none does when absent. */
  readonly mayFollow?: (signed: string, key: string) => Promise<boolean>;
  /** The log; read from its stream when absent. */
  readonly openReader?: () => Promise<LogReader>;
  /** Adds a verb to the admin API, until the function that is given back is called. */
  readonly serve: (verb: string, handle: (body: never) => unknown) => () => void;
}

/** `<prefix>.api.witness`: the status, or with `read` a checkpoint, a cosigned checkpoint, a tile or a bundle. */
export interface WitnessRequest {
  /** `checkpoint`, `checkpoint.cosigned` or a tile's path. */
  readonly read?: string;
}

export class Term {
  readonly #options: TermOptions;
  readonly #resources = new Resources();
  readonly #reader: LogReader;
  readonly #alarm: Alarm;
  readonly #builder: Builder;
  readonly #publisher: Publisher;
  readonly #scrubber: Scrubber;
  #lastSeq = 0;
  #http: string | undefined;

  private constructor(
    options: TermOptions,
    parts: { reader: LogReader; alarm: Alarm; builder: Builder; publisher: Publisher; scrubber: Scrubber },
  ) {
    this.#options = options;
    this.#reader = parts.reader;
    this.#alarm = parts.alarm;
    this.#builder = parts.builder;
    this.#publisher = parts.publisher;
    this.#scrubber = parts.scrubber;
    this.#resources.defer(() => parts.publisher.close());
  }

  /** Takes up where the last term ended, signs what it left unsigned, and opens the doors. Throws what {@link Builder.open} throws. */
  static async open(options: TermOptions, signal: AbortSignal): Promise<Term> {
    const { nc, subjects, config, cosigners, origin, record, openSigner, mayFollow, clock, logger } = options;
    const store = await natsWitnessStore(nc, subjects.buckets.witness);
    const reader = await (options.openReader?.() ?? natsLogReader(nc, subjects));
    const stored = await natsTiles(nc, subjects);
    const alarm = await Alarm.open({
      store,
      publish: (found) =>
        nc.publish(subjects.event(WITNESS_ACTOR, 'break'), JSON.stringify({ type: 'break', ...found }), {
          headers: eventHeaders(),
        }),
      raise: async (found) => {
        await apiRequest(nc, subjects.api(`shard.${subjects.shardOf(WITNESS_ACTOR)}.alarm`), found);
      },
      now: () => clock.now(),
      logger,
    });
    const tell = (found: LogBreak): void => alarm.tell(found);
    const publisher = await Publisher.open({ store, cosigners, logger });
    try {
      const builder = await Builder.open(
        {
          origin,
          intervalMs: config.intervalMs,
          reader,
          store,
          tiles: cachedTiles(stored),
          record,
          openSigner,
          ...(mayFollow !== undefined && { mayFollow }),
          tell,
          signed: (tree, note) => publisher.publish(tree, note),
          now: () => clock.now(),
          logger,
        },
        signal,
      );
      const scrubber = new Scrubber({
        reader,
        tree: () => (builder.halted === undefined ? builder.tree.stored(stored) : undefined),
        tell,
        archivedThrough: async () => {
          const { mark } = await (await Marks.open(nc, subjects.buckets.witness)).read();
          return mark?.dropped ?? 0;
        },
        commitsPerSecond: config.scrubRate,
        pauseMs: config.scrubPauseMs,
      });
      const term = new Term(options, { reader, alarm, builder, publisher, scrubber });
      await term.#openDoors();
      return term;
    } catch (thrown) {
      await publisher.close();
      await alarm.flush();
      throw thrown;
    }
  }

  /** Until the signal aborts. Throws what ends the term early. */
  async run(signal: AbortSignal): Promise<void> {
    const own = new AbortController();
    const both = AbortSignal.any([signal, own.signal]);
    const works = [this.#builder.run(both), this.#tick(both), this.#scrub(both)];
    try {
      // The builder ends by itself where its stream has gone.
      await Promise.race(works);
    } finally {
      own.abort();
      await Promise.allSettled(works);
    }
  }

  get signedSize(): number {
    return this.#builder.signedState.size;
  }

  async status(): Promise<WitnessStatus> {
    await this.#lookAtEnd();
    const { nodeId, origin, cosigners } = this.#options;
    const builder = this.#builder;
    const { size, root } = builder.signedState;
    return {
      nodeId,
      origin,
      key: builder.key,
      size,
      root,
      verifiedSeq: builder.verifiedSeq,
      lastSeq: this.#lastSeq,
      lagCommits: Math.max(0, this.#lastSeq - size),
      lagMs: builder.lagMs,
      checkpointsSigned: builder.checkpointsSigned,
      cosignatures: this.#publisher.cosignatures,
      cosigners: cosigners.length,
      breaks: this.#alarm.count,
      known: this.#alarm.breaks,
      ...(builder.halted !== undefined && { halted: builder.halted }),
      scrubPasses: this.#scrubber.passes,
      scrubbedSeq: this.#scrubber.seq,
      ...(this.#http !== undefined && { http: this.#http }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
    await this.#alarm.flush();
  }

  async #openDoors(): Promise<void> {
    const { config, logger, serve } = this.#options;
    const source: ReadSource = {
      checkpoint: () => this.#publisher.checkpoint,
      cosigned: () => this.#publisher.cosigned,
      tile: (path) => this.#builder.tree.tile(path),
      status: () => this.status(),
    };
    this.#resources.defer(serve('witness', (request: WitnessRequest) => this.#answer(source, request)));
    if (config.http === undefined) return;
    try {
      // Node's HTTP brings much along that a node without such an address never needs.
      const { listenHttp } = await import('./http-listener.ts');
      const listener = await listenHttp({
        ...config.http,
        bodyBytesMax: 0,
        handle: (request) => answerRead(source, request),
        logger,
      });
      this.#http = listener.url;
      this.#resources.defer(() => listener.close());
      logger.info({ url: listener.url }, 'witness_http');
    } catch (thrown) {
      // The log is built without it; the status says that there is none.
      logger.error({ ...config.http, error: toWireError(thrown) }, 'witness_http_failed');
    }
  }

  async #answer(source: ReadSource, { read }: WitnessRequest): Promise<object> {
    if (read === undefined) return await this.status();
    const { status, body } = await answerRead(source, {
      method: 'GET',
      path: `/${read}`,
      body: new Uint8Array(),
    });
    if (status !== 200) {
      throw new FabricError(
        witnessServiceErrors.tile_missing,
        `The witness log has no ${read.slice(0, 200)}`,
      );
    }
    return { bytes: Buffer.from(body).toString('base64') };
  }

  async #tick(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#alarm.flush();
      await this.#lookAtEnd();
      await pause(TICK_MS, signal);
    }
  }

  /** A log that got shorter than what was read of it has lost its tail. */
  async #lookAtEnd(): Promise<void> {
    const { verifiedSeq } = this.#builder;
    this.#lastSeq = (await this.#reader.range()).last;
    if (this.#lastSeq >= verifiedSeq) return;
    this.#alarm.tell(truncated(this.#lastSeq, verifiedSeq));
  }

  /** What fails here is tried again: the builder goes on. */
  async #scrub(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#scrubber.run(signal);
      } catch (thrown) {
        this.#options.logger.warn({ error: toWireError(thrown) }, 'scrub_failed');
        await pause(SCRUB_RETRY_MS, signal);
      }
    }
  }
}
