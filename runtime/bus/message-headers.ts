/**
 * The few headers that the fabric reads, straight from a message's bytes. The client's own parser makes a map of
 * lists and checks every key and value, 2.2 µs a message where this takes 0.7: every ask pays it. It also throws for
 * values that a server lets pass (a bare line feed), and nobody may lose a message by them.
 */
import type { JsMsg } from '@nats-io/jetstream';
import { Match, type Msg } from '@nats-io/nats-core';

export interface MessageHeaders {
  readonly contentType: string | undefined;
  readonly id: string | undefined;
  readonly from: string | undefined;
  readonly trace: string | undefined;
  /** What the server says of the sender: the last header of its name. Senders can write it where no server does. */
  readonly info: string | undefined;
}

const NONE: MessageHeaders = {
  contentType: undefined,
  id: undefined,
  from: undefined,
  trace: undefined,
  info: undefined,
};
/** In exactly this spelling: the server takes out no other. */
const INFO = 'Nats-Request-Info';

/** Where the client keeps a message's bytes: header block first, `hdr` bytes long, −1 without. Pinned with its version. */
interface RawMessage {
  readonly _msg?: { readonly hdr?: number };
  readonly _rdata?: Uint8Array;
}

type Found = { -readonly [K in keyof MessageHeaders]: MessageHeaders[K] };

/** The first value of each header, but for `info`; names are compared without case. */
export function readHeaders(m: Msg): MessageHeaders {
  const { _msg, _rdata } = m as unknown as RawMessage;
  if (_msg?.hdr === undefined || _rdata === undefined) return readSlowly(m);
  if (_msg.hdr <= 0) return NONE;
  const text = Buffer.from(_rdata.buffer, _rdata.byteOffset, _msg.hdr).toString();
  const found: Found = { ...NONE };
  // The first line is the version and, for messages of the server, a status.
  for (let at = text.indexOf('\r\n') + 2; at > 1 && at < text.length; ) {
    const end = text.indexOf('\r\n', at);
    if (end <= at) break;
    const colon = text.indexOf(':', at);
    if (colon > at && colon < end) {
      const key = keyOf(text, at, colon);
      if (key === 'info') found.info = text.slice(colon + 1, end).trim();
      else if (key !== undefined) found[key] ??= text.slice(colon + 1, end).trim() || undefined;
    }
    at = end + 2;
  }
  return found;
}

/** The same of a message from a stream: the client wraps the one that came. */
export function readStoredHeaders(m: JsMsg): MessageHeaders {
  const { msg } = m as unknown as { readonly msg?: Msg };
  return readHeaders(msg ?? (m as unknown as Msg));
}

/** Most lines are told apart by the length of their name, without a copy. */
function keyOf(text: string, at: number, colon: number): keyof MessageHeaders | undefined {
  switch (colon - at) {
    case 7:
      return isName('if-from', text, at, colon) ? 'from' : undefined;
    case 11:
      if (isName('nats-msg-id', text, at, colon)) return 'id';
      return isName('traceparent', text, at, colon) ? 'trace' : undefined;
    case 12:
      return isName('content-type', text, at, colon) ? 'contentType' : undefined;
    case 17:
      return text.startsWith(INFO, at) ? 'info' : undefined;
    default:
      return undefined;
  }
}

function isName(name: string, text: string, at: number, colon: number): boolean {
  return text.slice(at, colon).toLowerCase() === name;
}

function readSlowly(m: Msg): MessageHeaders {
  const headers = parsed(m);
  if (headers === undefined) return NONE;
  return {
    contentType: headers.get('Content-Type') || undefined,
    id: headers.get('Nats-Msg-Id') || undefined,
    from: headers.get('If-From') || undefined,
    trace: headers.get('traceparent') || undefined,
    info: headers.values(INFO, Match.Exact).at(-1),
  };
}

function parsed(m: Msg): Msg['headers'] {
  try {
    return m.headers;
  } catch {
    // What cannot be read says nothing; the body still counts.
    return undefined;
  }
}
