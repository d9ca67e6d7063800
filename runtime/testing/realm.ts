/**
 * A realm inside a test: the real kernel on a bus in memory and a clock that moves only when told.
 *
 * Nothing is mocked but the outside (the bus, the clock, chance and your drivers), so what a test shows of a machine
 * holds for a node: its log, timers, mail, effects, crashes and recoveries are those of production.
 */

import type { AnyStateMachine } from 'xstate';
import { decodeBody, decodeCommit, encodeBody } from '#runtime/bus/codec';
import { addressOfTail } from '#runtime/bus/subjects';
import type { KeyRecord } from '#runtime/edge/keys';
import { encodeRefusal } from '#runtime/edge/replies';
import { edgeGate } from '#runtime/edge/verify';
import type { Driver, EffectCall } from '#runtime/effects/driver';
import { createRegistry, type MachineDefinition, type Registry } from '#runtime/machine/registry';
import type { ActorKind, EventData } from '#runtime/machine/types';
import type { Ask, DeadLetter, Encoded, Guard, Logger } from '#runtime/shard/ports';
import type { CrashPoint, ShardLimits } from '#runtime/shard/shard';
import type { Cell } from '#runtime/shard/table';
import { statusOf } from '#runtime/shard/table';
import { parseAddress } from '#schemas/address';
import type { EffectRecord, Entry, Mail } from '#schemas/commit';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';
import { defaultLimits } from '#schemas/limits';
import { parseDurationMs } from '#schemas/units';
import { testingErrors } from './errors.ts';
import { type Fate, MemoryBus, type Operation, type SendOptions } from './memory-bus.ts';
import { MemoryNode } from './memory-node.ts';
import { seededRandom } from './seeded-random.ts';
import { settled, VirtualClock } from './virtual-clock.ts';

/** Real time an ask may take: virtual time has nothing to do with it, so a longer wait is a test that forgot to advance. */
const ANSWER_MS_MAX = 30_000;

/** Carries out the effects of one driver; what it returns is the result, what it throws is retried by the policy. */
export type DriverFake = (call: EffectCall) => unknown;

export interface TestRealmOptions {
  /** Machines by name (all version 1), or definitions with versions and migrations. */
  readonly machines: Readonly<Record<string, AnyStateMachine>> | readonly MachineDefinition[];
  /** Kinds by actor type; default: one per machine, open to everybody, alive by its first message. */
  readonly kinds?: Readonly<Record<string, Partial<Omit<ActorKind, 'type'>>>>;
  readonly drivers?: Readonly<Record<string, DriverFake | Omit<Driver, 'name'>>>;
  /** Default 1. */
  readonly shards?: number;
  /** Time at the beginning, ms since the epoch or an ISO date. */
  readonly now?: number | string;
  readonly seed?: number;
  readonly limits?: Partial<ShardLimits>;
  /** Largest commit, bytes. */
  readonly bytesMax?: number;
  /** Keys whose owners may send signed messages. */
  readonly keys?: readonly KeyRecord[];
  /** Sender types that need no signature. */
  readonly unsignedTypes?: readonly string[];
  /** Decides about events from outside. */
  readonly guard?: Guard;
  /** Decides the fate of each write to the bus; see {@link Fate}. */
  readonly fate?: (operation: Operation) => Fate;
  readonly logger?: Logger;
}

export interface Answer {
  /** What the machine replied; undefined where it did not. */
  readonly reply: unknown;
  /** The actor's state value after the event. */
  readonly value: unknown;
  readonly commit: { readonly shard: number; readonly index: number };
}

/** An actor as it is now, and what it wanted done since `given` began. */
export interface Outcome extends ActorView {
  readonly replies: readonly unknown[];
  /** Events and operations it sent to other actors. */
  readonly mail: readonly Mail[];
  /** Effects it asked for, whether they ran already or not. */
  readonly effects: readonly { readonly driver: string; readonly input: unknown; readonly key: string }[];
  /** Live events for watchers. */
  readonly emitted: readonly unknown[];
}

export interface ActorView {
  readonly state: unknown;
  readonly context: unknown;
  readonly status: 'active' | 'done' | 'error' | 'stopped';
  /** `name@version`. */
  readonly machine: string;
  readonly output: unknown;
  /** Timers that wait. */
  readonly timers: readonly { readonly id: string; readonly dueInMs: number; readonly event: unknown }[];
}

/** An entry with the commit it stands in. */
export type LoggedEntry = Entry & { readonly shard: number; readonly index: number; readonly at: number };

