/** A witness of a test's own on a real server: commits are written straight to the log, as the shards would. */
import { join } from 'node:path';
import type { JetStreamManager } from '@nats-io/jetstream';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { encodeCommit, sha256 } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { Builder, type BuilderOptions } from '#runtime/witness/service/builder';
import { type SignedRecord, signedRecordFile } from '#runtime/witness/service/signed-record';
import { signerOf } from '#runtime/witness/service/signer';
import { natsWitnessStore } from '#runtime/witness/service/state-store';
import { cachedTiles, natsTiles } from '#runtime/witness/service/tile-store';
import { COMMIT_FORMAT, type Commit } from '#schemas/commit';
import type { LogBreak } from '#schemas/log-break';
import { silentLogger, TestServer } from '../../rig/nats.ts';

export const ORIGIN = 'test.example/log';
/** Longer than anything here takes. */
export const PATIENCE_MS = 60_000;
export const SEED = new Uint8Array(32).fill(7);

/** Writes chained commits. */
export class LogWriter {
  readonly #heads = new Map<number, { index: number; hash: Uint8Array; at: number }>();
  readonly #publish: (shard: number, bytes: Uint8Array) => Promise<void>;

  constructor(publish: (shard: number, bytes: Uint8Array) => Promise<void>) {
    this.#publish = publish;
  }

  next(shard: number, change: Partial<Commit> = {}): Uint8Array {
    const head = this.#heads.get(shard) ?? { index: -1, hash: new Uint8Array(32), at: Date.now() };
    const commit: Commit = {
      format: COMMIT_FORMAT,
      shard,
      index: head.index + 1,
      prev: head.hash,
      at: head.at + 1,
      epoch: 1,
      consumed: 0,
      acted: -1,
      entries: [{ cause: { kind: 'admin', by: 'test' }, actor: `counter/k${head.index + 1}`, after: {} }],
      ...change,
    };
    const bytes = encodeCommit(commit);
    this.#heads.set(shard, { index: commit.index, hash: sha256(bytes), at: commit.at });
    return bytes;
  }

  /** Appends `count` commits, over the shards in turn. */
  async append(count: number, shards = 2): Promise<void> {
    const waiting: Promise<void>[] = [];
    for (let i = 0; i < count; i += 1) waiting.push(this.#publish(i % shards, this.next(i % shards)));
    await Promise.all(waiting);
  }
}

export class WitnessRig implements AsyncDisposable {
  readonly server: TestServer;
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly subjects: Subjects;
  readonly writer: LogWriter;
  readonly told: LogBreak[] = [];
  /** Checkpoints signed by any builder, in their order. */
  readonly notes: string[] = [];

  private constructor(server: TestServer, nc: NatsConnection, jsm: JetStreamManager) {
    this.server = server;
    this.nc = nc;
    this.jsm = jsm;
    this.subjects = new Subjects('if', 2);
    this.writer = new LogWriter((shard, bytes) => this.publish(shard, bytes));
  }

  static async start(): Promise<WitnessRig> {
    const server = await TestServer.start();
    const nc = await server.connect();
    const rig = new WitnessRig(server, nc, await jetstreamManager(nc));
    await rig.makeStreams();
    return rig;
  }

  async makeStreams(): Promise<void> {
    await ensureStreams(this.nc, this.subjects, {
      replicas: 1,
      inboxBytesMax: 2 ** 24,
      deadBytesMax: 2 ** 24,
      logBytesMax: -1,
    });
  }

  async publish(shard: number, bytes: Uint8Array): Promise<void> {
    await jetstream(this.nc).publish(this.subjects.log(shard), bytes);
  }

  /** What somebody with access to the server can do: the whole log anew, with other messages. */
  async rewrite(
    change: (messages: { shard: number; bytes: Uint8Array }[]) => { shard: number; bytes: Uint8Array }[],
  ) {
    const reader = await natsLogReader(this.nc, this.subjects);
    const messages: { shard: number; bytes: Uint8Array }[] = [];
    for await (const batch of reader.read(1, (await reader.range()).last)) {
      messages.push(...batch.map(({ shard, bytes }) => ({ shard, bytes: Uint8Array.from(bytes) })));
    }
    await this.jsm.streams.delete(this.subjects.streams.log);
    await this.makeStreams();
    for (const { shard, bytes } of change(messages)) await this.publish(shard, bytes);
  }

  /** What the holder of the key remembers, on a node of that name. */
  recordOf(node: string): SignedRecord {
    return signedRecordFile(join(this.server.dataDir, 'holders', node, 'realm.signed'));
  }

  async options(change: Partial<BuilderOptions> = {}): Promise<BuilderOptions> {
    return {
      origin: ORIGIN,
      intervalMs: 100,
      reader: await natsLogReader(this.nc, this.subjects),
      store: await natsWitnessStore(this.nc, this.subjects.buckets.witness),
      tiles: cachedTiles(await natsTiles(this.nc, this.subjects)),
      record: this.recordOf('a'),
      openSigner: async () => signerOf(SEED, ORIGIN),
      tell: (found) => void this.told.push(found),
      signed: async (_, note) => void this.notes.push(note),
      now: Date.now,
      logger: silentLogger,
      ...change,
    };
  }

  async open(change: Partial<BuilderOptions> = {}): Promise<Builder> {
    return await Builder.open(await this.options(change), new AbortController().signal);
  }

  /** A builder that runs until all that is in the log now is signed, or `until` says so. */
  async build(change: Partial<BuilderOptions> = {}, until?: (builder: Builder) => boolean): Promise<Builder> {
    const options = await this.options(change);
    const { last } = await options.reader.range();
    const done = new AbortController();
    let builder: Builder | undefined;
    const isDone = (): boolean =>
      builder !== undefined &&
      (until?.(builder) ?? (builder.signedState.size >= last || builder.halted !== undefined));
    const opened = await Builder.open(
      {
        ...options,
        signed: async (tree, note) => {
          await options.signed(tree, note);
          if (isDone()) done.abort();
        },
        tell: (found) => {
          options.tell(found);
          queueMicrotask(() => isDone() && done.abort());
        },
      },
      done.signal,
    );
    builder = opened;
    if (!isDone()) await opened.run(AbortSignal.any([done.signal, AbortSignal.timeout(PATIENCE_MS)]));
    return opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}
