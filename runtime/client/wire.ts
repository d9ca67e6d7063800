/** Bodies and headers as the client writes and reads them. No Node imports: this runs in browsers. */
import { MsgHdrsImpl } from '@nats-io/nats-core';
import { Packr } from 'msgpackr';
import { FabricError } from '#schemas/fabric-error';
import { clientErrors } from './errors.ts';

const packr = new Packr({ useRecords: false });
const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();
const OPENING_BRACE = 0x7b;
const OPENING_BRACKET = 0x5b;
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?$/;

export type Encoding = 'json' | 'msgpack';

/** A body that is ready to leave, alone or (as text) with others. */
export type EncodedBody = string | Uint8Array;

/** Throws `body_not_encodable`. */
export function encodeBody(value: unknown, encoding: Encoding): EncodedBody {
  try {
    // JSON.stringify gives undefined for undefined, which its type does not say.
    return encoding === 'msgpack'
      ? packr.pack(value)
      : ((JSON.stringify(value) as string | undefined) ?? 'null');
  } catch (cause) {
    throw new FabricError(clientErrors.body_not_encodable, `The body cannot be sent: ${String(cause)}`, {
      cause,
    });
  }
}

export function encodeText(body: EncodedBody): Uint8Array {
  return typeof body === 'string' ? textEncoder.encode(body) : body;
}

/** Reads an object or a list of either encoding; no msgpack one begins with the byte of a JSON one. Throws on garbage. */
export function decodeBody(bytes: Uint8Array): unknown {
  if (bytes[0] === OPENING_BRACE || bytes[0] === OPENING_BRACKET)
    return JSON.parse(textDecoder.decode(bytes));
  return packr.unpack(bytes);
}

/** Headers in their wire form: the client sends the same few with every message. */
export class RawHeaders extends MsgHdrsImpl {
  readonly #bytes: Uint8Array;

  constructor(text: string) {
    super();
    this.#bytes = textEncoder.encode(text);
  }

  override encode(): Uint8Array {
    return this.#bytes;
  }
}

/** The part of the headers that is the same for every message of a client. */
export function headerHead(encoding: Encoding, from: string): string {
  return `NATS/1.0\r\nContent-Type: application/${encoding}\r\nIf-From: ${headerValue(from)}\r\nNats-Msg-Id: `;
}

/** Headers of a batch: its rows carry the ids. */
export function batchHeaders(encoding: Encoding, from: string): RawHeaders {
  return new RawHeaders(
    `NATS/1.0\r\nContent-Type: application/${encoding}\r\nIf-From: ${headerValue(from)}\r\n\r\n`,
  );
}

export function headersOf(head: string, id: string, traceparent: string | undefined): RawHeaders {
  const trace = traceparent === undefined ? '' : `traceparent: ${headerValue(traceparent)}\r\n`;
  return new RawHeaders(`${head}${id}\r\n${trace}\r\n`);
}

/** A header value that cannot begin another header. Throws `bad_message_id`. */
export function headerValue(text: string): string {
  if (HEADER_VALUE.test(text)) return text;
  throw new FabricError(clientErrors.bad_message_id, 'The value does not fit a message header');
}
