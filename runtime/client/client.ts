/**
 * The client: asks, sends, watches, over one NATS connection. Runs wherever a NATS connection does; `connect` for
 * Node stands in node.ts, for browsers in browser.ts.
 */
import { type Msg, type NatsConnection, nuid } from '@nats-io/nats-core';
import type { AnyActorLogic } from 'xstate';
import { readLiveEvent } from '#runtime/bus/live-event';
import { stampMessage } from '#runtime/edge/stamp';
import { apiRequest, fromWireError, type NodeStatus } from '#runtime/node/api';
import { FabricError, type WireError } from '#schemas/fabric-error';
import type { IFMessage } from '#schemas/if-message';
import { type Outcome, type Request, RequestDesk, type Ways } from './desk.ts';
import { clientErrors } from './errors.ts';
import type { ActorHandle, EventsOf } from './handle.ts';
import { memorySequences } from './sequence.ts';
import { type ClientSubjects, clientSubjects } from './subjects.ts';
import { Turns } from './turns.ts';
import type {
  Answer,
  AskOptions,
  ClientOptions,
  EventLike,
  LiveEvent,
  MessageSigner,
  OutgoingMessage,
  Receipt,
  SequenceStore,
  WatchOptions,
} from './types.ts';
import { watchSubject } from './watch.ts';
import {
  batchHeaders,
  type EncodedBody,
  type Encoding,
  encodeBody,
  encodeText,
  headerHead,
  headersOf,
  headerValue,
  type RawHeaders,
} from './wire.ts';

/** Answers come in milliseconds; this covers a failover of the server (5 s). */
export const ASK_TIMEOUT_MS = 10_000;
export const ATTEMPT_MS = 2_000;
export const OUTSTANDING_MAX = 8_192;
/** A server that is there has heard everything within a round trip. */
const DRAIN_MS_MAX = 2_000;
/** Learning the shard count must not hold up a start: without it asks take the short form. */
const STATUS_TIMEOUT_MS = 500;
/** Actors whose subjects are kept at hand: checking and hashing an address costs as much as encoding an event. */
const ROUTES_MAX = 10_000;

/** Where asks of one actor go. */
interface Route {
  readonly subjects: Ways;
  /** Undefined while the shards are not known. */
  readonly batchSubject: string | undefined;
  /** The actor as a batch names it, `<type>.<id>`. */
  readonly target: string;
}

export class Client {
  /** Unique to this client: message ids are `<clientId>.<n>`. */
  readonly clientId = nuid.next();
  readonly connection: NatsConnection;
  /** First token of every subject. */
  readonly prefix: string;
  /** Who asks. */
  get from(): string {
    return this.#from;
  }
  readonly #subjects: ClientSubjects;
  readonly #desk: RequestDesk;
  readonly #encoding: Encoding;
  readonly #from: string;
  readonly #head: string;
  readonly #batchHeaders: RawHeaders;
  readonly #signer: MessageSigner | undefined;
  readonly #sequences: SequenceStore;
  #nextId = 0;
  #shards: number | undefined;
  #isLearning = false;
  readonly #routes = new Map<string, Route>();
  readonly #outstandingMax: number;
  readonly #turns = new Turns();
  /** Numbers are taken one after the other: rivals for a number cost more than they gain. */
  #lastStamp: Promise<unknown> = Promise.resolve();

