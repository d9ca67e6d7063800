/**
 * The ask doors: the long form straight to a shard, alone or in batches, and the short form through any node. None takes an ask whose answer
 * may not be written (R1 of the reply guard).
 */
import { InvalidArgumentError, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { encodeRefusal } from '#runtime/edge/replies';
import type { Ask, AskDoor, Encoded, Logger } from '#runtime/shard/ports';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { asksOf, replyTooBig } from './ask-batch.ts';
import { closeSubscription } from './close-subscription.ts';
import { busErrors } from './errors.ts';
import { readHeaders } from './message-headers.ts';
import { ReplyGuard } from './reply-guard.ts';
import { isGone } from './respond.ts';
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
        callback: taking(guard, logger, (m) => deliver(new NatsAsk(m, nc, subjects, senders))),
      });
      const batches = nc.subscribe(subjects.wildcards.askBatch(shard), {
        ...queue,
        callback: taking(guard, logger, (m) => {
          for (const ask of asksOf(m, nc, subjects, logger, senders)) deliver(ask);
        }),
      });
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
    callback: taking(guard, logger, forward),
  });
  const malformed = subjects.wildcards.askMalformed().map((subject) =>
    nc.subscribe(subject, {
      queue: ROUTER_QUEUE,
      callback: taking(guard, logger, refuseSubject),
    }),
  );

  function forward(m: Msg): void {
    const address = addressOfTail(m.subject);
    const shard = subjects.shardOf(address);
    const ask = new NatsAsk(m, nc, subjects, senders);
    if (route.offer(shard, ask)) return;
    const refusal = route.refusal(shard);
    if (refusal !== undefined) ask.respond(encodeRefusal(refusal, ask.contentType));
    else ask.handOn();
  }

  return {
    async close() {
      await Promise.all([short, ...malformed].map((sub) => closeSubscription(nc, sub)));
    },
  };
}

/**
 * A callback that refuses what `take` throws for. An error that leaves it would end the reader of the whole connection
 * (L2 of live-event.ts): the node would hear nothing more.
 */
function taking(guard: ReplyGuard, logger: Logger, take: (m: Msg) => void) {
  return (error: Error | null, m: Msg): void => {
    if (error !== null || !guard.accepts(m)) return;
    try {
      take(m);
    } catch (thrown) {
      refuse(m, thrown, logger);
    }
  };
}

function refuse(m: Msg, thrown: unknown, logger: Logger): void {
  try {
    m.respond(encodeRefusal(toWireError(thrown), contentTypeOf(m)));
  } catch (unsent) {
    logger.warn({ error: toWireError(thrown), unsent: toWireError(unsent) }, 'ask_not_refused');
  }
}

/** Throws `bad_subject`, always. */
function refuseSubject({ subject }: Msg): never {
  const shown = subject.slice(0, 256);
  throw new FabricError(busErrors.bad_subject, `"${shown}" is no ask subject`, {
    details: { subject: shown },
  });
}

/** Throws `bad_body`. */
function forwardOptions(m: Msg): { reply?: string; headers?: NonNullable<Msg['headers']> } {
  try {
    return {
      ...(m.reply !== undefined && m.reply !== '' && { reply: m.reply }),
      ...(m.headers !== undefined && { headers: m.headers }),
    };
  } catch (cause) {
    throw new FabricError(busErrors.bad_body, 'The headers of the ask cannot be read', { cause });
  }
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

  /** What is too big to be sent is told; who asked over a connection that has gone hears of that. */
  respond(body: Encoded): void {
    try {
      this.#message.respond(bytesOf(body));
    } catch (thrown) {
      if (isGone(thrown)) return;
      if (!(thrown instanceof InvalidArgumentError)) throw thrown;
      this.#message.respond(bytesOf(encodeRefusal(replyTooBig(body.length).toWire(), this.contentType)));
    }
  }

  /** Throws `bad_subject`, `bad_body` for headers that the client cannot write again, `ask_too_big`. */
  handOn(): void {
    const to = this.#subjects.askShard(addressOfTail(this.subject));
    const options = forwardOptions(this.#message);
    try {
      this.#nc.publish(to, this.body, options);
    } catch (cause) {
      if (!(cause instanceof InvalidArgumentError)) throw cause;
      // The server adds a header to what comes in, and the client writes those of others longer.
      throw new FabricError(
        busErrors.ask_too_big,
        'With its headers the ask is above what the server takes',
        {
          cause,
        },
      );
    }
  }
}
