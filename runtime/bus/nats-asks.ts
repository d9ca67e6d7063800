/**
 * The ask doors: the long form straight to a shard, alone or in batches, and the short form through any node. None takes an ask whose answer
 * may not be written (R1 of the reply guard).
 */
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { encodeRefusal } from '#runtime/edge/replies';
import type { Ask, AskDoor, Encoded, Logger } from '#runtime/shard/ports';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { asksOf } from './ask-batch.ts';
import { closeSubscription } from './close-subscription.ts';
import { busErrors } from './errors.ts';
import { readHeaders } from './message-headers.ts';
import { ReplyGuard } from './reply-guard.ts';
import { claimedSenders, type Senders } from './senders.ts';
import { addressOfTail, type Subjects } from './subjects.ts';

/** Nodes that share the work of the short form. */
const ROUTER_QUEUE = 'ask-router';

/**
 * The door of a shard. Owners that follow one another in a handover share a `group`: of those that are open at the same
 * moment exactly one gets an ask.
 */
export function natsAsks(
  nc: NatsConnection,
  subjects: Subjects,
  shard: number,
  logger: Logger,
  group?: string,
  senders: Senders = claimedSenders,
): AskDoor {
  const guard = new ReplyGuard(subjects.prefix, logger);
  return {
    open(deliver) {
      const queue = group === undefined ? {} : { queue: group };
      const subscription = nc.subscribe(subjects.wildcards.ask(shard), {
        ...queue,
        callback: (error, m) => {
          if (error !== null || !guard.accepts(m)) return;
          const ask = askOf(m, nc, subjects, senders);
          if (ask !== undefined) deliver(ask);
        },
      });
      const batches = nc.subscribe(subjects.wildcards.askBatch(shard), {
        ...queue,
        callback: (error, m) => {
          if (error === null && guard.accepts(m)) deliverBatch(m);
        },
      });
      const deliverBatch = (m: Msg): void => {
        let asks: readonly Ask[];
        try {
          asks = asksOf(m, nc, subjects, logger, senders);
        } catch (thrown) {
          m.respond(encodeRefusal(toWireError(thrown), undefined));
          return;
        }
        for (const ask of asks) deliver(ask);
      };
      return {
        async close() {
          await Promise.all([subscription, batches].map((sub) => closeSubscription(nc, sub)));
        },
      };
    },
  };
}

export interface AskRoute {
  /** Gives the ask to a shard of this node; false where the shard lives elsewhere. */
  readonly offer: (shard: number, ask: Ask) => boolean;
  /** Why no node takes asks of a shard at this moment; undefined where one does. */
  readonly refusal: (shard: number) => WireError | undefined;
}

/** Takes the short form `ask.<type>.<id>` and what is no ask at all. */
export function openAskRouter(
  nc: NatsConnection,
  subjects: Subjects,
  route: AskRoute,
  logger: Logger,
  senders: Senders = claimedSenders,
): { close(): Promise<void> } {
  const guard = new ReplyGuard(subjects.prefix, logger);
  const short = nc.subscribe(subjects.wildcards.askShort(), {
    queue: ROUTER_QUEUE,
    callback: (error, m) => {
      if (error === null && guard.accepts(m)) forward(m);
    },
  });
  const malformed = subjects.wildcards.askMalformed().map((subject) =>
    nc.subscribe(subject, {
      queue: ROUTER_QUEUE,
      callback: (error, m) => {
        if (error === null && guard.accepts(m)) refuseSubject(m);
      },
    }),
  );

  function forward(m: Msg): void {
    let address: string;
    try {
      address = addressOfTail(m.subject);
    } catch (thrown) {
      m.respond(encodeRefusal(toWireError(thrown), contentTypeOf(m)));
      return;
    }
    const shard = subjects.shardOf(address);
    const ask = askOf(m, nc, subjects, senders);
    if (ask === undefined) return;
    if (route.offer(shard, ask)) return;
    const refusal = route.refusal(shard);
    if (refusal !== undefined) ask.respond(encodeRefusal(refusal, ask.contentType));
    else handOn(nc, subjects.askShard(address), m);
  }

  return {
    async close() {
      await Promise.all([short, ...malformed].map((sub) => closeSubscription(nc, sub)));
    },
  };
}

/** Undefined for what has no sender that can be told: that is refused here. */
function askOf(m: Msg, nc: NatsConnection, subjects: Subjects, senders: Senders): NatsAsk | undefined {
  try {
    return new NatsAsk(m, nc, subjects, senders);
  } catch (thrown) {
    m.respond(encodeRefusal(toWireError(thrown), contentTypeOf(m)));
    return undefined;
  }
}

function refuseSubject(m: Msg): void {
  const error = new FabricError(busErrors.bad_subject, `"${m.subject.slice(0, 256)}" is no ask subject`, {
    details: { subject: m.subject.slice(0, 256) },
  });
  m.respond(encodeRefusal(error.toWire(), contentTypeOf(m)));
}

/** Headers that the client cannot write again are refused here, where they are read. */
function handOn(nc: NatsConnection, subject: string, m: Msg): void {
  let options: ReturnType<typeof forwardOptions>;
  try {
    options = forwardOptions(m);
  } catch (cause) {
    const error = new FabricError(busErrors.bad_body, 'The headers of the ask cannot be read', { cause });
    m.respond(encodeRefusal(error.toWire(), contentTypeOf(m)));
    return;
  }
  nc.publish(subject, m.data, options);
}

function forwardOptions(m: Msg): { reply?: string; headers?: NonNullable<Msg['headers']> } {
  return {
    ...(m.reply !== undefined && m.reply !== '' && { reply: m.reply }),
    ...(m.headers !== undefined && { headers: m.headers }),
  };
}

function contentTypeOf(m: Msg): string | undefined {
  return readHeaders(m).contentType;
}

/** A third of the time that the client's own encoder takes for a short text. */
function bytesOf(body: Encoded): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

/** Reads the headers once; answers without a function object per ask. */
class NatsAsk implements Ask {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  readonly id: string | undefined;
  readonly from: string | undefined;
  readonly trace: string | undefined;
  readonly #message: Msg;
  readonly #nc: NatsConnection;
  readonly #subjects: Subjects;

  constructor(m: Msg, nc: NatsConnection, subjects: Subjects, senders: Senders) {
    this.#message = m;
    this.#nc = nc;
    this.#subjects = subjects;
    this.subject = m.subject;
    this.body = m.data;
    const found = readHeaders(m);
    this.contentType = found.contentType;
    this.id = found.id;
    this.from = senders.ofAsk(found);
    this.trace = found.trace;
  }

  respond(body: Encoded): void {
    this.#message.respond(bytesOf(body));
  }

  handOn(): void {
    handOn(this.#nc, this.#subjects.askShard(addressOfTail(this.subject)), this.#message);
  }
}
