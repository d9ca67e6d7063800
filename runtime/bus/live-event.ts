/**
 * Live events: what marks one, how one is read, how they are listened to.
 *
 * L1  Whoever asks says where the answer goes, and in an account that many share that may be the subject of an event. An
 *     answer never carries the header of an event: what lacks it is none.
 * L2  An error that leaves the callback of a subscription ends the reader of the whole connection: no answer comes any more.
 *     So nothing that is sent, and nothing that a listener does, throws there.
 */
import { headers, type Msg, type MsgHdrs, type NatsConnection, type Subscription } from '@nats-io/nats-core';

const EVENT_HEADER = 'If-Event';

/** What an event says. Who may write events may write anything into them. */
export type EventBody = Readonly<Record<string, unknown>>;

/** Of every message that is a live event. */
export function eventHeaders(): MsgHdrs {
  const hdrs = headers();
  hdrs.set(EVENT_HEADER, '1');
  return hdrs;
}

/** What a live event says; undefined for what is none (L1), or is no JSON. Never throws (L2). */
export function readLiveEvent(message: Msg): unknown {
  try {
    // The client's own parser throws for headers that a server lets pass.
    return message.headers?.has(EVENT_HEADER) === true ? message.json() : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Listens to the live events of a subject. What a listener throws goes to `failed`; without it, it is an uncaught error, as
 * one of an EventTarget is (L2).
 */
export function listenToEvents(
  nc: NatsConnection,
  subject: string,
  heard: (body: EventBody) => void,
  failed: (thrown: unknown) => void = uncaught,
): Subscription {
  return nc.subscribe(subject, {
    callback: (error, message) => {
      if (error !== null) return;
      const body = readLiveEvent(message);
      if (!isBody(body)) return;
      try {
        heard(body);
      } catch (thrown) {
        failed(thrown);
      }
    },
  });
}

function isBody(body: unknown): body is EventBody {
  return typeof body === 'object' && body !== null && !Array.isArray(body);
}

function uncaught(thrown: unknown): void {
  queueMicrotask(() => {
    throw thrown;
  });
}
