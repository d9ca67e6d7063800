/** Nodes of one realm in memory, on a clock of the test's own: real hosts, seats and shards over a bus in memory. */
import { decode } from '#runtime/bus/codec';
import { addressOfTail } from '#runtime/bus/subjects';
import type { LeaseStore } from '#runtime/claims/lease-store';
import { edgeGate } from '#runtime/edge/verify';
import { createRegistry, type Registry } from '#runtime/machine/registry';
import { Roster } from '#runtime/members/roster';
import type { MemberStore } from '#runtime/members/store';
import { ShardHost } from '#runtime/node/host';
import type { Ask, AskDoor, Clock, Logger } from '#runtime/shard/ports';
import type { ShardDeps } from '#runtime/shard/shard';
import { MemoryBus } from '#runtime/testing/memory-bus';
import { memoryLeases } from '#runtime/testing/memory-leases';
import { memoryMembers } from '#runtime/testing/memory-members';
import { seededRandom } from '#runtime/testing/seeded-random';
import { VirtualClock } from '#runtime/testing/virtual-clock';
import { defaultLimits } from '#schemas/limits';
import { silentLogger } from '../rig/nats.ts';
import { v1 } from './counters.ts';

export const LEASE_TTL_MS = 2_000;
export const STAY_MS = 10_000;
/** An ask that nobody answers for so long has failed. */
const ASK_MS_MAX = 30_000;

/** How long a row of a node is on its way. */
const TELL_MS = 3;

interface Door {
  readonly node: MemoryMember;
  readonly shard: number;
  readonly group: string;
  readonly deliver: (ask: Ask) => void;
}

export interface NodePlan {
  readonly capacity?: number;
  readonly machines?: readonly string[];
  readonly logger?: Logger;
}

/** What an ask came to. */
export type Told = { readonly ok: true; readonly n: number } | { readonly ok: false; readonly code: string };

export class Cluster {
  readonly clock = new VirtualClock();
  readonly bus: MemoryBus;
  readonly leases: LeaseStore;
  readonly members: MemberStore;
  readonly nodes = new Map<string, MemoryMember>();
  /** Leases and rows cannot be written; they expire all the same. */
  isAway = false;
  /** Nobody hears of rows, nor that they end. */
  isMute = false;
  readonly doors: Door[] = [];
  /** Picks one of the doors of a queue group. */
  pick: (count: number) => number = () => 0;
  #lives = 0;

  constructor(shards: number) {
    this.bus = new MemoryBus({ shards, clock: this.clock });
    // A round trip of a real bus: what happens meanwhile is what has to be right.
    this.bus.delayMs = () => 2;
    const leases = memoryLeases(this.clock);
    const whileThere = <T>(call: () => Promise<T>): Promise<T> =>
      this.isAway ? Promise.reject(new Error('the bus is away')) : call();
    this.leases = {
      ...leases,
      create: (...args) => whileThere(() => leases.create(...args)),
      update: (...args) => whileThere(() => leases.update(...args)),
      remove: (...args) => whileThere(() => leases.remove(...args)),
      get: (key) => whileThere(() => leases.get(key)),
    };
    const members = memoryMembers(this.clock);
    this.members = {
      ...members,
      // Others hear of it later than it happened: meanwhile both doors of a move are open.
      put: async (key, value, ttlMs) => {
        await new Promise<void>((done) => this.clock.setTimer(done, TELL_MS));
        await whileThere(() => members.put(key, value, ttlMs));
      },
      watch: (heard) =>
        members.watch((key, value) => {
          if (!this.isMute) heard(key, value);
        }),
    };
  }

  async start(name: string, plan: NodePlan = {}): Promise<MemoryMember> {
    this.#lives += 1;
    const node = new MemoryMember(this, name, `${name}-${this.#lives}`, this.#lives, plan);
    this.nodes.set(name, node);
    const starting = node.start();
    await this.clock.advance(10);
    await starting;
    return node;
  }

  /** Shards by the name of the node that runs them. */
  owners(): (string | undefined)[] {
    return Array.from(
      { length: this.bus.shards },
      (_, shard) =>
        [...this.nodes.values()].find((node) => node.isAlive && node.host.running(shard) !== undefined)?.name,
    );
  }

  /** As any tool asks: no id, no second try. Resolves with the clock. */
  ask(address: string): Promise<Told> {
    return new Promise((resolve) => {
      const late = this.clock.setTimer(() => resolve({ ok: false, code: 'no_answer' }), ASK_MS_MAX);
      const subject = this.bus.subjects.askShard(address);
      const ask: Ask = {
        subject,
        body: Buffer.from('{"type":"inc"}'),
        contentType: undefined,
        id: undefined,
        from: undefined,
        trace: undefined,
        respond: (body) => {
          this.clock.clearTimer(late);
          const text = typeof body === 'string' ? body : Buffer.from(body).toString();
          const answer = JSON.parse(text) as { ok: boolean; reply?: { n: number }; error?: { code: string } };
          resolve(
            answer.ok
              ? { ok: true, n: answer.reply?.n ?? -1 }
              : { ok: false, code: answer.error?.code ?? '' },
          );
        },
        handOn: () => this.#publish(ask, () => {}),
      };
      this.#publish(ask, () => {
        this.clock.clearTimer(late);
        resolve({ ok: false, code: 'no_responders' });
      });
    });
  }

  /** Every commit of a shard's log has the epoch of the one before it or a later one. */
  epochs(shard: number): number[] {
    return this.bus.commits(shard).map(({ bytes }) => (decode(bytes) as { epoch: number }).epoch);
  }

  /** One door of each queue group gets it, as with a real server. */
  #publish(ask: Ask, nobody: () => void): void {
    const shard = this.bus.subjects.shardOf(addressOfTail(ask.subject));
    const open = this.doors.filter((door) => door.shard === shard);
    if (open.length === 0) nobody();
    for (const group of new Set(open.map((door) => door.group))) {
      const of = open.filter((door) => door.group === group);
      const door = of[this.pick(of.length)];
      queueMicrotask(() => {
        if (door?.node.isAlive === true) door.deliver(ask);
      });
    }
  }
}

