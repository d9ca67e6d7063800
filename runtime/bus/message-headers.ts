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
  /**
   * What the server says of the sender: the last header of its name. Senders can write it where no server does.
   * `UNREADABLE` where it cannot be told from what the sender wrote.
   */
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
const INFO_BEGIN = `${INFO}:`;
/** No word of a server. */
const UNREADABLE = '';

/** Where the client keeps a message's bytes: header block first, `hdr` bytes long, −1 without. Pinned with its version. */
interface RawMessage {
  readonly _msg?: { readonly hdr?: number };
  readonly _rdata?: Uint8Array;
}

type Found = { -readonly [K in keyof MessageHeaders]: MessageHeaders[K] };

/**
 * The first value of each header, but for `info`; names are compared without case.
 *
 * The server looks at no header before it adds its own, last in the block: behind an empty line, or at the end of a
 * sender's line that has none. So an empty line ends nothing here, and a server's word that begins within a line is
 * unreadable: whoever reads on from there could take a sender's text for it.
 */
export function readHeaders(m: Msg): MessageHeaders {
  const { _msg, _rdata } = m as unknown as RawMessage;
  if (_msg?.hdr === undefined || _rdata === undefined) return readSlowly(m);
  if (_msg.hdr <= 0) return NONE;
  const text = Buffer.from(_rdata.buffer, _rdata.byteOffset, _msg.hdr).toString();
  const found: Found = { ...NONE };
  let last = 0;
  let colon = -1;
  // The first line is the version and, for messages of the server, a status.
  for (let at = endOfLine(text, 0) + 2; at < text.length; ) {
    const end = endOfLine(text, at);
    if (end > at) last = at;
    // Looked for once, however many lines have none.
    if (colon < at) colon = indexOrEnd(text, ':', at);
    if (colon > at && colon < end) {
      const key = keyOf(text, at, colon);
      if (key === 'info') found.info = text.slice(colon + 1, end).trim();
      else if (key !== undefined) found[key] ??= text.slice(colon + 1, end).trim() || undefined;
    }
    at = end + 2;
  }
  const info = text.indexOf(INFO_BEGIN, last);
  if (info >= 0 && (info > last || last === 0)) found.info = UNREADABLE;
  return found;
}

function endOfLine(text: string, at: number): number {
  return indexOrEnd(text, '\r\n', at);
}

function indexOrEnd(text: string, what: string, at: number): number {
  const index = text.indexOf(what, at);
  return index < 0 ? text.length : index;
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
  let headers: Msg['headers'];
  try {
    headers = m.headers;
  } catch {
    // What cannot be read says nothing, not even that no server added to it; the body still counts.
    return { ...NONE, info: UNREADABLE };
  }
  if (headers === undefined) return NONE;
  const texts = [headers.description, ...[...headers].flatMap(([, values]) => values)];
  return {
    contentType: headers.get('Content-Type') || undefined,
    id: headers.get('Nats-Msg-Id') || undefined,
    from: headers.get('If-From') || undefined,
    trace: headers.get('traceparent') || undefined,
    info: texts.some((text) => text.includes(INFO_BEGIN))
      ? UNREADABLE
      : headers.values(INFO, Match.Exact).at(-1),
  };
}
