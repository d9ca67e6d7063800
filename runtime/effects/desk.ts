/**
 * Runs effects where they belong: those of a kind with labels on a node that has them, all others here. The actor's
 * state stays in its shard, whose log alone says what is to be run and what came of it.
 *
 * E1  At least once, under the effect's stable key: an order is sent again until its result is here, and to another
 *     node when the first has gone. Its result counts once, by the log.
 * E2  A node that runs a key already, or has just run it, does not begin it again; so an effect outlives the move of
 *     its shard to another owner, also to or from the node that runs it: that orders it of itself as others do.
 * E3  Effects of one actor go to one node, as long as that is there: what they talk to may live in it.
 * E4  What no node can run waits, and is told about; it starts when one comes.
 * E5  A node ends what it runs under an order and what nobody orders any more: the order to end it may be lost, with a
 *     message or with the owner that was to send it.
 */
import type { Clock, EffectResult, EffectRunner, Logger, PendingEffect } from '#runtime/shard/ports';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { effectErrors } from './errors.ts';
import { type EffectLink, type LinkMessage, withSelf } from './link.ts';
import { EFFECT_LIMITS, type EffectHub, type Effects } from './runner.ts';

/** An order that may be lost is sent again after this. */
const AGAIN_AFTER_MS = 2_000;
/** E5: how often a node looks what is still ordered. */
const LOOK_EVERY_MS = 10_000;
/**
 * E5: looks without an order in between that end an effect. They take a minute, longer than a shard is without an owner.
 * Looks are counted, not time: a node that stood still has missed the orders, too.
 */
const UNORDERED_LOOKS_MAX = 7;
/** Results kept for owners that ask again: they do within seconds. */
const RESULTS_KEPT_MAX = 256;

export interface DeskOptions {
  readonly nodeId: string;
  readonly hub: EffectHub;
  readonly link: EffectLink;
  /** Labels that a node must have for the effects of an actor; undefined for any node. */
  readonly labelsOf: (actor: string) => Readonly<Record<string, string>> | undefined;
  /** Id of the node that should run effects of an actor with these labels now; undefined where none can. */
  readonly place: (labels: Readonly<Record<string, string>>, actor: string) => string | undefined;
  /** A node is there, or it may be: its row has not ended. */
  readonly isThere: (nodeId: string) => boolean;
  /** Calls after each change of what nodes there are, until the function that is given back is called. */
  readonly onChange: (heard: () => void) => () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An effect with labels that runs here, for another node or this one. */
interface Order {
  /** Whom to tell. */
  readonly from: string;
  readonly shard: number;
  /** Looks since the last order. */
  looks: number;
}

export class EffectDesk {
  readonly #options: DeskOptions;
  readonly #runners = new Map<number, PlacedEffects>();
  readonly #guests: Effects;
  /** By key. */
  readonly #orders = new Map<string, Order>();
  #nextLook: unknown;
  readonly #results = new Map<string, EffectResult>();
  readonly #link: { close(): Promise<void> };
  readonly #unlisten: () => void;

  constructor(options: DeskOptions) {
    this.#options = { ...options, link: withSelf(options.link, options.nodeId) };
    this.#guests = options.hub.runner((result) => this.#guestDone(result));
    this.#link = this.#options.link.open((message) => this.#hear(message));
    this.#unlisten = options.onChange(() => {
      for (const runner of this.#runners.values()) runner.look();
    });
  }

  /** The runner of a shard that this node owns. */
  runner(shard: number, deliver: (result: EffectResult) => void): EffectRunner {
    const runner: PlacedEffects = new PlacedEffects(shard, this.#options, deliver, () => {
      if (this.#runners.get(shard) === runner) this.#runners.delete(shard);
    });
    this.#runners.set(shard, runner);
    return runner;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlisten();
    await this.#link.close();
    this.#options.clock.clearTimer(this.#nextLook);
    await this.#guests.close();
  }

  #hear(message: LinkMessage): void {
    switch (message.kind) {
      case 'start':
        this.#startGuest(message.effect, message.from, message.shard);
        return;
      case 'cancel':
        this.#endGuest(message.key);
        return;
      case 'done':
        this.#runners.get(message.shard)?.done(message.result);
    }
  }

  /** E2. */
  #startGuest(effect: PendingEffect, from: string, shard: number): void {
    const result = this.#results.get(effect.key);
    if (result !== undefined) {
      this.#tell(from, shard, result);
      return;
    }
    this.#orders.set(effect.key, { from, shard, looks: 0 });
    this.#guests.start(effect);
    this.#nextLook ??= this.#options.clock.setTimer(() => this.#look(), LOOK_EVERY_MS);
  }

  /** E5. */
  #look(): void {
    const { clock, log } = this.#options;
    for (const [key, order] of this.#orders) {
      order.looks += 1;
      if (order.looks < UNORDERED_LOOKS_MAX) continue;
      log.warn({ key, from: order.from, shard: order.shard }, 'effects.not_ordered');
      this.#endGuest(key);
    }
    const isDone = this.#orders.size === 0;
    this.#nextLook = isDone ? undefined : clock.setTimer(() => this.#look(), LOOK_EVERY_MS);
  }

  #endGuest(key: string): void {
    this.#orders.delete(key);
    this.#guests.cancel(key);
  }

  #guestDone(result: EffectResult): void {
    const owner = this.#orders.get(result.key);
    this.#orders.delete(result.key);
    const [oldest] = this.#results.keys();
    if (this.#results.size >= RESULTS_KEPT_MAX && oldest !== undefined) this.#results.delete(oldest);
    this.#results.set(result.key, result);
    if (owner !== undefined) this.#tell(owner.from, owner.shard, result);
  }

  #tell(nodeId: string, shard: number, result: EffectResult): void {
    try {
      this.#options.link.send(nodeId, { kind: 'done', shard, result });
    } catch (thrown) {
      // E1: who owns it asks again.
      this.#options.log.warn(
        { key: result.key, nodeId, error: toWireError(thrown) },
        'effects.result_not_sent',
      );
    }
  }
}