/**
 * Starts a realm in memory.
 *
 * @example
 * await using realm = await testRealm({
 *   machines: { order },
 *   drivers: { http: async () => ({ status: 200 }) },
 * });
 * const { reply } = await realm.ask('order/o1', { type: 'place' });
 * const then = await realm.given('order/o1', [{ type: 'pay' }]);
 * then.state; // 'paid'
 * await realm.advance('30m');
 * realm.crash();
 * await realm.restart();
 */
export async function testRealm(options: TestRealmOptions): Promise<TestRealm> {
  const realm = new TestRealm(options);
  await realm.begin();
  return realm;
}

export class TestRealm {
  readonly clock: VirtualClock;
  readonly bus: MemoryBus;
  readonly registry: Registry;
  readonly #options: TestRealmOptions;
  readonly #waiting = new Set<(error: FabricError) => void>();
  #node: MemoryNode;
  #lives = 0;
  #crashPlan: { readonly point: CrashPoint; readonly shard: number | undefined; skip: number } | undefined;

  constructor(options: TestRealmOptions) {
    this.#options = options;
    const now = typeof options.now === 'string' ? Date.parse(options.now) : options.now;
    this.clock = new VirtualClock(now);
    this.bus = new MemoryBus({
      shards: options.shards ?? 1,
      clock: this.clock,
      ...(options.bytesMax !== undefined && { bytesMax: options.bytesMax }),
    });
    if (options.fate !== undefined) this.bus.fate = options.fate;
    this.registry = buildRegistry(options);
    this.#node = this.#newNode();
  }

  /** @internal */
  async begin(): Promise<void> {
    const starting = this.#node.start();
    starting.catch(() => undefined);
    await this.idle();
    await starting;
  }

  get isCrashed(): boolean {
    return !this.#node.isAlive;
  }

  /** The node that runs now. */
  get node(): MemoryNode {
    return this.#node;
  }

  /**
   * Asks an actor and resolves after the commit. Throws the refusal as a {@link FabricError} with its code; throws
   * `realm_crashed` when the realm is crashed before it answers.
   */
  async ask(address: string, event: object, options: SendOptions = {}): Promise<Answer> {
    return await this.askOf(undefined, address, event, options);
  }

  /** Asks at the door of one node: another than the realm's own is a former or a later owner. */
  async askOf(
    node: MemoryNode | undefined,
    address: string,
    event: object,
    options: SendOptions = {},
  ): Promise<Answer> {
    const { type, id } = parseAddress(address);
    const plain = `${type}/${id}`;
    const body = encodeBody(event, options.contentType);
    const reply = await this.request(this.bus.subjects.askShard(plain), body, options, node);
    const answer = decodeBody(reply, options.contentType) as
      | ({ ok: true } & Answer)
      | { ok: false; error: WireError };
    if (!answer.ok) throw errorOf(answer.error);
    return { reply: answer.reply, value: answer.value, commit: answer.commit };
  }

