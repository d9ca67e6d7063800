/**
 * The doors of a shard: asks, sends, and mail of other shards become items that wait for their step, or are refused.
 * Invariants P1, P6 and P7 of shard.ts begin here.
 */
import { encodeRefusal } from '#runtime/edge/replies';
import type { Address } from '#schemas/address';
import type { Commit, Entry } from '#schemas/commit';
import { type ErrorKind, FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { checkBundle, checkHeaders, NOBODY } from './check-arrival.ts';
import { shardErrors } from './errors.ts';
import { FirstAnswers } from './first-answers.ts';
import { type BodyItem, type Item, type ItemQueue, weightOfAsk } from './gather.ts';
import { HeldAsks } from './held-asks.ts';
import type { Ask, InboxMessage } from './ports.ts';
import { answerItem, refuseItem, respond } from './reply.ts';
import type { ShardDeps } from './shard-types.ts';
import type { ShardState } from './state.ts';
import { entryOfMessage, isTwin } from './twin.ts';

/** Bytes of bodies that may wait, beside the bound on their number. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** Retries of one message that may wait for its answer. */
const RETRIES_MAX = 16;

/** What the doors know of their shard. */
export interface DoorsOptions {
  readonly deps: ShardDeps;
  readonly queue: ItemQueue;
  readonly state: () => ShardState;
  /** Why the shard takes no asks at this moment. */
  readonly closedFor: () => { readonly kind: ErrorKind; readonly message: string } | undefined;
  /** Called after an item was queued. */
  readonly queued: () => void;
}

export class Doors {
  readonly #options: DoorsOptions;
  readonly #firstAnswers: FirstAnswers;
  /** Messages with an id that wait or are being committed. */
  readonly #inflight = new Map<number, BodyItem>();
  /** What the retries take that wait with them, bytes. */
  #retryBytes = 0;
  /** Set once the shard hands over: what waits and what still comes is for its next owner. */
  #held: HeldAsks | undefined;

  constructor(options: DoorsOptions) {
    this.#options = options;
    this.#firstAnswers = new FirstAnswers(options.deps.log);
  }

  /** P7. */
  get isFull(): boolean {
    return this.#fills(1);
  }

  /** Room enough to take from the inbox again. */
  get hasRoom(): boolean {
    return !this.#fills(0.5);
  }

  /** Takes an ask. It is answered after its commit, or at once with a typed refusal. */
  offer(ask: Ask): void {
    const { deps } = this.#options;
    const closed = this.#held === undefined ? this.#options.closedFor() : undefined;
    if (closed !== undefined) {
      this.#refuse(ask, closed.kind, closed.message);
      return;
    }
    let address: Address;
    try {
      address = deps.addressOf(ask.subject);
      checkHeaders(ask);
    } catch (thrown) {
      ask.respond(encodeRefusal(toWireError(thrown), ask.contentType));
      return;
    }
    if (this.#held !== undefined) {
      this.#held.add(ask);
      return;
    }
    const state = this.#options.state();
    if (state.shardOf(address) !== deps.shard) {
      this.#refuse(ask, shardErrors.wrong_shard, `${address} lives in shard ${state.shardOf(address)}`);
      return;
    }
    const key = ask.id === undefined ? undefined : state.dedupe.key(ask.from, address, ask.id);
    if (key === undefined) {
      this.#enqueue(ask, address, key);
      return;
    }
    const twin = this.#inflight.get(key);
    if (twin !== undefined && isTwin(twin, address, ask)) {
      this.#join(twin, ask);
      return;
    }
    const seq = state.dedupe.get(key);
    if (seq === undefined) this.#enqueue(ask, address, key);
    else void this.#answerAgain(ask, address, key, seq);
  }

  /** Takes a message of the inbox. What names nobody that could be stepped still gets its place in the log (P6). */
  receive(message: InboxMessage): void {
    const { deps } = this.#options;
    try {
      const bundle = deps.mailOf(message);
      if (bundle === undefined) this.#receiveSend(message);
      else {
        checkBundle(bundle, this.#options.state());
        this.#push({ kind: 'bundle', seq: message.seq, bundle, cursor: 0, accepted: undefined });
      }
    } catch (thrown) {
      const unnamed = { ...message, id: undefined, from: undefined };
      this.#push({ ...sendItem(unnamed, NOBODY, undefined, undefined), refusal: toWireError(thrown) });
    }
  }

  /** After the commit: tells everybody who waits for an item, and remembers its id. */
  answer(item: Item, entry: Entry, commit: Commit, seq: number): void {
    if ((item.kind === 'ask' || item.kind === 'inbox') && item.key !== undefined) {
      this.#inflight.delete(item.key);
      this.#options.state().dedupe.add(item.key, seq);
    }
    try {
      answerItem(item, entry, commit);
    } catch (thrown) {
      // It is stored: who asks again gets the answer from the log. The others of the batch get theirs now.
      const { logger, shard } = this.#options.deps;
      logger.error({ shard, actor: entry.actor, error: toWireError(thrown) }, 'answer_failed');
    }
    this.#letGo(item);
  }

  /** Refuses everybody who waits for an item that was not committed. */
  refuseItem(item: Item, error: WireError): void {
    if ('key' in item && item.key !== undefined) this.#inflight.delete(item.key);
    refuseItem(item, error);
    this.#letGo(item);
  }

  /** From now on asks are kept for the next owner. */
  hold(): HeldAsks {
    this.#held ??= new HeldAsks(this.#options.deps.shard, this.#options.deps.logger);
    return this.#held;
  }

  /** What waits is for the next owner too; it is in the log, or an ask, or an order that is refused. */
  holdWaiting(error: WireError): void {
    const held = this.hold();
    for (const item of this.#options.queue.clear()) {
      if (item.kind === 'ask') held.add(item.ask);
      else this.refuseItem(item, error);
      if (item.kind === 'ask' || item.kind === 'inbox') for (const again of item.also ?? []) held.add(again);
      this.#letGo(item);
    }
    this.#inflight.clear();
  }

  /** Refuses everything that waits. */
  clear(error: WireError): void {
    for (const item of this.#options.queue.clear()) this.refuseItem(item, error);
    this.#inflight.clear();
  }

  /** Throws where no actor can be meant. */
  #receiveSend(message: InboxMessage): void {
    const { deps } = this.#options;
    const address = deps.addressOf(message.subject);
    checkHeaders(message);
    const { dedupe, shardOf } = this.#options.state();
    const key = message.id === undefined ? undefined : dedupe.key(message.from, address, message.id);
    const twin = key === undefined ? undefined : this.#inflight.get(key);
    if (twin !== undefined && isTwin(twin, address, message)) {
      this.#push({ kind: 'skip', seq: message.seq });
      return;
    }
    const twinSeq = key === undefined ? undefined : dedupe.get(key);
    const home = shardOf(address);
    const item = {
      ...sendItem(message, address, key, twinSeq),
      // Stored under another number of shards: a second actor of its address must not begin here.
      ...(home !== deps.shard && { refusal: wrongShard(address, home).toWire() }),
    };
    if (key !== undefined && twinSeq === undefined) this.#inflight.set(key, item);
    this.#push(item);
  }

  #enqueue(ask: Ask, address: string, key: number | undefined): void {
    const { queue, deps, state } = this.#options;
    if (this.isFull || state().localMail.size >= deps.limits.queueMax) {
      const message = `Shard ${deps.shard} has ${queue.length} messages waiting`;
      this.#refuse(ask, shardErrors.overloaded, message);
      return;
    }
    const item: BodyItem = { kind: 'ask', ask, address, key, also: undefined };
    if (key !== undefined) this.#inflight.set(key, item);
    this.#push(item);
  }

  /** A retry of a message that is on its way gets the same answer. */
  #join(twin: BodyItem, ask: Ask): void {
    const weight = weightOfAsk(ask);
    twin.also ??= [];
    if (twin.also.length >= RETRIES_MAX || this.#retryBytes + weight > QUEUE_BYTES_MAX) {
      this.#refuse(ask, shardErrors.overloaded, `Message ${ask.id ?? ''} is being handled already`);
      return;
    }
    this.#retryBytes += weight;
    twin.also.push(ask);
  }

  /** Who was told waits no more. */
  #letGo(item: Item): void {
    if ((item.kind !== 'ask' && item.kind !== 'inbox') || item.also === undefined) return;
    for (const again of item.also) this.#retryBytes -= weightOfAsk(again);
    item.also = undefined;
  }

  /** The first answer of a message handled before, read back from the log. */
  async #answerAgain(ask: Ask, address: string, key: number, seq: number): Promise<void> {
    try {
      const commit = await this.#firstAnswers.commitAt(seq);
      if (commit === undefined) {
        this.#refuse(ask, shardErrors.duplicate_answered, `Message ${ask.id ?? ''} was handled before`);
        return;
      }
      const entry = entryOfMessage(commit, address, ask);
      if (entry !== undefined) {
        respond(ask, entry, commit);
        return;
      }
      // Another id of the same hash.
      const closed = this.#options.closedFor();
      if (closed === undefined) this.#enqueue(ask, address, key);
      else this.#refuse(ask, closed.kind, closed.message);
    } catch (thrown) {
      ask.respond(encodeRefusal({ ...toWireError(thrown), retryable: true }, ask.contentType));
    }
  }

  #push(item: Item): void {
    this.#options.queue.push(item);
    this.#options.queued();
  }

  #refuse(ask: Ask, kind: ErrorKind, message: string): void {
    const error = new FabricError(kind, message, { details: { shard: this.#options.deps.shard } });
    ask.respond(encodeRefusal(error.toWire(), ask.contentType));
  }

  #fills(share: number): boolean {
    const { queue, deps } = this.#options;
    return queue.outside >= deps.limits.queueMax * share || queue.outsideBytes >= QUEUE_BYTES_MAX * share;
  }
}

function wrongShard(address: string, home: number): FabricError {
  return new FabricError(shardErrors.wrong_shard, `${address} lives in shard ${home}`);
}

function sendItem(
  message: InboxMessage,
  address: string,
  key: number | undefined,
  twinSeq: number | undefined,
): Extract<Item, { kind: 'inbox' }> {
  return { kind: 'inbox', message, address, key, also: undefined, twinSeq, isDuplicate: false };
}
