/**
 * Asks that reached a shard while it was handed over to another node, kept until that one is open.
 *
 * A1  Each is handed on or refused, once; none was stepped here.
 * A2  They are bounded: beyond the bound they are refused at once, retryably.
 * A3  What two owners may have heard is handed on only where its id tells that it is the same.
 */
import { encodeRefusal } from '#runtime/edge/replies';
import { type ErrorKind, FabricError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import { weightOfAsk } from './gather.ts';
import type { Ask } from './ports.ts';

const ASKS_MAX = 65_536;
const BYTES_MAX = 64 * 1024 * 1024;

export class HeldAsks {
  readonly #shard: number;
  #asks: Ask[] = [];
  #bytes = 0;
  /** What becomes of those that still come. */
  #end: ((ask: Ask) => void) | undefined;

  constructor(shard: number) {
    this.#shard = shard;
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
    this.#end = end;
    const asks = this.#asks;
    this.#asks = [];
    this.#bytes = 0;
    for (const ask of asks) end(ask);
  }

  #refuse(ask: Ask, kind: ErrorKind): void {
    const error = new FabricError(kind, `Shard ${this.#shard} is moving to another node`, {
      details: { shard: this.#shard },
    });
    ask.respond(encodeRefusal(error.toWire(), ask.contentType));
  }
}