  /** A raw request on an ask subject, whatever its subject and body; resolves with the raw answer. */
  request(
    subject: string,
    body: Uint8Array,
    options: SendOptions = {},
    node: MemoryNode = this.#node,
  ): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const late = setTimeout(() => end(noAnswer(subject)), ANSWER_MS_MAX);
    const end = (outcome: Encoded | FabricError): void => {
      clearTimeout(late);
      this.#waiting.delete(end);
      if (outcome instanceof FabricError) reject(outcome);
      else resolve(typeof outcome === 'string' ? Buffer.from(outcome) : outcome);
    };
    if (!node.isAlive) {
      end(crashed());
      return promise;
    }
    this.#waiting.add(end);
    const { id, from, contentType, trace } = options;
    this.#route(node, { subject, body, contentType, id, from, trace, respond: end });
    return promise;
  }

  /** Stores a send, as a client's; the realm may be crashed. Returns its sequence in the inbox. */
  send(address: string, event: object, options: SendOptions = {}): number {
    const body = encodeBody(event, options.contentType);
    return this.bus.send(parseAddress(address).address, body, options);
  }

  /** Brings an actor to life, or adopts it where it lives. */
  async spawn(address: string, options: { machine?: string; input?: unknown } = {}): Promise<void> {
    const { type, address: actor } = parseAddress(address);
    const kind = this.registry.kind(type);
    const machine = options.machine ?? (kind === undefined ? type : `${kind.machine}@${kind.version}`);
    const input = options.input ?? kind?.input;
    const outcome = await this.#node.shard(this.bus.subjects.shardOf(actor)).admin({
      cause: { kind: 'admin', by: 'test' },
      actor,
      op: 'spawn',
      machine,
      ...(input !== undefined && { input }),
    });
    if (!outcome.ok) throw errorOf(outcome.error);
    if (outcome.entry.error !== undefined) throw errorOf(outcome.entry.error);
    await this.idle();
  }

  /**
   * Asks the actor each event in turn, lets everything settle that needs no time, and tells what became of it.
   *
   * @example
   * const then = await realm.given('order/o1', [{ type: 'place', item: 'tea' }, { type: 'pay' }]);
   * t.is(then.state, 'paid');
   * t.deepEqual(then.effects.map((e) => e.driver), ['http']);
   */
  async given(address: string, events: readonly EventData[]): Promise<Outcome> {
    const actor = parseAddress(address).address;
    const commitsBefore = this.#allCommits().length;
    const eventsBefore = this.bus.events.length;
    const replies: unknown[] = [];
    for (const event of events) replies.push((await this.ask(actor, event)).reply);
    await this.idle();
    const commits = this.#allCommits().slice(commitsBefore);
    return {
      ...(await this.actor(actor)),
      replies,
      mail: commits.flatMap((c) => c.mail ?? []).filter((mail) => mail.from === actor),
      effects: commits
        .flatMap((c) => c.effects ?? [])
        .filter((effect): effect is Exclude<EffectRecord, { cancel: true }> => !('cancel' in effect))
        .filter((effect) => effect.actor === actor)
        .map(({ driver, input, key }) => ({ driver, input, key })),
      emitted: this.bus.events.slice(eventsBefore).flatMap((e) => (e.actor === actor ? [e.body] : [])),
    };
  }

  /** An actor as it is after the last commit. Throws `no_realm_actor`. */
  async actor(address: string): Promise<ActorView> {
    const cell = await this.cell(address);
    if (cell === undefined) {
      throw new FabricError(testingErrors.no_realm_actor, `No actor lives at ${address}`, {
        details: { address },
      });
    }
    const now = this.clock.now();
    return {
      state: cell.state.value,
      context: cell.state.context,
      status: statusOf(cell),
      machine: cell.machine.ref,
      output: cell.state.output,
      timers: [...(cell.timers?.values() ?? [])].map(({ id, dueAt, event }) => ({
        id,
        dueInMs: dueAt - now,
        event,
      })),
    };
  }

  /** The kernel's own record of an actor; undefined where there is none. */
  async cell(address: string): Promise<Cell | undefined> {
    const actor = parseAddress(address).address;
    if (this.isCrashed) throw crashed();
    return await this.#node.shard(this.bus.subjects.shardOf(actor)).look(actor);
  }

  /** Moves the clock: `'10s'`, `'30m'`, `'2h'`, or ms. Timers fire in order, effects run, mail travels. */
  async advance(time: string | number): Promise<void> {
    const ms = parseDurationMs(time);
    if (ms === undefined) throw new RangeError(`"${time}" is no duration: write 300ms, 10s, 5m, 2h or 1d`);
    await this.clock.advance(ms);
  }

  /** Lets everything happen that needs no time. */
  async idle(): Promise<void> {
    await settled();
  }

  /**
   * Kills the realm's node: at once, or at a point of a coming commit (`skip` commits later, of one `shard` where
   * given). Nothing that is not stored survives; asks that wait are rejected with `realm_crashed`.
   */
  crash(point?: CrashPoint, options: { readonly skip?: number; readonly shard?: number } = {}): void {
    if (point !== undefined) {
      this.#crashPlan = { point, skip: options.skip ?? 0, shard: options.shard };
      return;
    }
    this.#node.kill();
    this.#failWaiting();
  }

  /** A new node recovers everything from the bus. Throws `not_crashed`, and what a shard throws at recovery. */
  async restart(): Promise<void> {
    if (!this.isCrashed) {
      throw new FabricError(testingErrors.not_crashed, 'The realm runs: there is nothing to restart');
    }
    this.#crashPlan = undefined;
    this.#node = this.#newNode();
    await this.begin();
  }

  /** A node that takes the realm's shards over while the first one still runs; end it with `kill`. */
  async secondNode(): Promise<MemoryNode> {
    const node = this.#newNode();
    const starting = node.start();
    await this.idle();
    await starting;
    return node;
  }

  /** Entries of the log, oldest first, of one actor or of all. */
  log(address?: string): LoggedEntry[] {
    const actor = address === undefined ? undefined : parseAddress(address).address;
    return this.#allCommits().flatMap(({ shard, index, at, entries }) =>
      entries
        .filter((entry) => actor === undefined || entry.actor === actor)
        .map((entry) => ({ ...entry, shard, index, at })),
    );
  }

  /** Dead letters, oldest first. */
  dead(): readonly DeadLetter[] {
    return this.bus.dead;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopping = this.#node.stop();
    await this.clock.advance(10_000);
    await Promise.race([stopping, settled()]);
    this.crash();
  }

  /** The door: as the subscriptions of a node share the ask subjects. */
  #route(node: MemoryNode, ask: Ask): void {
    const tokens = ask.subject.split('.');
    try {
      const isShort = tokens.length === 4;
      if (tokens[1] !== 'ask' || (!isShort && tokens.length !== 5)) addressOfTail('');
      const shard = isShort ? this.bus.subjects.shardOf(addressOfTail(ask.subject)) : Number(tokens[2]);
      if (node.offer(shard, ask)) return;
      throw new FabricError(testingErrors.no_answer, `Nobody takes asks of shard ${tokens[2]}`);
    } catch (thrown) {
      ask.respond(encodeRefusal(toWireError(thrown), ask.contentType));
    }
  }

  #newNode(): MemoryNode {
    const { drivers = {}, limits, keys = [], unsignedTypes = [], seed = 1, logger = SILENT } = this.#options;
    this.#lives += 1;
    const byKid = new Map(keys.map((key) => [key.kid, key]));
    return new MemoryNode({
      name: `node${this.#lives}`,
      bus: this.bus,
      clock: this.clock,
      random: seededRandom(seed * 1_000 + this.#lives),
      registry: this.registry,
      drivers: Object.entries({ ...NO_FAKES, ...drivers }).map(([name, driver]) => driverOf(name, driver)),
      limits: { ...defaultLimits(), ...limits },
      gate: edgeGate({ policy: { unsignedTypes }, keyOf: (kid) => byKid.get(kid) }),
      guard: this.#options.guard,
      logger,
      crashAt: (point, shard) => {
        const plan = this.#crashPlan;
        if (plan?.point !== point || (plan.shard !== undefined && plan.shard !== shard)) return false;
        if (plan.skip-- > 0) return false;
        this.#crashPlan = undefined;
        queueMicrotask(() => this.#failWaiting());
        return true;
      },
    });
  }

  #failWaiting(): void {
    for (const end of [...this.#waiting]) end(crashed());
  }

  #allCommits() {
    const commits = [];
    for (let shard = 0; shard < this.bus.shards; shard++) commits.push(...this.bus.commits(shard));
    return commits.sort((a, b) => a.seq - b.seq).map(({ bytes }) => decodeCommit(bytes));
  }
}

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

