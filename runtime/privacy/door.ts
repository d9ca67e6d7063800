/**
 * The door in front of the doors of a shard: messages with personal fields are sealed before anything of the shard, its
 * log, its dead letters or its object store sees them.
 *
 * D1  What a kind's marks name never gets past here in the clear; a body that cannot be read is withheld whole.
 * D2  Messages to one actor stay in the order they came, and the inbox of a shard in its own: who waits for a key holds
 *     back only those that must not overtake him. The loop of the shard waits for nothing.
 * D3  What waits here is bounded: asks beyond it are refused, the inbox is paused.
 * D4  A send that came in the clear is overwritten in the inbox once the log holds it, also after a crash.
 */
import { checkBody, decodeBody, encodeBody } from '#runtime/bus/codec';
import { addressOfTail } from '#runtime/bus/subjects';
import { encodeRefusal } from '#runtime/edge/replies';
import { shardErrors } from '#runtime/shard/errors';
import type { Ask, Clock, InboxMessage, Logger, ShardInbox } from '#runtime/shard/ports';
import { FabricError, toWireError } from '#schemas/fabric-error';
import type { DataKeys, Known } from './data-keys.ts';
import { InboxErasure } from './erasure.ts';
import { privacyErrors } from './errors.ts';
import { InboxLine } from './inbox-line.ts';
import type { InboxEraser } from './inbox-sweep.ts';
import { changed, type Made, type Message, sameAs, UNCHANGED, withheld } from './made.ts';
import type { Marks } from './marks.ts';
import type { DataKey } from './seal.ts';
import { holdsSealed, type Plan, planSealing, type SealedBody } from './sealing.ts';

/** Asks that may wait for keys, per shard. */
const ASKS_WAITING_MAX = 4_096;
/** Longest that leaving a shard waits for its inbox to be overwritten. */
const ERASE_AT_CLOSE_MS = 1_000;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 2_000;
/** In a body that holds a sealed value stands one of these. */
const SEALED_TEXT = '$sealed';
const ESCAPED_TEXT = '\\u00';

