/**
 * One life of a node in memory: the real shards and the real effect runner over a {@link MemoryBus}. It can be killed
 * between any two instructions: from then on nothing it does reaches anybody, and nothing reaches it.
 */

import { addressOfTail } from '#runtime/bus/subjects';
import type { Driver } from '#runtime/effects/driver';
import { Effects } from '#runtime/effects/runner';
import type { MachineRegistry } from '#runtime/machine/types';
import type { Ask, Clock, EdgeGate, Guard, Logger, Random, ShardLog } from '#runtime/shard/ports';
import { type CrashPoint, Shard, type ShardDeps, type ShardLimits } from '#runtime/shard/shard';
import type { MemoryBus } from './memory-bus.ts';

/** Output of an effect, bytes; as a node has it. */
const EFFECT_OUTPUT_BYTES_MAX = 128 * 1024;

export interface MemoryNodeOptions {
  readonly name: string;
  readonly bus: MemoryBus;
  readonly clock: Clock;
  readonly random: Random;
  readonly registry: MachineRegistry;
  readonly drivers: readonly Driver[];
  readonly limits: ShardLimits;
  readonly gate: EdgeGate;
  readonly guard?: Guard | undefined;
  readonly logger: Logger;
  /** Return true to kill the node right there. */
  readonly crashAt?: (point: CrashPoint, shard: number) => boolean;
}

/** Thrown where a node dies in the middle of a step: nothing catches it that still matters. */
class Killed extends Error {}

export class MemoryNode {
  readonly #options: MemoryNodeOptions;
  readonly #shards: Shard[];
  readonly #doors = new Map<number, (ask: Ask) => void>();
  readonly #timers = new Set<unknown>();
  /** What outside of the node still knows it: cut at its death. */
  readonly #cuts: (() => Promise<void>)[] = [];
  readonly #killed = Promise.withResolvers<void>();
  #isAlive = true;
  /** Resolves when the node is killed. */
  readonly killed: Promise<void>;

  constructor(options: MemoryNodeOptions) {
    this.#options = options;
    this.killed = this.#killed.promise;
    this.#shards = Array.from({ length: options.bus.shards }, (_, shard) => new Shard(this.#deps(shard)));
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  shard(shard: number): Shard {
    const found = this.#shards[shard];
    if (found === undefined) throw new RangeError(`The realm has no shard ${shard}`);
    return found;
  }

  /** Recovers every shard. Rejects with what a shard throws; resolves too when the node is killed meanwhile. */
  async start(): Promise<void> {
    await Promise.race([Promise.all(this.#shards.map((shard) => shard.start())), this.killed]);
  }

  /** Gives an ask to its shard's door; false where none is open. */
  offer(shard: number, ask: Ask): boolean {
    const door = this.#isAlive ? this.#doors.get(shard) : undefined;
    door?.({
      ...ask,
      respond: (body) => {
        if (this.#isAlive) ask.respond(body);
      },
    });
    return door !== undefined;
  }

  /** `kill -9`. */
  kill(): void {
    this.#isAlive = false;
    for (const timer of this.#timers) this.#options.clock.clearTimer(timer);
    this.#timers.clear();
    this.#doors.clear();
    for (const cut of this.#cuts) void cut();
    this.#killed.resolve();
  }

  async stop(): Promise<void> {
    if (this.#isAlive) await Promise.all(this.#shards.map((shard) => shard.stop()));
  }

  /** What a dead node waits for never comes. */
  async #live<T>(call: () => Promise<T>): Promise<T> {
    if (!this.#isAlive) return await new Promise<never>(() => undefined);
    let result: T;
    try {
      result = await call();
    } catch (thrown) {
      if (this.#isAlive) throw thrown;
      return await new Promise<never>(() => undefined);
    }
    return this.#isAlive ? result : await new Promise<never>(() => undefined);
  }

  #deps(shard: number): ShardDeps {
    const { bus, registry, gate, guard, limits, name } = this.#options;
    const inbox = bus.inboxOf(shard);
    const outbox = bus.outbox(shard);
    const blobs = bus.blobStore(shard);
    const clock = this.#clock();
    const logger = this.#logger();
    return {
      shard,
      node: name,
      registry,
      dedupeSeed: shard,
      shardOf: (address) => bus.subjects.shardOf(address),
      addressOf: addressOfTail,
      mailOf: (message) => bus.mailOf(message),
      log: this.#log(shard),
      inbox: {
        open: (afterSeq, deliver) =>
          this.#live(async () => {
            const subscription = await inbox.open(afterSeq, (message) => {
              if (this.#isAlive) deliver(message);
            });
            this.#cuts.push(() => subscription.close());
            return subscription;
          }),
        release: (seq) => this.#live(() => inbox.release(seq)),
      },
      asks: {
        open: (deliver) => {
          this.#doors.set(shard, deliver);
          return {
            close: async () => {
              this.#doors.delete(shard);
            },
          };
        },
      },
      outbox: {
        mail: (target, bundle) => this.#live(() => outbox.mail(target, bundle)),
        dead: (letter) => this.#live(() => outbox.dead(letter)),
        event: (actor, event, body) => {
          if (this.#isAlive) outbox.event(actor, event, body);
        },
      },
      blobs: {
        put: (blob, bytes) => this.#live(() => blobs.put(blob, bytes)),
        get: (blob) => this.#live(() => blobs.get(blob)),
        delete: (blob) => this.#live(() => blobs.delete(blob)),
        list: (prefix) => this.#live(() => blobs.list(prefix)),
      },
      effects: (deliver) => {
        const effects = new Effects({
          drivers: this.#options.drivers,
          clock,
          random: this.#options.random,
          deliver: (result) => {
            if (this.#isAlive) deliver(result);
          },
          log: logger,
          limits: { outputBytesMax: EFFECT_OUTPUT_BYTES_MAX },
        });
        this.#cuts.push(() => effects.close());
        return effects;
      },
      gate,
      ...(guard !== undefined && { guard }),
      clock,
      logger,
      limits,
      probe: (point, at) => {
        if (this.#isAlive && this.#options.crashAt?.(point, at) !== true) return;
        this.kill();
        throw new Killed(`The node was killed at ${point}`);
      },
    };
  }

  #log(shard: number): ShardLog {
    const log = this.#options.bus.log(shard);
    const live = <T>(call: () => Promise<T>): Promise<T> => this.#live(call);
    return {
      bytesMax: log.bytesMax,
      head: (until) => live(() => log.head(until)),
      append: (bytes, expectedSeq) => live(() => log.append(bytes, expectedSeq)),
      async *read(afterSeq, throughSeq) {
        for await (const commit of log.read(afterSeq, throughSeq)) yield await live(async () => commit);
      },
      get: (seq) => live(() => log.get(seq)),
    };
  }

  #clock(): Clock {
    const { clock } = this.#options;
    return {
      now: () => clock.now(),
      setTimer: (fn, delayMs) => {
        if (!this.#isAlive) return undefined;
        const timer = clock.setTimer(() => {
          this.#timers.delete(timer);
          fn();
        }, delayMs);
        this.#timers.add(timer);
        return timer;
      },
      clearTimer: (timer) => {
        this.#timers.delete(timer);
        clock.clearTimer(timer);
      },
    };
  }

  #logger(): Logger {
    const { logger } = this.#options;
    const ifAlive = (level: keyof Logger) => (fields: object, event: string) => {
      if (this.#isAlive) logger[level](fields, event);
    };
    return { debug: ifAlive('debug'), info: ifAlive('info'), warn: ifAlive('warn'), error: ifAlive('error') };
  }
}
