/**
 * What marks a live event. Whoever asks says where the answer goes, and in an account that many share that may be the
 * subject of an event; but an answer never carries this header.
 */
import { headers, type Msg, type MsgHdrs } from '@nats-io/nats-core';

const EVENT_HEADER = 'If-Event';

/** Of every message that is a live event. */
export function eventHeaders(): MsgHdrs {
  const hdrs = headers();
  hdrs.set(EVENT_HEADER, '1');
  return hdrs;
}

/** False for somebody's answer that was sent to the subject of an event. */
export function isLiveEvent(message: Msg): boolean {
  return message.headers?.has(EVENT_HEADER) === true;
}
