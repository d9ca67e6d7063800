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
import { checkBody, decodeBody, encodeBody, JSON_TYPE } from '#runtime/bus/codec';
import { addressOfTail } from '#runtime/bus/subjects';
import { encodeRefusal } from '#runtime/edge/replies';
import { shardErrors } from '#runtime/shard/errors';
import type { Ask, Clock, InboxMessage, InboxSubscription, Logger, ShardInbox } from '#runtime/shard/ports';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import type { DataKeys, Known } from './data-keys.ts';
import { privacyErrors } from './errors.ts';
import type { Marks } from './marks.ts';
import type { DataKey } from './seal.ts';
import { holdsSealed, type Plan, planSealing, type SealedBody } from './sealing.ts';

/** Asks that may wait for keys, per shard. */
const ASKS_WAITING_MAX = 4_096;
/** Sends that may wait for keys before the inbox is paused. */
const SENDS_WAITING_MAX = 1_024;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 2_000;
/** In a body that holds a sealed value stands one of these. */
const SEALED_TEXT = '$sealed';
const ESCAPED_TEXT = '\\u00';

/** Removes single messages of the inbox for good. */
export interface InboxEraser {
  /** Overwrites these on disk. */
  erase(seqs: readonly number[]): Promise<void>;
  /** Messages still stored up to `through` for actors of a type in a shard. */
  stored(
    shard: number,
    type: string,
    through: number,
  ): AsyncIterable<{
    readonly seq: number;
    readonly body: Uint8Array;
    readonly contentType: string | undefined;
    readonly subject: string;
  }>;
}

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

interface Message {
  readonly body: Uint8Array;
  readonly value?: unknown;
  readonly contentType: string | undefined;
}

/** What takes the place of a message's body. */
interface Made {
  readonly change: Pick<Ask, 'body' | 'contentType' | 'value' | 'refusal'> | undefined;
  /** It held personal data in the clear, or may have. */
  readonly isPlain: boolean;
}

const UNCHANGED: Made = { change: undefined, isPlain: false };

export class PrivacyDoor {
  readonly #deps: DoorDeps;
  /** Asks that wait, by actor, each made ready on its own and let in in order. */
  readonly #lines = new Map<string, Promise<void>>();
  #asksWaiting = 0;
  /** Inbox sequences that came in the clear and are to be overwritten. */
  readonly #toErase = new Set<number>();
  #consumed = 0;
  #erasing: Promise<void> | undefined;