function buildRegistry({ machines, kinds, drivers = {} }: TestRealmOptions): Registry {
  const registry = createRegistry(Object.keys({ ...NO_FAKES, ...drivers }));
  const definitions: readonly MachineDefinition[] = Array.isArray(machines)
    ? machines
    : Object.entries(machines).map(([name, machine]) => ({ name, version: 1, machine }));
  for (const definition of definitions) registry.define(definition);
  const wanted: NonNullable<TestRealmOptions['kinds']> =
    kinds ?? Object.fromEntries(definitions.map(({ name }) => [name, {}]));
  for (const [type, kind] of Object.entries(wanted)) {
    const { name, version } = registry.machine(kind.machine ?? type, kind.version);
    registry.addKind({ spawnOnMessage: true, door: 'open', ...kind, type, machine: name, version });
  }
  return registry;
}

/** The drivers that a node brings along; a machine may name them, but nothing leaves a test. */
const NO_FAKES: Readonly<Record<string, DriverFake>> = {
  http: noFake,
  process: noFake,
  ...Object.fromEntries(KERNEL_DRIVERS.map((name) => [name, noFake])),
};

function noFake(call: EffectCall): never {
  throw new FabricError(
    testingErrors.no_fake,
    `${call.actor} wants an effect that this test fakes no driver for`,
  );
}

function driverOf(name: string, driver: DriverFake | Omit<Driver, 'name'>): Driver {
  return typeof driver === 'function' ? { name, run: async (call) => driver(call) } : { ...driver, name };
}

function errorOf({ code, message, retryable, help, details }: WireError): FabricError {
  return new FabricError({ code, retryable, help: help ?? '' }, message, {
    ...(details !== undefined && { details }),
  });
}

function crashed(): FabricError {
  return new FabricError(testingErrors.realm_crashed, 'The realm is crashed: nobody answers');
}

function noAnswer(subject: string): FabricError {
  return new FabricError(
    testingErrors.no_answer,
    `Nothing answered on ${subject} while the clock stood still`,
  );
}
