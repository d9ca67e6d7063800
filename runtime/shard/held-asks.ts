/**
 * Asks that reached a shard while it was handed over to another node, kept until that one is open.
 *
 * A1  Each is handed on or refused, once; none was stepped here. One that cannot be handed on costs no other.
 * A2  They are bounded: beyond the bound they are refused at once, retryably.
 * A3  What two owners may have heard is handed on only where its id tells that it is the same.
 */
import { encodeRefusal } from '#runtime/edge/replies';
import { type ErrorKind, FabricError, toWireError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import { weightOfAsk } from './gather.ts';
import type { Ask, Logger } from './ports.ts';

const ASKS_MAX = 65_536;
const BYTES_MAX = 64 * 1024 * 1024;

export class HeldAsks {
  readonly #shard: number;
  readonly #logger: Logger;
  #asks: Ask[] = [];
  #bytes = 0;
  /** What becomes of those that still come. */
  #end: ((ask: Ask) => void) | undefined;

  constructor(shard: number, logger: Logger) {
    this.#shard = shard;
    this.#logger = logger;
  }

  get size(): number {
    return this.#asks.length;
  }

  add(ask: Ask): void {
    if (this.#end !== undefined) {
      this.#end(ask);
      return;
    }
    const weight = weightOfAsk(ask);
    if (this.#asks.length >= ASKS_MAX || this.#bytes + weight > BYTES_MAX) {
      this.#refuse(ask, shardErrors.overloaded); // A2
      return;
    }
    this.#bytes += weight;
    this.#asks.push(ask);
  }

  /**
   * Hands all on, and what still comes at once. Where `isSole` says no, the next owner may have heard them too: those
   * without an id, which it could not tell from new ones, are refused (A3).
   */
  handOn(isSole: () => boolean): void {
    this.#finish((ask) => {
      const isTold = ask.id !== undefined || isSole();
      if (ask.handOn === undefined || !isTold) this.#refuse(ask, shardErrors.shard_moved);
      else ask.handOn();
    });
  }

  /** Refuses all, and what still comes. Does nothing once they were handed on. */
  refuse(): void {
    this.#finish((ask) => this.#refuse(ask, shardErrors.shard_moved));
  }

  #finish(end: (ask: Ask) => void): void {
    if (this.#end !== undefined) return;
    this.#end = (ask) => this.#endOne(ask, end);
    const asks = this.#asks;
    this.#asks = [];
    this.#bytes = 0;
    for (const ask of asks) this.#endOne(ask, end);
  }

  #endOne(ask: Ask, end: (ask: Ask) => void): void {
    try {
      end(ask);
    } catch (thrown) {
      this.#tell(ask, thrown);
    }
  }

  #refuse(ask: Ask, kind: ErrorKind): void {
    const message = `Shard ${this.#shard} is moving to another node`;
    this.#tell(ask, new FabricError(kind, message, { details: { shard: this.#shard } }));
  }

  #tell(ask: Ask, why: unknown): void {
    const error = toWireError(why);
    try {
      ask.respond(encodeRefusal(error, ask.contentType));
    } catch (thrown) {
      // There is no connection any more: who asked hears of that.
      this.#logger.warn({ shard: this.#shard, error, unsent: toWireError(thrown) }, 'ask_not_refused');
    }
  }
}
