/** The inbox of a shard while some of its sends wait for a key: D2 and D3 of door.ts. */
import type { InboxMessage, InboxSubscription } from '#runtime/shard/ports';

/** Sends that may wait for keys before the inbox is paused. */
const SENDS_WAITING_MAX = 1_024;

/** Sends of one shard, made ready side by side, delivered in their order (D2). */
export class InboxLine implements InboxSubscription {
  readonly #make: (message: InboxMessage) => InboxMessage | Promise<InboxMessage>;
  readonly #deliver: (message: InboxMessage) => void;
  readonly #closed: () => Promise<void>;
  readonly #waiting: { ready: InboxMessage | undefined }[] = [];
  #inner: InboxSubscription | undefined;
  isClosed = false;
  #isPaused = false;
  /** By its own hand, since too many wait. */
  #isHeld = false;

  constructor(
    make: (message: InboxMessage) => InboxMessage | Promise<InboxMessage>,
    deliver: (message: InboxMessage) => void,
    closed: () => Promise<void>,
  ) {
    this.#make = make;
    this.#deliver = deliver;
    this.#closed = closed;
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
    await this.#closed();
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