  /** Takes over the connection: closing the client closes it. */
  constructor(connection: NatsConnection, options: ClientOptions = {}) {
    this.connection = connection;
    this.#encoding = options.encoding ?? 'json';
    this.#from = options.from ?? this.clientId;
    this.#head = headerHead(this.#encoding, this.#from);
    this.#batchHeaders = batchHeaders(this.#encoding, this.#from);
    this.#shards = options.shards;
    this.#signer = options.signer;
    this.#sequences = options.sequences ?? memorySequences();
    this.#outstandingMax = options.outstandingMax ?? OUTSTANDING_MAX;
    this.prefix = options.prefix ?? 'if';
    this.#subjects = clientSubjects(this.prefix);
    this.#desk = new RequestDesk(connection, {
      outstandingMax: this.#outstandingMax,
      attemptMs: options.attemptMs ?? ATTEMPT_MS,
      batching: options.batching ?? true,
      astray: () => this.#learnAnew(),
    });
  }

  /** Shards of the realm, once learned: asks then go straight to their owner. */
  get shards(): number | undefined {
    return this.#shards;
  }

  /**
   * Asks how many shards there are; the first node that answers knows. False where none said so: asks then take the
   * short form.
   */
  async learnShards(timeoutMs: number = STATUS_TIMEOUT_MS): Promise<boolean> {
    let status: NodeStatus;
    try {
      status = await apiRequest<NodeStatus>(this.connection, this.#subjects.status, {}, timeoutMs);
    } catch (thrown) {
      if (thrown instanceof FabricError) return false;
      throw thrown;
    }
    this.#shards = status.shardCount;
    this.#routes.clear();
    return this.#shards !== undefined;
  }

  /**
   * Sends an event and resolves after its commit. Timeouts, absent nodes and retryable refusals are tried again under
   * the same message id until `timeoutMs` has passed, so the event is applied at most once.
   *
   * Throws the server's error under its own code, or `ask_timeout`, `ask_aborted`, `too_many_asks`, `client_closed`.
   */
  ask<E extends EventLike>(address: string, event: E | IFMessage, options: AskOptions = {}): Promise<Answer> {
    return attempt(() => {
      const route = this.#route(address);
      return this.#desk.request<Answer>(this.#request(route.subjects, route, event, options, readAnswer));
    });
  }

  /**
   * Stores an event in the inbox and resolves with its place; the actor, or its node, may be down. Tried again under
   * the same message id like an ask. Throws `send_refused`, `ask_timeout`, `ask_aborted`, `client_closed`.
   */
  send<E extends EventLike>(
    address: string,
    event: E | IFMessage,
    options: AskOptions = {},
  ): Promise<Receipt> {
    return attempt(() => {
      const id = options.id ?? this.#newId();
      const subject = this.#subjects.inbox(address);
      const subjects = { straight: subject, anyNode: subject };
      const read = (body: unknown): Outcome<Receipt> => readReceipt(body as PubAck, id);
      return this.#desk.request(this.#request(subjects, undefined, event, { ...options, id }, read));
    });
  }

  /**
   * Stamps, signs and sends a message to every actor in `to`, once earlier ones of its sender to any of them are through;
   * resolves with the message and a receipt for each. Throws `no_signer` where the client was opened without a key.
   */
  async sendMessage(
    draft: OutgoingMessage,
    options: Omit<AskOptions, 'id'> = {},
  ): Promise<{ readonly message: IFMessage; readonly receipts: readonly Receipt[] }> {
    const { message, results } = await this.#inTurn(draft, draft.to, options, (stamped, left) =>
      stamped.to.map((to, n) => this.send(to, stamped, { ...left, id: `${stamped.id}.${n}` })),
    );
    return { message, receipts: results };
  }

  /** Stamps, signs and asks the one actor in `to`. Throws like {@link ask} and {@link sendMessage}. */
  async askMessage(draft: OutgoingMessage, options: Omit<AskOptions, 'id'> = {}): Promise<Answer> {
    const [to = ''] = draft.to;
    const { results } = await this.#inTurn(draft, [to], options, (stamped, left) => [
      this.ask(to, stamped, { ...left, id: stamped.id }),
    ]);
    return results[0] as Answer;
  }

  /**
   * Live events of the actors that match: `task/P0.1.1`, or a star for any type or any id. It listens from
   * the first `next` on: call that before what the events are of. Throws `bad_pattern`.
   */
  watch(pattern: string, options: WatchOptions = {}): AsyncGenerator<LiveEvent, void, undefined> {
    const read = (message: Msg): Omit<LiveEvent, 'missed'> | undefined => {
      const body = readLiveEvent(message);
      const source = body === undefined ? undefined : this.#subjects.parseEvent(message.subject);
      return source === undefined ? undefined : { ...source, body };
    };
    return watchSubject(this.connection, this.#subjects.events(pattern), read, options);
  }

  /**
   * A handle whose events are those of a machine.
   *
   * @example
   * const k1 = client.actor<typeof counter>('counter/k1');
   * await k1.ask({ type: 'add', by: 2 });
   */
  actor<M extends AnyActorLogic>(address: string): ActorHandle<EventsOf<M>> {
    return {
      address,
      ask: (event, options) => this.ask(address, event, options),
      send: (event, options) => this.send(address, event, options),
    };
  }

  /** Open asks fail with `client_closed`; what was published is flushed. */
  async close(): Promise<void> {
    await this.#desk[Symbol.asyncDispose]();
    await leave(this.connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The realm may have another number of shards by now: asked once for all that went astray meanwhile. */
  #learnAnew(): void {
    if (this.#isLearning) return;
    this.#isLearning = true;
    void this.learnShards().finally(() => {
      this.#isLearning = false;
    });
  }

  /** Where asks of an actor go. */
  #route(address: string): Route {
    const known = this.#routes.get(address);
    if (known !== undefined) return known;
    const route = this.#newRoute(address);
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    this.#routes.set(address, route);
    return route;
  }

  #newRoute(address: string): Route {
    const short = this.#subjects.ask(address);
    const target = this.#subjects.target(address);
    if (this.#shards === undefined) {
      return { subjects: { straight: short, anyNode: short }, batchSubject: undefined, target };
    }
    const long = this.#subjects.askShard(address, this.#shards);
    return {
      subjects: { straight: long, anyNode: short },
      batchSubject: this.#subjects.askBatch(address, this.#shards),
      target,
    };
  }

  #newId(): string {
    return `${this.clientId}.${this.#nextId++}`;
  }

  #request<T>(
    subjects: Ways,
    route: Route | undefined,
    event: EventLike | IFMessage,
    options: AskOptions,
    read: (body: unknown) => Outcome<T>,
  ): Request<T> {
    const id = options.id === undefined ? this.#newId() : headerValue(options.id);
    const { traceparent, from } = options;
    const body = encodeBody(event, this.#encoding);
    const head = from === undefined ? this.#head : headerHead(this.#encoding, from);
    return {
      subjects,
      message: () => ({ body: encodeText(body), headers: headersOf(head, id, traceparent) }),
      // The head of a batch says who asks for all of it.
      batch: from === undefined ? this.#batch(route, body, id, traceparent) : undefined,
      timeoutMs: options.timeoutMs ?? ASK_TIMEOUT_MS,
      signal: options.signal,
      read,
    };
  }

  #batch(
    route: Route | undefined,
    body: EncodedBody,
    id: string,
    traceparent: string | undefined,
  ): Request<never>['batch'] {
    if (route?.batchSubject === undefined || typeof body !== 'string') return undefined;
    const trace = traceparent === undefined ? '' : `,${JSON.stringify(headerValue(traceparent))}`;
    const row = `["${route.target}",${JSON.stringify(id)},${body}${trace}]`;
    return { subject: route.batchSubject, row, headers: this.#batchHeaders };
  }

  /** Stamps a message and begins with it once those before it to the same actors are through (see turns.ts). */
  async #inTurn<T>(
    draft: OutgoingMessage,
    receivers: readonly string[],
    options: Omit<AskOptions, 'id'>,
    begin: (stamped: IFMessage, left: AskOptions) => Promise<T>[],
  ): Promise<{ readonly message: IFMessage; readonly results: readonly T[] }> {
    const signer = this.#signer;
    if (signer === undefined) {
      throw new FabricError(clientErrors.no_signer, 'This client has no key to sign with');
    }
    if (this.#turns.size >= this.#outstandingMax) {
      const message = `${this.#turns.size} messages wait or await an answer`;
      throw new FabricError(clientErrors.too_many_asks, message);
    }
    const { timeoutMs = ASK_TIMEOUT_MS, signal } = options;
    const from = uriOf(draft.from ?? this.#from);
    const startedAt = performance.now();
    const turn = this.#turns.enter(receivers.map((to) => `${from}>${to}`));
    let begun: Promise<T>[] = [];
    try {
      await turn.come(timeoutMs, signal);
      // Not before: what waits would grow old.
      const message = await this.#stamp({ ...draft, from }, signer);
      const waitedMs = performance.now() - startedAt;
      begun = begin(message, { ...options, timeoutMs: timeoutMs - waitedMs });
      return { message, results: await Promise.all(begun) };
    } finally {
      // One receiver's refusal says nothing of the others.
      void Promise.allSettled(begun).then(() => turn.leave());
    }
  }

  #stamp(draft: OutgoingMessage & { readonly from: string }, signer: MessageSigner): Promise<IFMessage> {
    return this.#inOrder(async () => {
      const seq = await this.#sequences.next(draft.from);
      return signer(stampMessage(draft, { id: this.#messageId(), now: Date.now(), seq }));
    });
  }

  /** Ordered by time, then unique by client and number. */
  #messageId(): string {
    return `${Date.now().toString(36).padStart(9, '0')}-${this.#newId()}`;
  }

  #inOrder<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#lastStamp.then(task);
    this.#lastStamp = result.catch(() => undefined);
    return result;
  }
}