/** An effect that belongs to a node with labels, which may be this one. */
interface Flight {
  readonly effect: PendingEffect;
  readonly labels: Readonly<Record<string, string>>;
  /** Where it was sent; undefined while no node can run it. */
  nodeId: string | undefined;
  again: unknown;
}

/** The effects of one shard: without labels here, all others at the node where they belong. */
class PlacedEffects implements EffectRunner {
  readonly #shard: number;
  readonly #options: DeskOptions;
  readonly #deliver: (result: EffectResult) => void;
  readonly #local: Effects;
  readonly #flights = new Map<string, Flight>();
  readonly #closed: () => void;
  #isClosed = false;

  constructor(
    shard: number,
    options: DeskOptions,
    deliver: (result: EffectResult) => void,
    closed: () => void,
  ) {
    this.#shard = shard;
    this.#options = options;
    this.#deliver = deliver;
    this.#closed = closed;
    this.#local = options.hub.runner(deliver);
  }

  start(effect: PendingEffect): void {
    if (this.#isClosed || this.#flights.has(effect.key)) return;
    const labels = this.#options.labelsOf(effect.actor);
    if (labels === undefined) {
      this.#local.start(effect);
      return;
    }
    const flight: Flight = { effect, labels, nodeId: undefined, again: undefined };
    if (this.#flights.size >= EFFECT_LIMITS.pendingMax) {
      const message = `${this.#flights.size} effects are under way`;
      const error = new FabricError(effectErrors.effect_overloaded, message).toWire();
      queueMicrotask(() => this.#isClosed || this.#deliver({ key: effect.key, ok: false, error }));
      return;
    }
    this.#flights.set(effect.key, flight);
    this.#dispatch(flight);
    if (flight.nodeId === undefined) this.#unplaced(flight);
  }

  cancel(key: string): void {
    const flight = this.#flights.get(key);
    this.#flights.delete(key);
    this.#local.cancel(key);
    if (flight?.nodeId === undefined) return;
    this.#options.clock.clearTimer(flight.again);
    this.#send(flight.nodeId, { kind: 'cancel', key });
  }

  /** A result from the node that ran it. */
  done(result: EffectResult): void {
    const flight = this.#flights.get(result.key);
    if (flight === undefined) return;
    this.#flights.delete(result.key);
    this.#options.clock.clearTimer(flight.again);
    this.#deliver(result);
  }

  /** Other nodes are there now: what waited starts, and what was at a node that has gone is sent to another (E1). */
  look(): void {
    for (const flight of this.#flights.values()) {
      if (flight.nodeId === undefined || !this.#options.isThere(flight.nodeId)) this.#dispatch(flight);
    }
  }

  /** Effects with labels go on where they are: the next owner of the shard asks for them under the same keys (E2). */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { again } of this.#flights.values()) this.#options.clock.clearTimer(again);
    this.#flights.clear();
    this.#closed();
    await this.#local.close();
  }

  #dispatch(flight: Flight): void {
    const { clock, place } = this.#options;
    clock.clearTimer(flight.again);
    flight.nodeId = place(flight.labels, flight.effect.actor);
    if (flight.nodeId !== undefined) this.#order(flight, flight.nodeId);
  }

  /** E1. */
  #order(flight: Flight, to: string): void {
    const { clock, nodeId: from } = this.#options;
    this.#send(to, { kind: 'start', from, shard: this.#shard, effect: flight.effect });
    flight.again = clock.setTimer(() => this.#order(flight, to), AGAIN_AFTER_MS);
  }

  /** E4. */
  #unplaced({ effect, labels }: Flight): void {
    const { key, actor, driver } = effect;
    this.#options.log.warn({ key, actor, driver, labels }, 'effects.no_node');
  }

  #send(nodeId: string, message: LinkMessage): void {
    try {
      this.#options.link.send(nodeId, message);
    } catch (thrown) {
      this.#options.log.warn({ nodeId, kind: message.kind, error: toWireError(thrown) }, 'effects.not_sent');
    }
  }
}
