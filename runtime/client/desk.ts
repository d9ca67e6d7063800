/**
 * Requests without an answer yet. One inbox subscription and one coarse timer for all of them: an ask costs a map
 * entry, not a subscription and a timer. Requests made at the same moment for the same batch subject leave as one
 * message; further attempts go alone.
 *
 * D1  Every attempt of a request carries the same message id, so that whichever answer comes first is the answer.
 * D2  Every request ends: with an answer, an error, or at its deadline.
 * D3  The number of open requests is bounded.
 * D4  What is sent again is sent a few at a time: who is slow is not buried under what he has already.
 * D5  Who meets nobody asks through any node next, now and then: it may know better, or say why nobody is there. From
 *     there it goes straight again soon: what a node hands on to one who has gone is lost without a word.
 * D6  What an owner refuses as another shard's was not done. It goes through any node from then on, which knows the number
 *     of shards: another one than the client's, which hears that it went astray.
 */
import { errors, type Msg, type MsgHdrs, type NatsConnection, type Subscription } from '@nats-io/nats-core';
import { ownInbox } from '#runtime/bus/own-inbox';
import { RetryTime } from '#runtime/bus/retry-time';
import { shardErrors } from '#runtime/shard/errors';
import { FabricError } from '#schemas/fabric-error';
import { backoffMs } from './backoff.ts';
import { Batches, ROW_CHARS_MAX } from './batches.ts';
import { clientErrors } from './errors.ts';
import { decodeBody, encodeText } from './wire.ts';

/** Precision of deadlines and retries. */
const TICK_MS = 10;
/** D4: attempts after the first in one tick. */
const AGAIN_PER_TICK_MAX = 64;
const NO_RESPONDERS = 503;
/** D5. Of the attempts that meet nobody, and how long such an answer is waited for. */
const ANY_NODE_EVERY = 8;
const ANY_NODE_MS_MAX = 250;
/** Begins the token of a batch; those of single requests are numbers in lower case. */
const BATCH_MARK = 'B';

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: FabricError };

/** The subjects that a request may take. */
export interface Ways {
  /** To whom it is for. */
  readonly straight: string;
  /** Through any node: one that knows better who it is for, or says why nobody takes it. */
  readonly anyNode: string;
}

export interface Request<T> {
  readonly subjects: Ways;
  /** The message of an attempt that goes alone. May throw: the request then fails with it. */
  readonly message: () => { readonly body: Uint8Array; readonly headers: MsgHdrs };
  /** Where and as what its first attempt may go with others; `row` is JSON text. */
  readonly batch: { readonly subject: string; readonly row: string; readonly headers: MsgHdrs } | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** May throw: the answer is then a `bad_answer`. */
  readonly read: (body: unknown) => Outcome<T>;
}

/** One request without an answer yet: a record, not a handful of function objects. */
interface Open {
  readonly token: string;
  readonly request: Request<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: FabricError) => void;
  readonly startedAt: number;
  readonly deadline: number;
  /** When the next attempt is due. */
  attemptAt: number;
  attempts: number;
  /** Which way the last attempt took. */
  way: keyof Ways;
  /** Where it goes straight: through any node too, once it went astray (D6). */
  straight: string;
  /** The last attempt met nobody. */
  isUnheard: boolean;
  lastError: FabricError | undefined;
  /** Attempts that met nobody: what nobody heard was not done. */
  unheard: number;
  /** Listens on the caller's signal, where there is one. */
  onAbort: (() => void) | undefined;
  /** The batch it left in, and its place there. */
  sent: Sent | undefined;
  place: number;
}

/** A batch on its way: kept while one of its requests waits, and of the others nothing (D3). */
interface Sent {
  readonly token: string;
  readonly opens: (Open | undefined)[];
  left: number;
}

export interface DeskOptions {
  readonly outstandingMax: number;
  /** The longest that an attempt waits for its answer. */
  readonly attemptMs: number;
  readonly batching: boolean;
  /** D6, D5: the way straight was the wrong one, or any node knew a better one. Called for each such request. */
  readonly astray: () => void;
}