/** A client that knows the realm's shards where a node is up. */
export async function clientOver(connection: NatsConnection, options: ClientOptions = {}): Promise<Client> {
  const client = new Client(connection, options);
  await client.learnShards();
  return client;
}

/** What throws before a promise is there rejects like what fails later. */
function attempt<T>(start: () => Promise<T>): Promise<T> {
  try {
    return start();
  } catch (thrown) {
    return Promise.reject(thrown);
  }
}

function uriOf(address: string): string {
  return address.startsWith('if://') ? address : `if://${address}`;
}

type AnswerBody = ({ readonly ok: true } & Answer) | { readonly ok: false; readonly error: WireError };

function readAnswer(answer: unknown): Outcome<Answer> {
  const body = answer as AnswerBody;
  if (body.ok === true) {
    return { ok: true, value: { reply: body.reply, value: body.value, commit: body.commit } };
  }
  return { ok: false, error: fromWireError(body.error) };
}

interface PubAck {
  readonly seq: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string };
}

function readReceipt(ack: PubAck, id: string): Outcome<Receipt> {
  if (ack.error === undefined) {
    return { ok: true, value: { id, seq: ack.seq, duplicate: ack.duplicate === true } };
  }
  const { code, err_code: errCode, description } = ack.error;
  // 5xx: the server is short of something that may come back; 4xx: the message itself is refused.
  const kind = { ...clientErrors.send_refused, retryable: code >= 500 };
  return { ok: false, error: new FabricError(kind, description, { details: { code, errCode } }) };
}

/**
 * Flushes what is under way and closes. A drain whose connection is lost meanwhile never ends: then there is nobody to
 * flush to, and nothing to wait for.
 */
async function leave(connection: NatsConnection): Promise<void> {
  if (connection.isClosed()) return;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, DRAIN_MS_MAX);
  });
  const drained = connection.drain().catch(() => undefined);
  await Promise.race([drained, connection.closed(), late]);
  clearTimeout(timer);
  await connection.close();
}