  constructor(deps: DoorDeps) {
    this.#deps = deps;
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
    const made = this.#made(ask, address, 'ask');
    if (line === undefined && !(made instanceof Promise)) {
      next(changed(ask, made));
      return;
    }
    if (this.#asksWaiting >= ASKS_WAITING_MAX) {
      const error = new FabricError(
        privacyErrors.privacy_unavailable,
        `${this.#asksWaiting} asks wait for data keys`,
      );
      ask.respond(encodeRefusal(error.toWire(), ask.contentType));
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

  /** The inbox with its sends sealed. */
  inbox(inner: ShardInbox): ShardInbox {
    return {
      open: async (afterSeq, deliver) => {
        this.#consumed = afterSeq;
        void this.#sweep(afterSeq);
        const line: InboxLine = new InboxLine((message) => this.#send(message, () => line.isClosed), deliver);
        line.attach(await inner.open(afterSeq, (message) => line.push(message)));
        return line;
      },
      release: async (seq) => {
        // What is purged first could not be overwritten any more.
        await this.#eraseThrough(seq);
        await inner.release(seq);
      },
    };
  }

  /** Told after every commit (D4). */
  committed(consumed: number): void {
    if (consumed <= this.#consumed) return;
    this.#consumed = consumed;
    if (this.#toErase.size > 0) this.#eraseSoon();
  }

  #eraseSoon(): void {
    if (this.#erasing !== undefined) return;
    const through = this.#consumed;
    this.#erasing = this.#eraseThrough(through).then(
      () => {
        this.#erasing = undefined;
        if (this.#consumed > through && this.#toErase.size > 0) this.#eraseSoon();
      },
      (thrown: unknown) => {
        this.#erasing = undefined;
        // With the next commit, the next release, or the next owner.
        const { shard, logger } = this.#deps;
        logger.warn({ shard, error: toWireError(thrown) }, 'inbox_not_erased');
      },
    );
  }

  async #eraseThrough(seq: number): Promise<void> {
    const due = [...this.#toErase].filter((at) => at <= seq);
    if (due.length === 0) return;
    await this.#deps.eraser.erase(due);
    for (const at of due) this.#toErase.delete(at);
  }

  /** D4: what a node that died had taken and not overwritten yet. */
  async #sweep(through: number): Promise<void> {
    const { eraser, shard, logger, personalTypes } = this.#deps;
    if (through === 0) return;
    try {
      for (const type of personalTypes()) {
        const seqs: number[] = [];
        for await (const message of eraser.stored(shard, type, through)) {
          if (this.#mayBePlain(message)) seqs.push(message.seq);
        }
        await eraser.erase(seqs);
      }
    } catch (thrown) {
      logger.warn({ shard, error: toWireError(thrown) }, 'inbox_not_swept');
    }
  }

  #mayBePlain(message: Message & { readonly subject: string }): boolean {
    const address = addressOfTail(message.subject);
    const marks = this.#deps.marksOf(typeOf(address));
    if (marks === undefined) return false;
    try {
      const plan = planSealing(
        decodeBody(message.body, message.contentType),
        address,
        marks,
        this.#deps.realm,
      );
      return plan.kind === 'refuse' || (plan.kind === 'seal' && plan.isPlain);
    } catch {
      return true;
    }
  }

  /** A send, sealed; it waits until the keys can be had, whatever the bucket says. */
  #send(message: InboxMessage, isClosed: () => boolean): InboxMessage | Promise<InboxMessage> {
    if (!this.#deps.isOn() || this.#deps.isMail(message.subject)) return message;
    const finish = (made: Made): InboxMessage => {
      if (made.isPlain) this.#toErase.add(message.seq);
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
    let isFound = value !== undefined && holdsSealed(value);
    if (value === undefined && mentionsSealed(message.body)) {
      try {
        isFound = holdsSealed(decodeBody(message.body, message.contentType));
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

/** Sends of one shard, made ready side by side, delivered in their order (D2). */
class InboxLine implements InboxSubscription {
  readonly #make: (message: InboxMessage) => InboxMessage | Promise<InboxMessage>;
  readonly #deliver: (message: InboxMessage) => void;
  readonly #waiting: { ready: InboxMessage | undefined }[] = [];
  #inner: InboxSubscription | undefined;
  isClosed = false;
  #isPaused = false;
  /** By its own hand, since too many wait. */
  #isHeld = false;

  constructor(
    make: (message: InboxMessage) => InboxMessage | Promise<InboxMessage>,
    deliver: (message: InboxMessage) => void,
  ) {
    this.#make = make;
    this.#deliver = deliver;
  }

  attach(inner: InboxSubscription): void {
    this.#inner = inner;
    if (this.#isHeld || this.#isPaused) inner.pause();
  }

  push(message: InboxMessage): void {
    const made = this.#make(message);
    if (this.#waiting.length === 0 && !(made instanceof Promise)) {
      this.#deliver(made);
      return;
    }
    const place = { ready: made instanceof Promise ? undefined : made };
    this.#waiting.push(place);
    if (made instanceof Promise) {
      void made.then((ready) => {
        place.ready = ready;
        this.#drain();
      });
    }
    if (this.#waiting.length < SENDS_WAITING_MAX || this.#isHeld) return;
    this.#isHeld = true; // D3
    this.#inner?.pause();
  }

  pause(): void {
    this.#isPaused = true;
    this.#inner?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#drain();
    if (!this.#isHeld) this.#inner?.resume();
  }

  behind(): number {
    return this.#waiting.length + (this.#inner?.behind() ?? 0);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.#inner?.close();
  }

  #drain(): void {
    for (let first = this.#waiting[0]; first?.ready !== undefined; first = this.#waiting[0]) {
      if (this.isClosed || this.#isPaused) return;
      this.#waiting.shift();
      this.#deliver(first.ready);
    }
    if (!this.#isHeld || this.#waiting.length > SENDS_WAITING_MAX / 2) return;
    this.#isHeld = false;
    if (!this.#isPaused) this.#inner?.resume();
  }
}

function changed<M extends Ask | InboxMessage>(message: M, { change }: Made): M {
  if (change === undefined) return message;
  const { subject, id, from, trace } = message;
  const kept = { subject, id, from, trace, ...change };
  const own =
    'seq' in message
      ? { seq: message.seq }
      : { respond: (body: Parameters<Ask['respond']>[0]) => message.respond(body) };
  return { ...kept, ...own } as unknown as M;
}

function sameAs({ body, contentType }: Message, value: unknown): NonNullable<Made['change']> {
  return { body, contentType, value };
}

/** D1: of a body that may hold anything only its size is kept. */
function withheld(message: Message, refusal: WireError | undefined): Made {
  const bytes = message.body.byteLength;
  const body = Buffer.from(JSON.stringify({ withheld: { bytes } }));
  return {
    change: { body, contentType: JSON_TYPE, ...(refusal !== undefined && { refusal }) },
    isPlain: true,
  };
}

function mentionsSealed(body: Uint8Array): boolean {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bytes.includes(SEALED_TEXT) || bytes.includes(ESCAPED_TEXT);
}

function typeOf(address: string): string {
  return address.slice(0, address.indexOf('/'));
}