export class RequestDesk {
  readonly #nc: NatsConnection;
  readonly #options: DeskOptions;
  readonly #inbox: string;
  readonly #open = new Map<string, Open>();
  readonly #sent = new Map<string, Sent>();
  readonly #batches = new Batches<Open>((subject, rows, opens) => this.#publishBatch(subject, rows, opens));
  readonly #subscription: Subscription;
  readonly #retryTime: RetryTime;
  /** False where it is not wanted, and once the server refused a batch: this connection may not. */
  #mayBatch: boolean;
  #next = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(nc: NatsConnection, options: DeskOptions) {
    this.#nc = nc;
    this.#inbox = ownInbox(nc);
    this.#options = options;
    this.#retryTime = new RetryTime(options.attemptMs);
    this.#mayBatch = options.batching;
    const tokenAt = this.#inbox.length + 1;
    this.#subscription = nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) return;
        const token = message.subject.slice(tokenAt);
        if (token.startsWith(BATCH_MARK)) this.#receiveBatch(token, message);
        else {
          const open = this.#open.get(token);
          if (open !== undefined) this.#settle(open, readMessage(open.request, message));
        }
      },
    });
    void this.#watchConnection();
  }

  /** Requests without an answer yet. */
  get outstanding(): number {
    return this.#open.size;
  }

  /** Batches of which somebody waits for an answer. */
  get batchesOut(): number {
    return this.#sent.size;
  }

  /** Publishes until answered. Rejects with a {@link FabricError}. */
  request<T>(request: Request<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) {
        return reject(new FabricError(clientErrors.client_closed, 'The client is closed'));
      }
      if (this.#open.size >= this.#options.outstandingMax) {
        return reject(
          new FabricError(clientErrors.too_many_asks, `${this.#open.size} requests await an answer`),
        );
      }
      const { signal } = request;
      if (signal?.aborted === true) return reject(aborted(signal));
      const now = performance.now();
      const open: Open = {
        token: (this.#next++).toString(36),
        request,
        resolve,
        reject,
        startedAt: now,
        deadline: now + request.timeoutMs,
        attemptAt: now + this.#retryTime.afterMs(1),
        attempts: 1,
        way: 'straight',
        straight: request.subjects.straight,
        isUnheard: false,
        lastError: undefined,
        unheard: 0,
        onAbort: undefined,
        sent: undefined,
        place: 0,
      };
      if (signal !== undefined) {
        open.onAbort = () => this.#fail(open, aborted(signal));
        signal.addEventListener('abort', open.onAbort, { once: true });
      }
      this.#open.set(open.token, open);
      this.#first(open);
      this.#arm();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const open of [...this.#open.values()]) {
      this.#fail(
        open,
        new FabricError(clientErrors.client_closed, 'The client closed before an answer came'),
      );
    }
    if (!this.#nc.isClosed()) this.#subscription.unsubscribe();
  }

  /** The first attempt, in company where there is some. */
  #first(open: Open): void {
    const { batch } = open.request;
    if (batch === undefined || !this.#mayBatch) this.#attempt(open);
    else if (batch.row.length <= ROW_CHARS_MAX) this.#batches.add(batch.subject, batch.row, open);
    else {
      // Requests to one actor leave in the order they were made.
      this.#batches.flush(batch.subject);
      this.#attempt(open);
    }
  }

  #publishBatch(subject: string, rows: readonly string[], opens: readonly Open[]): void {
    const [first] = opens;
    if (first === undefined || this.#closed) return;
    if (opens.length === 1) {
      this.#attempt(first);
      return;
    }
    const token = `${BATCH_MARK}${(this.#next++).toString(36)}`;
    try {
      this.#nc.publish(subject, encodeText(`[${rows.join()}]`), {
        reply: `${this.#inbox}.${token}`,
        ...(first.request.batch !== undefined && { headers: first.request.batch.headers }),
      });
    } catch {
      // More than the server takes in one message: each goes alone then, or says why it cannot.
      for (const open of opens) if (this.#open.has(open.token)) this.#attempt(open);
      return;
    }
    this.#track(token, opens);
  }

  #track(token: string, opens: readonly Open[]): void {
    const sent: Sent = { token, opens: [...opens], left: 0 };
    for (const [place, open] of opens.entries()) {
      // Its caller gave up while it waited for the others.
      if (!this.#open.has(open.token)) {
        sent.opens[place] = undefined;
        continue;
      }
      open.sent = sent;
      open.place = place;
      sent.left += 1;
    }
    if (sent.left > 0) this.#sent.set(token, sent);
  }

  /** Answers to requests of a batch, by their place in it; or one refusal of it all. */
  #receiveBatch(token: string, message: Msg): void {
    const sent = this.#sent.get(token);
    if (sent === undefined) return;
    const answers = answersOf(message);
    if (answers === undefined) {
      this.#sent.delete(token);
      for (const open of sent.opens) if (open !== undefined) this.#settleRefused(open, message);
      return;
    }
    for (const [n, body] of answers) {
      const open = sent.opens[n];
      if (open !== undefined) this.#settle(open, readBody(open.request, body));
    }
  }

  /** A batch that nobody took: nobody is there, or nobody who knows batches. Each goes alone then. */
  #settleRefused(open: Open, message: Msg): void {
    const outcome = readMessage(open.request, message);
    if (!outcome.ok && outcome.error.code === clientErrors.nobody_answers.code) this.#settle(open, outcome);
    else open.attemptAt = 0;
  }

  /**
   * What was under way when the connection was lost may never be answered on the next one: it is sent again at once. Who
   * may ask some actors only may send no batches: the server says so once, and all goes alone from then on.
   */
  async #watchConnection(): Promise<void> {
    for await (const status of this.#nc.status()) {
      if (status.type === 'reconnect') for (const open of this.#open.values()) open.attemptAt = 0;
      if (status.type !== 'error' || !(status.error instanceof errors.PermissionViolationError)) continue;
      const { operation, subject } = status.error;
      if (operation !== 'publish' || !this.#mayBatch) continue;
      const refused = [...this.#sent.values()].flatMap(({ opens }) =>
        opens.filter((open) => open !== undefined),
      );
      if (!refused.some((open) => open.request.batch?.subject === subject)) continue;
      this.#mayBatch = false;
      this.#sent.clear();
      for (const open of refused) open.attemptAt = 0;
    }
  }

  #settle(open: Open, outcome: Outcome<unknown>): void {
    if (outcome.ok) {
      if (open.attempts === 1) this.#retryTime.observe(performance.now() - open.startedAt);
      else if (open.way === 'anyNode' && mayBeAstray(open)) this.#options.astray();
      this.#finish(open);
      open.resolve(outcome.value as never);
      return;
    }
    if (outcome.error.code === shardErrors.wrong_shard.code && mayBeAstray(open)) {
      this.#redirect(open);
      return;
    }
    if (!outcome.error.retryable) {
      this.#fail(open, outcome.error);
      return;
    }
    open.lastError = outcome.error;
    const { code } = outcome.error;
    open.isUnheard = code === clientErrors.nobody_answers.code;
    if (open.isUnheard) open.unheard += 1;
    open.attemptAt = performance.now() + backoffMs(code, open.attempts, Math.random());
  }

  /** D6. At once the first time; refused again it may be a second attempt that had gone straight, or a realm at odds with itself. */
  #redirect(open: Open): void {
    const { anyNode } = open.request.subjects;
    const pauseMs = backoffMs(shardErrors.wrong_shard.code, open.attempts, Math.random());
    open.attemptAt = open.straight === anyNode ? performance.now() + pauseMs : 0;
    open.straight = anyNode;
    open.isUnheard = false;
    this.#options.astray();
  }

  #fail(open: Open, error: FabricError): void {
    this.#finish(open);
    open.reject(error);
  }

  #finish(open: Open): void {
    this.#open.delete(open.token);
    const { sent } = open;
    if (sent !== undefined) {
      open.sent = undefined;
      sent.opens[open.place] = undefined;
      sent.left -= 1;
      if (sent.left === 0) this.#sent.delete(sent.token);
    }
    if (open.onAbort !== undefined) open.request.signal?.removeEventListener('abort', open.onAbort);
  }

  #attempt(open: Open): void {
    const { request, token } = open;
    const subject = open.way === 'straight' ? open.straight : request.subjects.anyNode;
    try {
      const { body, headers } = request.message();
      this.#nc.publish(subject, body, { reply: `${this.#inbox}.${token}`, headers });
    } catch (cause) {
      this.#fail(open, cause instanceof FabricError ? cause : this.#unpublished(cause));
    }
  }

  #unpublished(cause: unknown): FabricError {
    const closed = this.#nc.isClosed() || this.#nc.isDraining();
    const kind = closed ? clientErrors.client_closed : clientErrors.body_not_encodable;
    return new FabricError(kind, `The request cannot be published: ${String(cause)}`, { cause });
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#closed) return;
    if (this.#open.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tick(performance.now());
      this.#arm();
    }, TICK_MS);
  }

  #again(open: Open, now: number): void {
    open.way = nextWay(open);
    open.isUnheard = false;
    open.attempts += 1;
    const waitMs = this.#retryTime.afterMs(open.attempts);
    open.attemptAt = now + (open.way === 'anyNode' ? Math.min(waitMs, ANY_NODE_MS_MAX) : waitMs);
    this.#attempt(open);
  }

  #tick(now: number): void {
    let again = 0;
    for (const open of this.#open.values()) {
      if (now >= open.deadline) this.#fail(open, timedOut(open, now));
      else if (now >= open.attemptAt && again < AGAIN_PER_TICK_MAX) {
        again += 1;
        this.#again(open, now);
      }
    }
  }
}

