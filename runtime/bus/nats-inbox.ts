/**
 * The inbox of a shard: an ordered consumer from a position that the shard's log keeps.
 *
 * I1  Every stored message after the position is delivered once and in stream order, through reconnects, server
 *     restarts and lost consumers: the position is ours, so a new consumer begins right behind it.
 */

import { DeliverPolicy, type JetStreamManager, type JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { decode } from '#runtime/bus/codec';
import type { Clock, InboxMessage, Logger, MailBundle, ShardInbox } from '#runtime/shard/ports';
import { readStoredHeaders } from './message-headers.ts';
import { readOptions } from './read-options.ts';
import { claimedSenders, type Senders } from './senders.ts';
import { thawInbox } from './streams.ts';
import type { Subjects } from './subjects.ts';
import { tidyJetStream } from './tidy-jetstream.ts';

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 2_000;

export interface InboxDeps {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What senders say of themselves where absent. */
  readonly senders?: Senders;
}

export function natsInbox(deps: InboxDeps, shard: number): ShardInbox {
  return {
    async open(afterSeq, deliver) {
      const reader = new InboxReader(deps, shard, afterSeq, deliver);
      reader.start();
      return reader;
    },

    async release(seq) {
      if (seq <= 0) return;
      for (const filter of deps.subjects.wildcards.inbox(shard)) {
        await deps.jsm.streams.purge(deps.subjects.streams.inbox, { filter, seq: seq + 1 });
      }
    },
  };
}

/** The bundle that an inbox message carries; undefined where it is no mail, or none that a shard has written. */
export function mailOf(subjects: Subjects, message: InboxMessage): MailBundle | undefined {
  if (!subjects.isMail(message.subject)) return undefined;
  try {
    const bundle = decode(message.body);
    return isBundle(bundle) && message.subject.endsWith(`.${bundle.source}`) ? bundle : undefined;
  } catch {
    // No msgpack at all: whoever asks finds that its subject names no actor, and refuses it as that.
    return undefined;
  }
}

function isBundle(value: unknown): value is MailBundle {
  const bundle = value as MailBundle | null | undefined;
  return (
    typeof bundle === 'object' &&
    bundle !== null &&
    [bundle.source, bundle.index, bundle.prev].every(Number.isInteger) &&
    Array.isArray(bundle.items) &&
    bundle.items.every(
      (item) =>
        Number.isInteger(item?.n) && typeof item.mail?.to === 'string' && typeof item.mail.from === 'string',
    )
  );
}

class InboxReader {
  readonly #deps: InboxDeps;
  readonly #shard: number;
  readonly #deliver: (message: InboxMessage) => void;
  #last: number;
  #pending = 0;
  #isThawed = false;
  #closed = false;
  #stop: (() => void) | undefined;
  #resumed: PromiseWithResolvers<void> | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(deps: InboxDeps, shard: number, afterSeq: number, deliver: (message: InboxMessage) => void) {
    this.#deps = deps;
    this.#shard = shard;
    this.#last = afterSeq;
    this.#deliver = deliver;
  }

  start(): void {
    this.#running = this.#run();
    void this.#watchConnection();
  }

  pause(): void {
    this.#resumed ??= Promise.withResolvers<void>();
  }

  resume(): void {
    this.#resumed?.resolve();
    this.#resumed = undefined;
  }

  behind(): number {
    return this.#pending;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stop?.();
    this.resume();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let attempt = 0; !this.#closed; ) {
      try {
        const before = this.#last;
        await this.#read();
        attempt = this.#last > before ? 0 : attempt + 1;
      } catch (error) {
        attempt += 1;
        if (!this.#closed) {
          this.#deps.logger.warn(
            { shard: this.#shard, attempt, error: (error as Error).message },
            'inbox_reopened',
          );
        }
      }
      if (this.#closed) return;
      const delayMs = Math.min(RETRY_FIRST_MS * 2 ** Math.min(attempt, 10), RETRY_MAX_MS);
      await new Promise<void>((resolve) => this.#deps.clock.setTimer(resolve, delayMs));
    }
  }

  /** A server that was away has forgotten the consumer. Not to wait for missed heartbeats: they take seconds. */
  async #watchConnection(): Promise<void> {
    for await (const { type } of this.#deps.nc.status()) {
      if (this.#closed) return;
      if (type === 'reconnect') this.#stop?.();
    }
  }

  /** I1: one consumer's life. */
  async #read(): Promise<void> {
    const { nc, jsm, subjects } = this.#deps;
    // A renumbering that was cut off left it frozen. None works now: whoever begins to read has just got the shard's lease.
    if (!this.#isThawed) await thawInbox(jsm, subjects);
    this.#isThawed = true;
    if (this.#closed) return;
    const consumer = await tidyJetStream(nc).consumers.get(subjects.streams.inbox, {
      filter_subjects: [...subjects.wildcards.inbox(this.#shard)],
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#last + 1,
    });
    if (this.#closed) return;
    const messages = await consumer.consume(readOptions(nc));
    this.#stop = () => messages.stop();
    // Whoever closed it meanwhile had nothing to stop yet.
    if (this.#closed) messages.stop();
    try {
      for await (const m of messages) {
        if (this.#resumed !== undefined) await this.#resumed.promise;
        if (this.#closed) return;
        if (m.seq <= this.#last) continue;
        this.#last = m.seq;
        this.#pending = m.info.pending;
        this.#deliver(messageOf(m, this.#deps.senders ?? claimedSenders));
      }
    } finally {
      messages.stop();
    }
  }
}

function messageOf(m: JsMsg, senders: Senders): InboxMessage {
  const found = readStoredHeaders(m);
  const { contentType, id, trace } = found;
  return {
    seq: m.seq,
    subject: m.subject,
    body: m.data,
    contentType,
    id,
    from: senders.ofSend(found),
    trace,
  };
}
