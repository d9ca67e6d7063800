/** Server-sent events in a stream of bytes. An event is given with its bytes as they came. */

/** An event beyond this is none that is known: reading is given up, and the bytes go on as they are. */
const EVENT_BYTES_MAX = 4 * 2 ** 20;
const LF = 0x0a;
const CR = 0x0d;

export interface SseEvent {
  readonly bytes: Buffer;
  /** Lines of `data`, joined; undefined where there is none. */
  readonly data: string | undefined;
}

export class EventSplitter {
  #rest: Buffer[] = [];
  #restBytes = 0;
  #isLost = false;

  /** True once an event was too big to be one. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** The events that are complete with this. */
  push(chunk: Buffer): SseEvent[] {
    if (this.#isLost) return [{ bytes: chunk, data: undefined }];
    const held = this.#rest.length === 0 ? chunk : Buffer.concat([...this.#rest, chunk]);
    // Three bytes back an end may have begun.
    let from = Math.max(0, this.#restBytes - 3);
    const events: SseEvent[] = [];
    let begin = 0;
    for (let end = eventEnd(held, from); end !== -1; end = eventEnd(held, from)) {
      events.push(eventOf(held.subarray(begin, end)));
      begin = end;
      from = end;
    }
    const rest = held.subarray(begin);
    this.#isLost = rest.byteLength > EVENT_BYTES_MAX;
    if (this.#isLost) return [...events, ...this.#cleared(rest)];
    this.#rest = rest.byteLength === 0 ? [] : [rest];
    this.#restBytes = rest.byteLength;
    return events;
  }

  /** What came behind the last whole event. */
  end(): SseEvent[] {
    return this.#cleared(Buffer.concat(this.#rest));
  }

  #cleared(rest: Buffer): SseEvent[] {
    this.#rest = [];
    this.#restBytes = 0;
    return rest.byteLength === 0 ? [] : [eventOf(rest)];
  }
}

/** Behind the empty line that ends an event; -1 where none does. */
function eventEnd(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.byteLength; at += 1) {
    const byte = bytes[at];
    if (byte !== LF && byte !== CR) continue;
    const line = byte === CR && bytes[at + 1] === LF ? at + 2 : at + 1;
    const next = bytes[line];
    if (next === LF) return line + 1;
    // A lone CR may be the first half of a CRLF that is still under way.
    if (next === CR && line + 1 < bytes.byteLength) return bytes[line + 1] === LF ? line + 2 : line + 1;
  }
  return -1;
}

function eventOf(bytes: Buffer): SseEvent {
  const data: string[] = [];
  for (const line of bytes.toString('utf8').split(/\r\n|\n|\r/)) {
    if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
  }
  return { bytes, data: data.length === 0 ? undefined : data.join('\n') };
}
