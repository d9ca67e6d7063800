/** Reads the whole log of a realm from its stream. */

import { setTimeout as pause } from 'node:timers/promises';
import {
  type Consumer,
  DeliverPolicy,
  type JetStreamManager,
  type JsMsg,
  jetstreamManager,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import { isForbidden } from './forbidden.ts';
import { readOptions } from './read-options.ts';
import type { Subjects } from './subjects.ts';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from './tidy-jetstream.ts';

/** Messages handed over at once at most: a reader that is slower than the server still gets to breathe. */
const BATCH_MAX = 512;
const BATCH_BYTES_MAX = 1024 * 1024;
/** Who may have no consumer looks for new commits this often. */
const FOLLOW_EVERY_MS = 250;
const NANOS_PER_MS = 1e6;
const SHARD = /^(?:0|[1-9]\d*)$/;

export async function natsLogReader(nc: NatsConnection, subjects: Subjects): Promise<LogReader> {
  const jsm = await jetstreamManager(nc, { timeout: JETSTREAM_TIMEOUT_MS });
  return new NatsLogReader(nc, jsm, subjects);
}

class NatsLogReader implements LogReader {
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;
  readonly #subjects: Subjects;

  constructor(nc: NatsConnection, jsm: JetStreamManager, subjects: Subjects) {
    this.#nc = nc;
    this.#jsm = jsm;
    this.#subjects = subjects;
  }

  async range(): Promise<{ first: number; last: number }> {
    const { state } = await this.#jsm.streams.info(this.#subjects.streams.log);
    return { first: Math.max(1, state.first_seq), last: state.last_seq };
  }

  async *read(from: number, through: number, signal?: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    const { last } = await this.range();
    const end = Math.min(through, last);
    if (from <= end) yield* this.#consume(from, end, signal);
  }

  follow(from: number, signal: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    return this.#consume(from, Number.POSITIVE_INFINITY, signal);
  }

  async get(seq: number): Promise<LogMessage | undefined> {
    const found = await this.#jsm.streams.getMessage(this.#subjects.streams.log, { seq });
    if (found === null) return undefined;
    return { seq, shard: shardOf(found.subject), bytes: found.data, storedAt: found.time.getTime() };
  }

  async *#consume(from: number, end: number, signal?: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    if (signal?.aborted === true) return;
    const consumer = await this.#consumer(from);
    if (consumer === undefined) {
      yield* this.#singly(from, end, signal);
      return;
    }
    // Not by callback: only messages that are taken are counted against what may be read ahead.
    const messages = await consumer.consume(readOptions(this.#nc));
    const stop = (): void => messages.stop();
    signal?.addEventListener('abort', stop, { once: true });
    let batch: LogMessage[] = [];
    let bytes = 0;
    try {
      for await (const message of messages) {
        if (message.seq > end) break;
        batch.push(logMessage(message));
        bytes += message.data.byteLength;
        const isLast = message.seq === end || message.info.pending === 0;
        if (!isLast && batch.length < BATCH_MAX && bytes < BATCH_BYTES_MAX) continue;
        yield batch;
        batch = [];
        bytes = 0;
        // What was to come last may be gone.
        if (message.seq === end || (end !== Number.POSITIVE_INFINITY && message.info.pending === 0)) return;
      }
      if (batch.length > 0) yield batch;
    } finally {
      signal?.removeEventListener('abort', stop);
      await messages.close();
    }
  }

  /** Undefined where who reads may make none: a consumer can be told to deliver where its maker may not publish. */
  async #consumer(from: number): Promise<Consumer | undefined> {
    try {
      return await tidyJetStream(this.#nc, { timeout: JETSTREAM_TIMEOUT_MS }).consumers.get(
        this.#subjects.streams.log,
        {
          deliver_policy: DeliverPolicy.StartSequence,
          opt_start_seq: from,
        },
      );
    } catch (thrown) {
      if (isForbidden(thrown)) return undefined;
      throw thrown;
    }
  }

  /** By number, many at once. */
  async *#singly(from: number, end: number, signal?: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    for (let next = from; next <= end && signal?.aborted !== true; ) {
      const { last } = await this.range();
      if (next > last) {
        if (end !== Number.POSITIVE_INFINITY) return;
        await pause(FOLLOW_EVERY_MS, undefined, signal === undefined ? {} : { signal }).catch(
          () => undefined,
        );
        continue;
      }
      const count = Math.min(BATCH_MAX, Math.min(end, last) - next + 1);
      const found = await Promise.all(Array.from({ length: count }, (_, n) => this.get(next + n)));
      next += count;
      const batch = found.filter((message) => message !== undefined);
      if (batch.length > 0) yield batch;
    }
  }
}

function logMessage({ seq, subject, data, info }: JsMsg): LogMessage {
  return { seq, shard: shardOf(subject), bytes: data, storedAt: info.timestampNanos / NANOS_PER_MS };
}

/** NaN where the subject names no shard. One spelling and no other: a shard reads nothing that lies under `01` or `1e0`. */
function shardOf(subject: string): number {
  const token = subject.slice(subject.lastIndexOf('.') + 1);
  return SHARD.test(token) ? Number(token) : Number.NaN;
}