export interface DoorDeps {
  readonly realm: string;
  readonly shard: number;
  /** Undefined for a kind without personal fields. */
  readonly marksOf: (type: string) => Marks | undefined;
  /** Types with marks. */
  readonly personalTypes: () => readonly string[];
  readonly isKind: (type: string) => boolean;
  readonly isMail: (subject: string) => boolean;
  readonly keys: () => DataKeys;
  /** False while no kind has personal fields. */
  readonly isOn: () => boolean;
  readonly bodyBytesMax: number;
  /** Told of every envelope that was signed in the clear and is now sealed. */
  readonly signedAs: (sealed: object, plain: unknown, body: SealedBody) => void;
  readonly eraser: InboxEraser;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class PrivacyDoor {
  readonly #deps: DoorDeps;
  /** Asks that wait, by actor, each made ready on its own and let in in order. */
  readonly #lines = new Map<string, Promise<void>>();
  #asksWaiting = 0;
  readonly #erasure: InboxErasure;

  constructor(deps: DoorDeps) {
    this.#deps = deps;
    this.#erasure = new InboxErasure(deps, (message) => this.#mayBePlain(message));
  }

  /** Lets an ask in, sealed, at once where its key is at hand (D2). */
  ask(ask: Ask, next: (ask: Ask) => void): void {
    let address: string;
    try {
      address = addressOfTail(ask.subject);
    } catch {
      // The doors refuse it without keeping it.
      next(ask);
      return;
    }
    const line = this.#lines.get(address);
    const isFull = this.#asksWaiting >= ASKS_WAITING_MAX;
    if (isFull && line !== undefined) {
      this.#refuse(ask);
      return;
    }
    const made = this.#made(ask, address, 'ask');
    if (line === undefined && !(made instanceof Promise)) {
      next(changed(ask, made));
      return;
    }
    if (isFull) {
      Promise.resolve(made).catch(() => undefined);
      this.#refuse(ask);
      return;
    }
    this.#asksWaiting += 1;
    // Both are under way at the same time; only the letting in has an order.
    const ready = Promise.resolve(made).then(
      (done) => () => next(changed(ask, done)),
      // Not into the log: asked again under the same id it may be taken.
      (thrown: unknown) => () => ask.respond(encodeRefusal(toWireError(thrown), ask.contentType)),
    );
    const turn = (line ?? Promise.resolve())
      .then(() => ready)
      .then((go) => {
        this.#asksWaiting -= 1;
        if (this.#lines.get(address) === turn) this.#lines.delete(address);
        go();
      })
      .catch((thrown: unknown) => {
        const { shard, logger } = this.#deps;
        logger.error({ shard, actor: address, error: toWireError(thrown) }, 'ask_not_let_in');
      });
    this.#lines.set(address, turn);
  }

  /** D3 */
  #refuse(ask: Ask): void {
    const why = `${this.#asksWaiting} asks wait for data keys`;
    const error = new FabricError(privacyErrors.privacy_unavailable, why);
    ask.respond(encodeRefusal(error.toWire(), ask.contentType));
  }

  /** The inbox with its sends sealed. */
  inbox(inner: ShardInbox): ShardInbox {
    return {
      open: async (afterSeq, deliver) => {
        this.#erasure.opened(afterSeq);
        const line: InboxLine = new InboxLine(
          (message) => this.#send(message, () => line.isClosed),
          deliver,
          () => this.#settled(),
        );
        line.attach(await inner.open(afterSeq, (message) => line.push(message)));
        return line;
      },
      release: async (seq) => {
        // What is purged first could not be overwritten any more.
        await this.#erasure.through(seq);
        await inner.release(seq);
      },
    };
  }

  /** Told after every commit (D4). */
  committed(consumed: number): void {
    this.#erasure.committed(consumed);
  }

  /** What is taken is overwritten before the inbox is let go of, where that is quick; the next owner does the rest. */
  async #settled(): Promise<void> {
    const { clock } = this.#deps;
    let timer: unknown;
    const late = new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, ERASE_AT_CLOSE_MS);
    });
    await Promise.race([this.#erasure.closed(), late]);
    clock.clearTimer(timer);
  }

  #mayBePlain(message: Message & { readonly subject: string }): boolean {
    try {
      const address = addressOfTail(message.subject);
      const marks = this.#deps.marksOf(typeOf(address));
      if (marks === undefined) return false;
      const plan = planSealing(
        decodeBody(message.body, message.contentType),
        address,
        marks,
        this.#deps.realm,
      );
      return plan.kind === 'refuse' || (plan.kind === 'seal' && plan.isPlain);
    } catch {
      // It cannot be read, or names no actor.
      return true;
    }
  }

  /** A send, sealed; it waits until the keys can be had, whatever the bucket says. */
  #send(message: InboxMessage, isClosed: () => boolean): InboxMessage | Promise<InboxMessage> {
    if (!this.#deps.isOn() || this.#deps.isMail(message.subject)) return message;
    const finish = (made: Made): InboxMessage => {
      if (made.isPlain) this.#erasure.add(message.seq);
      return changed(message, made);
    };
    let address: string;
    try {
      address = addressOfTail(message.subject);
    } catch {
      // It names no actor; whom it was meant for, and what it holds, nobody can say.
      return finish(withheld(message, undefined));
    }
    const made = this.#made(message, address, 'send');
    return made instanceof Promise
      ? this.#insist(made, message, address, isClosed).then(finish)
      : finish(made);
  }

  async #insist(
    first: Promise<Made>,
    message: Message,
    address: string,
    isClosed: () => boolean,
  ): Promise<Made> {
    const { clock, logger, shard } = this.#deps;
    let attempt: Made | Promise<Made> = first;
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MAX_MS)) {
      try {
        return await attempt;
      } catch (thrown) {
        if (isClosed()) return UNCHANGED;
        const isForEver = thrown instanceof FabricError && !thrown.retryable;
        if (isForEver) return withheld(message, thrown.toWire());
        logger.warn({ shard, actor: address, delayMs, error: toWireError(thrown) }, 'data_key_awaited');
        await new Promise<void>((resolve) => void clock.setTimer(resolve, delayMs));
        attempt = this.#made(message, address, 'send');
      }
    }
  }

  /** Rejects where the key cannot be had now. */
  #made(message: Message, address: string, door: 'ask' | 'send'): Made | Promise<Made> {
    const { marksOf, isKind, bodyBytesMax, realm } = this.#deps;
    const keys = this.#deps.keys();
    const type = typeOf(address);
    const marks = marksOf(type);
    if (marks === undefined) return isKind(type) ? this.#foreign(message) : withheld(message, undefined);
    if (message.value === undefined && message.body.byteLength > bodyBytesMax) {
      const why = `The body has ${message.body.byteLength} bytes; ${bodyBytesMax} are allowed`;
      return withheld(message, new FabricError(shardErrors.body_too_big, why).toWire());
    }
    let value: unknown;
    let plan: Plan;
    try {
      value =
        message.value === undefined
          ? decodeBody(message.body, message.contentType)
          : checkBody(message.value);
      plan = planSealing(value, address, marks, realm);
    } catch {
      // What a parser says quotes what it could not read.
      const error = new FabricError(privacyErrors.body_withheld, `The body for ${address} cannot be read`);
      return withheld(message, error.toWire());
    }
    if (plan.kind === 'pass')
      return message.value === undefined ? { change: sameAs(message, value), isPlain: false } : UNCHANGED;
    if (plan.kind === 'refuse') return withheld(message, plan.error);
    if (door === 'send' && plan.isPlain && marks.rules.sends === 'refuse') {
      const why = `Actors of type ${type} take no plain personal fields by sends`;
      return withheld(message, new FabricError(privacyErrors.plain_send, why).toWire());
    }
    const { subject } = plan;
    const known = keys.cached(subject);
    if (known !== undefined) return this.#finish(message, value, plan, known);
    const wanted = plan;
    return keys.ensure(subject).then((found) => this.#finish(message, value, wanted, found));
  }

  #finish(message: Message, plain: unknown, plan: Extract<Plan, { kind: 'seal' }>, known: Known): Made {
    if (known.state === 'redacted') {
      const error = new FabricError(
        privacyErrors.subject_redacted,
        `The data of ${plan.subject} was redacted`,
        {
          details: { subject: plan.subject },
        },
      );
      return withheld(message, error.toWire());
    }
    let made: SealedBody;
    try {
      made = plan.finish(known as DataKey);
    } catch (thrown) {
      return withheld(message, toWireError(thrown));
    }
    const body = encodeBody(made.value, message.contentType);
    // As a replay will read it, where the body goes to the object store.
    const value = decodeBody(body, message.contentType);
    if (made.signature !== undefined) this.#deps.signedAs(value as object, plain, made);
    return { change: { body, contentType: message.contentType, value }, isPlain: plan.isPlain };
  }

  /** To kinds without personal fields no sealed value gets from outside: their effects would open it. */
  #foreign(message: Message): Made {
    const { value } = message;
    let isFound = false;
    if (value !== undefined || mentionsSealed(message.body)) {
      try {
        const read = value === undefined ? decodeBody(message.body, message.contentType) : checkBody(value);
        isFound = holdsSealed(read);
      } catch {
        // Refused as unreadable further on.
      }
    }
    if (!isFound) return UNCHANGED;
    const error = new FabricError(
      privacyErrors.bad_sealed,
      'A sealed value stands where no personal field is',
    );
    return {
      change: { body: message.body, contentType: message.contentType, refusal: error.toWire() },
      isPlain: false,
    };
  }
}

function mentionsSealed(body: Uint8Array): boolean {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bytes.includes(SEALED_TEXT) || bytes.includes(ESCAPED_TEXT);
}

function typeOf(address: string): string {
  return address.slice(0, address.indexOf('/'));
}
