/** Live events as an async iterator with a bounded buffer. Not stored: what a watcher misses is in the log. */
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import type { LiveEvent, WatchOptions } from './types.ts';

export const WATCH_BUFFER_MAX = 1_024;

/** Ends when the signal aborts, the loop breaks, or the connection closes. */
export async function* watchSubject(
  nc: NatsConnection,
  subject: string,
  read: (message: Msg) => Omit<LiveEvent, 'missed'> | undefined,
  { bufferMax = WATCH_BUFFER_MAX, signal }: WatchOptions,
): AsyncGenerator<LiveEvent, void, undefined> {
  const buffer: Omit<LiveEvent, 'missed'>[] = [];
  let missed = 0;
  let ended = signal?.aborted === true;
  let wake: (() => void) | undefined;
  const end = (): void => {
    ended = true;
    wake?.();
  };
  const subscription = nc.subscribe(subject, {
    callback: (error, message) => {
      if (error !== null) return end();
      const event = read(message);
      if (event === undefined) return;
      if (buffer.length >= bufferMax) {
        buffer.shift();
        missed += 1;
      }
      buffer.push(event);
      wake?.();
    },
  });
  void subscription.closed.then(end);
  signal?.addEventListener('abort', end, { once: true });
  try {
    while (!ended) {
      const event = buffer.shift();
      if (event !== undefined) {
        const dropped = missed;
        missed = 0;
        yield { ...event, missed: dropped };
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    }
  } finally {
    signal?.removeEventListener('abort', end);
    if (!nc.isClosed()) subscription.unsubscribe();
  }
}
