/**
 * JetStream whose ephemeral consumers end with their readers. The client leaves each to the server, which forgets it
 * after five minutes: a node that reads objects and watches buckets would pile up thousands, up to the server's bound.
 */
import { type JetStreamClient, type JetStreamOptions, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';

/**
 * How long those wait for an answer that do not ask again: through the election of a stream's leader after a crash, which
 * takes up to 7.2 s, and on a machine with next to no time for it.
 */
export const JETSTREAM_TIMEOUT_MS = 15_000;

/** A consumer that was made only to be looked at (a bucket without keys) goes after this. */
const UNREAD_MS = 5_000;

interface Reader {
  // biome-ignore lint/suspicious/noExplicitAny: pull and push consumers differ in what they take and give.
  consume(options?: any): Promise<{ closed(): Promise<unknown> }>;
  delete(): Promise<boolean>;
}

export function tidyJetStream(nc: NatsConnection, options?: JetStreamOptions): JetStreamClient {
  const js = jetstream(nc, options);
  const { consumers } = js;
  const get = consumers.get.bind(consumers);
  const getPush = consumers.getPushConsumer.bind(consumers);
  // The client's own object: stores and watches are built on it and reach these two through it.
  consumers.get = async (stream, wanted) => {
    const consumer = await get(stream, wanted);
    // One that has a name outlives its readers.
    if (typeof wanted !== 'string') tidy(consumer);
    return consumer;
  };
  consumers.getPushConsumer = async (stream, wanted) => {
    const consumer = await getPush(stream, wanted);
    if (typeof wanted !== 'string') tidy(consumer);
    return consumer;
  };
  return js;
}

function tidy(consumer: Reader): void {
  // It may be gone already, or the connection: the server forgets it by itself then.
  const drop = (): void => void consumer.delete().catch(() => undefined);
  const unread = setTimeout(drop, UNREAD_MS);
  unread.unref();
  const consume = consumer.consume.bind(consumer);
  consumer.consume = async (options) => {
    clearTimeout(unread);
    const reading = await consume(options);
    void reading.closed().then(drop);
    return reading;
  };
}
