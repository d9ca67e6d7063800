/**
 * Asks of one client to one shard in one message. A client whose callers ask at the same moment sends their asks
 * together, and a node answers those of one commit together: a message costs sender, server and receiver several
 * times what an ask in it does.
 *
 * B1  Each ask of a batch is an ask like any other: own message id, own door, own answer; a bad one costs the others
 *     nothing.
 * B2  All asks of a batch are to the actor type that its subject names, so that a permission on subjects holds.
 * B3  Every ask gets exactly one answer. Those that are ready at the same moment leave in one message.
 */
import { headers, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { encodeRefusal } from '#runtime/edge/replies';
import type { Ask, Encoded, Logger } from '#runtime/shard/ports';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { decodeJson } from './codec.ts';
import { busErrors } from './errors.ts';
import { readHeaders } from './message-headers.ts';
import { claimedSenders, type Senders } from './senders.ts';
import { addressOfTail, type Subjects } from './subjects.ts';

/** Asks in one message: as many as a commit likes to have. */
export const BATCH_ASKS_MAX = 512;
/** Bytes of a batch: larger ones only delay who waits for the first answer. */
export const BATCH_BYTES_MAX = 64 * 1024;
/** Answers that leave together, characters; fewer where the server takes only small messages. */
const ANSWERS_CHARS_MAX = 256 * 1024;
/** Bytes of a character at most. */
const CHAR_BYTES_MAX = 3;
/** Whoever asked has asked again by then. */
const RELAY_TIMEOUT_MS = 5_000;
/** Around an answer: its brackets and its place. */
const PLACE_CHARS = 8;

/** `[<type>.<id>, message id, event]`, and a traceparent where there is one. */
type Row = readonly [target: string, id: string, event: unknown, trace?: string];

/** The asks of a batch. Throws `bad_batch` where the message is none; nothing of it was taken then. */
export function asksOf(
  m: Msg,
  nc: NatsConnection,
  subjects: Subjects,
  logger: Logger,
  senders: Senders = claimedSenders,
): readonly Ask[] {
  const found = readHeaders(m);
  const { contentType } = found;
  const from = senders.ofAsk(found);
  if (m.data.byteLength > BATCH_BYTES_MAX) throw bad(`has ${m.data.byteLength} bytes`);
  if (contentType !== undefined && !contentType.startsWith('application/json')) throw bad('is not JSON');
  const rows = decodeJson(m.data);
  if (!Array.isArray(rows) || rows.length === 0 || rows.length > BATCH_ASKS_MAX) {
    throw bad(`is no list of 1 to ${BATCH_ASKS_MAX} asks`);
  }
  const type = `${m.subject.slice(m.subject.lastIndexOf('.') + 1)}.`;
  if (!rows.every((row) => isRow(row, type))) throw bad('holds what is no ask of its actor type');
  const answers = new Answers(nc, m, subjects, logger);
  const bytes = Math.ceil(m.data.byteLength / rows.length);
  return rows.map((row: Row, n) => new BatchedAsk(row, n, bytes, from, answers));
}

/** B2: of a target only the last two tokens count as an address, so more than two could name another type. */
function isRow(row: unknown, type: string): row is Row {
  if (!Array.isArray(row) || row.length < 3 || row.length > 4) return false;
  const [target, id, , trace] = row as unknown[];
  return (
    typeof target === 'string' &&
    target.startsWith(type) &&
    !target.includes('.', type.length) &&
    typeof id === 'string' &&
    id !== '' &&
    (trace === undefined || typeof trace === 'string')
  );
}

/** Of an answer of that length that no connection would carry. */
export function replyTooBig(length: number): FabricError {
  const message = `The answer of ${length} characters is above what the server takes`;
  return new FabricError(busErrors.reply_too_big, message);
}

function refusalText(error: FabricError): string {
  const refusal = encodeRefusal(error.toWire(), undefined);
  return typeof refusal === 'string' ? refusal : Buffer.from(refusal).toString();
}

function bad(why: string): FabricError {
  return new FabricError(busErrors.bad_batch, `The batch of asks ${why}`);
}

class BatchedAsk implements Ask {
  readonly subject: string;
  readonly id: string;
  readonly from: string | undefined;
  readonly trace: string | undefined;
  readonly contentType = undefined;
  readonly value: unknown;
  readonly bodyBytes: number;
  readonly #n: number;
  readonly #answers: Answers;

  constructor(
    [target, id, event, trace]: Row,
    n: number,
    bytes: number,
    from: string | undefined,
    answers: Answers,
  ) {
    this.subject = target;
    this.id = id;
    this.value = event;
    this.trace = trace;
    this.from = from;
    this.bodyBytes = bytes;
    this.#n = n;
    this.#answers = answers;
  }

  /** Only who is refused needs it: what an ask of its own would have brought, or all of the batch where that has no end. */
  get body(): Uint8Array {
    try {
      return Buffer.from(JSON.stringify(this.value));
    } catch {
      // Nested so deep that writing it exhausts the stack.
      return this.#answers.batch;
    }
  }

  respond(body: Encoded): void {
    this.#answers.add(this.#n, body);
  }

  /** As an ask of its own, whose answer comes back here: a batch is answered by place. */
  handOn(): void {
    void this.#answers.relay(this).then((body) => this.respond(body));
  }
}

/** B3: `[[n, answer], …]` */
class Answers {
  readonly #nc: NatsConnection;
  readonly #message: Msg;
  readonly #subjects: Subjects;
  readonly #logger: Logger;
  readonly #charsMax: number;
  #text = '';

  constructor(nc: NatsConnection, message: Msg, subjects: Subjects, logger: Logger) {
    this.#nc = nc;
    this.#subjects = subjects;
    // One answer too many would cost all of them.
    this.#charsMax = Math.min(
      ANSWERS_CHARS_MAX,
      Math.floor((nc.info?.max_payload ?? Number.POSITIVE_INFINITY) / CHAR_BYTES_MAX),
    );
    this.#message = message;
    this.#logger = logger;
  }

  /** The message that brought the asks. */
  get batch(): Uint8Array {
    return this.#message.data;
  }

  /** The answer of whoever owns the shard by now, or a refusal: who asked asks again under the same id then. */
  async relay({ subject, id, from, trace, body }: BatchedAsk): Promise<Encoded> {
    try {
      const hdrs = headers();
      hdrs.set('Nats-Msg-Id', id);
      if (from !== undefined) hdrs.set('If-From', from);
      if (trace !== undefined) hdrs.set('traceparent', trace);
      const to = this.#subjects.askShard(addressOfTail(subject));
      return (await this.#nc.request(to, body, { headers: hdrs, timeout: RELAY_TIMEOUT_MS })).data;
    } catch (cause) {
      const error = new FabricError(busErrors.not_handed_on, 'The next owner of the shard did not answer', {
        cause,
      });
      return encodeRefusal(error.toWire(), undefined);
    }
  }

  add(n: number, body: Encoded): void {
    const given = typeof body === 'string' ? body : Buffer.from(body).toString();
    const answer = this.#fits(given) ? given : refusalText(replyTooBig(given.length));
    if (this.#text === '') queueMicrotask(() => this.#flush());
    else if (this.#text.length + answer.length + PLACE_CHARS > this.#charsMax) {
      this.#publish();
      queueMicrotask(() => this.#flush());
    }
    this.#text += this.#text === '' ? `[[${n},${answer}]` : `,[${n},${answer}]`;
  }

  /** On its own, at least. */
  #fits(answer: string): boolean {
    if (answer.length <= this.#charsMax) return true;
    const bytesMax = this.#nc.info?.max_payload ?? Number.POSITIVE_INFINITY;
    return Buffer.byteLength(answer) + PLACE_CHARS <= bytesMax;
  }

  #flush(): void {
    if (this.#text !== '') this.#publish();
  }

  /** What is stored stays stored: who hears nothing asks again and gets the answer from the log. */
  #publish(): void {
    const text = `${this.#text}]`;
    this.#text = '';
    const { reply } = this.#message;
    if (reply === undefined || reply === '') return;
    try {
      this.#nc.publish(reply, Buffer.from(text));
    } catch (thrown) {
      this.#logger.error({ error: toWireError(thrown), chars: text.length }, 'answers_failed');
    }
  }
}