/** One life of a node. */
export class MemoryMember {
  readonly name: string;
  readonly id: string;
  readonly #cluster: Cluster;
  readonly #plan: NodePlan;
  readonly #life: number;
  readonly #clock: Clock;
  readonly #registry: Registry;
  #isAlive = true;
  #roster: Roster | undefined;
  #host: ShardHost | undefined;

  constructor(cluster: Cluster, name: string, id: string, life: number, plan: NodePlan) {
    this.#cluster = cluster;
    this.name = name;
    this.id = id;
    this.#plan = plan;
    this.#life = life;
    const { clock } = cluster;
    this.#clock = {
      now: () => clock.now(),
      setTimer: (fn, delayMs) => clock.setTimer(() => this.#isAlive && fn(), delayMs),
      clearTimer: (timer) => clock.clearTimer(timer),
    };
    this.#registry = createRegistry([]);
    for (const definition of v1) this.#registry.define(definition);
    this.#registry.addKind({
      type: 'counter',
      machine: 'tally',
      version: 1,
      spawnOnMessage: true,
      door: 'open',
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get host(): ShardHost {
    if (this.#host === undefined) throw new Error('the node was not started');
    return this.#host;
  }

  get roster(): Roster {
    if (this.#roster === undefined) throw new Error('the node was not started');
    return this.#roster;
  }

  async start(): Promise<void> {
    const { bus, leases, members } = this.#cluster;
    const logger = this.#plan.logger ?? silentLogger;
    this.#roster = await Roster.open({
      traits: {
        id: this.id,
        name: this.name,
        version: '1',
        capacity: this.#plan.capacity ?? 1,
        labels: {},
        machines: [...(this.#plan.machines ?? this.#registry.refs())],
        kinds: {},
        startedAt: this.#cluster.clock.now() + this.#life,
      },
      store: this.#live(members),
      ttlMs: LEASE_TTL_MS,
      clock: this.#clock,
      logger,
    });
    this.#host = new ShardHost({
      nodeId: this.id,
      shards: bus.shards,
      leaseTtlMs: LEASE_TTL_MS,
      stayMs: STAY_MS,
      leases: this.#live(leases),
      roster: this.#roster,
      clock: this.#clock,
      random: seededRandom(this.#life),
      logger,
      doorOf: (shard, group) => this.#door(shard, group),
      depsOf: (shard, group) => this.#deps(shard, group, logger),
      changed: () => {},
    });
    await this.#host.start();
  }

  /** Cleanly; the clock has to be moved. */
  async stop(): Promise<void> {
    await this.host.stop();
    await this.roster[Symbol.asyncDispose]();
    this.kill();
  }

  /** `kill -9`. */
  kill(): void {
    this.#isAlive = false;
    this.#cluster.doors.splice(0, Infinity, ...this.#cluster.doors.filter(({ node }) => node !== this));
  }

  /** `SIGSTOP`, for good: it does nothing any more, but the server goes on sending to its doors. */
  freeze(): void {
    this.#isAlive = false;
  }

  /** A port that a dead node gets no answer from, and does nothing through. */
  #live<T extends object>(port: T): T {
    return new Proxy(port, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (!this.#isAlive) return new Promise(() => undefined);
          const heard = args.map((arg) =>
            typeof arg === 'function' ? (...told: unknown[]) => this.#isAlive && arg(...told) : arg,
          );
          const result: unknown = Reflect.apply(value, target, heard);
          if (!(result instanceof Promise)) return result;
          return result.then(
            (done) => (this.#isAlive ? done : new Promise(() => undefined)),
            (thrown) => (this.#isAlive ? Promise.reject(thrown) : new Promise(() => undefined)),
          );
        };
      },
    });
  }

  #door(shard: number, group: string): AskDoor {
    const { doors } = this.#cluster;
    return {
      open: (deliver) => {
        const door: Door = { node: this, shard, group, deliver };
        doors.push(door);
        return {
          close: async () => {
            const at = doors.indexOf(door);
            if (at >= 0 && this.#isAlive) doors.splice(at, 1);
          },
        };
      },
    };
  }

  #deps(shard: number, group: string, logger: Logger): ShardDeps {
    const { bus } = this.#cluster;
    return {
      shard,
      node: this.id,
      registry: this.#registry,
      shardOf: (address) => bus.subjects.shardOf(address),
      addressOf: addressOfTail,
      mailOf: (message) => bus.mailOf(message),
      log: this.#live(bus.log(shard)),
      inbox: this.#live(bus.inboxOf(shard)),
      asks: this.#door(shard, group),
      outbox: this.#live(bus.outbox(shard)),
      blobs: this.#live(bus.blobStore(shard)),
      effects: () => ({ start() {}, cancel() {}, close: async () => {} }),
      gate: edgeGate({ policy: { unsignedTypes: [] }, keyOf: () => undefined }),
      clock: this.#clock,
      logger,
      limits: defaultLimits(),
    };
  }
}