/** D5: which way the next attempt takes. */
function nextWay({ way, isUnheard, unheard }: Open): keyof Ways {
  return isUnheard && way === 'straight' && unheard % ANY_NODE_EVERY === 1 ? 'anyNode' : 'straight';
}

/** It knew a way of its own, which is for one number of shards only. */
function mayBeAstray({ request: { subjects } }: Open): boolean {
  return subjects.straight !== subjects.anyNode;
}

function readMessage<T>(request: Request<T>, message: Msg): Outcome<T> {
  if (isUnheard(message)) {
    const error = new FabricError(
      clientErrors.nobody_answers,
      `Nobody answers on ${request.subjects.straight}`,
      {
        details: { subject: request.subjects.straight },
      },
    );
    return { ok: false, error };
  }
  let body: unknown;
  try {
    body = decodeBody(message.data);
  } catch (cause) {
    return badAnswer(request, cause);
  }
  return readBody(request, body);
}

function readBody<T>(request: Request<T>, body: unknown): Outcome<T> {
  try {
    return request.read(body);
  } catch (cause) {
    return badAnswer(request, cause);
  }
}

function badAnswer<T>(request: Request<T>, cause: unknown): Outcome<T> {
  const message = `${request.subjects.straight} was answered with something else`;
  return { ok: false, error: new FabricError(clientErrors.bad_answer, message, { cause }) };
}

