/**
 * What waits for its step. Bounded: past the bound asks are refused at once, the inbox is paused, and committed mail
 * and effect results (which cannot be refused) go first.
 */
import type { Entry } from '#schemas/commit';
import type { WireError } from '#schemas/fabric-error';
import type { Ask, EffectResult, InboxMessage, MailBundle } from './ports.ts';
import type { LocalMail } from './state.ts';
import type { PendingTimer } from './table.ts';
import type { Work } from './work.ts';

/** Where an admin's work ended up. */
export type AdminOutcome =
  | { readonly ok: true; readonly entry: Entry; readonly index: number }
  | { readonly ok: false; readonly error: WireError };

export type Item =
  | {
      readonly kind: 'ask';
      readonly ask: Ask;
      readonly address: string;
      readonly key: number | undefined;
      /** Retries of the same message that came while it waited. */
      also: Ask[] | undefined;
    }
  | {
      readonly kind: 'inbox';
      readonly message: InboxMessage;
      readonly address: string;
      readonly key: number | undefined;
      also: Ask[] | undefined;
      /** Sequence of a commit that may hold the same message: looked at before it is stepped. */
      readonly twinSeq: number | undefined;
      isDuplicate: boolean;
      /** Why it is dead whatever its body says. */
      readonly refusal?: WireError;
    }
  /** A position to consume with nothing to step: a duplicate, or a subject no actor can have. */
  | { readonly kind: 'skip'; readonly seq: number }
  | {
      readonly kind: 'bundle';
      readonly seq: number;
      readonly bundle: MailBundle;
      cursor: number;
      accepted: boolean | undefined;
    }
  | { readonly kind: 'mail'; readonly local: LocalMail }
  | { readonly kind: 'timer'; readonly timer: PendingTimer }
  | { readonly kind: 'effect'; readonly result: EffectResult }
  | { readonly kind: 'admin'; readonly work: Work; readonly done: (outcome: AdminOutcome) => void };

/** First in, first out, with a cheap shift. */
export class ItemQueue {
  #items: Item[] = [];
  #head = 0;
  /** Asks and inbox messages among them: what the bound counts. */
  outside = 0;
  /** What their bodies take. */
  outsideBytes = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: Item): void {
    this.#count(item, 1);
    this.#items.push(item);
  }

  /** Puts items back at the front, in their order. */
  unshift(items: readonly Item[]): void {
    for (const item of items) this.#count(item, 1);
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  take(max: number): Item[] {
    const taken = this.#items.slice(this.#head, this.#head + max);
    this.#head += taken.length;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 4096 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    for (const item of taken) this.#count(item, -1);
    return taken;
  }

  #count(item: Item, by: 1 | -1): void {
    if (!isOutside(item)) return;
    this.outside += by;
    if (item.kind === 'ask' || item.kind === 'inbox') this.outsideBytes += by * weightOf(item);
  }

  clear(): Item[] {
    return this.take(this.length);
  }
}

function isOutside(item: Item): boolean {
  return item.kind === 'ask' || item.kind === 'inbox' || item.kind === 'bundle' || item.kind === 'skip';
}

/** A decoded body takes up to so many times its bytes: `{}` is 56 bytes and a place in a list. */
const DECODED_WEIGHT = 22;
/** Bodies up to this are bounded well enough by their number, bytes. */
const SMALL_BYTES_MAX = 1024;

/** What an ask that waits takes, bytes. One that came with others is decoded already. */
export function weightOfAsk(ask: Ask): number {
  const { bodyBytes } = ask;
  if (bodyBytes === undefined) return ask.body.byteLength;
  return bodyBytes > SMALL_BYTES_MAX ? bodyBytes * DECODED_WEIGHT : bodyBytes;
}

function weightOf(item: BodyItem): number {
  return item.kind === 'ask' ? weightOfAsk(item.ask) : item.message.body.byteLength;
}

/** An item with a body of its own. */
export type BodyItem = Extract<Item, { kind: 'ask' | 'inbox' }>;

export function bodyBytesOf(item: BodyItem): number {
  if (item.kind === 'inbox') return item.message.body.byteLength;
  return item.ask.bodyBytes ?? item.ask.body.byteLength;
}

export function bodyOf(item: BodyItem): Uint8Array {
  return item.kind === 'ask' ? item.ask.body : item.message.body;
}