function isUnheard(message: Msg): boolean {
  return message.data.byteLength === 0 && message.headers?.code === NO_RESPONDERS;
}

/** `[[n, answer], …]`; undefined for anything else. */
function answersOf(message: Msg): readonly (readonly [number, unknown])[] | undefined {
  if (message.data.byteLength === 0) return undefined;
  try {
    const body = decodeBody(message.data);
    return Array.isArray(body) && body.every(Array.isArray) ? (body as [number, unknown][]) : undefined;
  } catch {
    // Each goes alone then, and says what is wrong.
    return undefined;
  }
}

/** The last refusal says more than that time ran out, unless an earlier attempt may still have been heard. */
function timedOut(open: Open, now: number): FabricError {
  const { lastError } = open;
  const maybeHeard = lastError?.code === clientErrors.nobody_answers.code && open.unheard < open.attempts;
  if (lastError !== undefined && !maybeHeard) return lastError;
  const waitedMs = Math.round(now - open.startedAt);
  return new FabricError(clientErrors.ask_timeout, `No answer within ${waitedMs} ms`, {
    details: { waitedMs, attempts: open.attempts },
  });
}

function aborted(signal: AbortSignal | undefined): FabricError {
  return new FabricError(clientErrors.ask_aborted, 'The caller gave up', { cause: signal?.reason });
}
