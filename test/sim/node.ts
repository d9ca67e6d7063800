/** One life of a node: the real host, shards, effect runner and root supervisor over the ports of the simulator. */
import { mailOf } from '#runtime/bus/nats-inbox';
import { addressOfTail, fnv1a } from '#runtime/bus/subjects';
import { encodeRefusal } from '#runtime/edge/replies';
import { createEffectHub } from '#runtime/effects/runner';
import type { Registry } from '#runtime/machine/registry';
import { Roster } from '#runtime/members/roster';
import { ShardHost } from '#runtime/node/host';
import { RootSupervisor } from '#runtime/node/root-supervisor';
import type { Ask, AskDoor, Encoded, Logger } from '#runtime/shard/ports';
import type { CrashPoint, Shard, ShardDeps, ShardLimits } from '#runtime/shard/shard';
import { toWireError } from '#schemas/fabric-error';
import type { SupervisorSpec } from '#schemas/supervisor';
import { holdClaims } from './claims.ts';
import type { SimDrivers } from './drivers.ts';
import type { Link } from './link.ts';
import {
  type Hear,
  openGate,
  simAsks,
  simBlobs,
  simInbox,
  simLeases,
  simLog,
  simMembers,
  simOutbox,
  type Wire,
} from './ports.ts';
import type { Process } from './process.ts';
import type { Server } from './server.ts';

const EFFECT_OUTPUT_BYTES_MAX = 128 * 1024;
/** Faults of the outside, as a shard reports them when it leaves for one. */
const OUTSIDE = /no answer|disk is full|takes no epoch record|could be read through/;

/** What a node tells of a full disk, and of a life before whose clock ran ahead. */
const EXPECTED = new Set(['batch_refused', 'answer_failed', 'node_name_taken']);
/** A shard left while something was asked of it. */
const MOVED = new Set(['shard_moved', 'not_owner', 'not_root_owner', 'log_refused']);

export interface NodeOptions {
  /** Of the node, over its lives. */
  readonly name: string;
  readonly process: Process;
  readonly link: Link;
  readonly server: Server;
  readonly registry: Registry;
  readonly spec: SupervisorSpec;
  readonly limits: ShardLimits;
  readonly leaseTtlMs: number;
  readonly stayMs: number;
  readonly drivers: SimDrivers;
  readonly claims: boolean;
  /** Called when a shard was handed to another node, which took so long. */
  readonly moved: (shard: number, ms: number) => void;
  /** Called when a node that could not begin has ended. */
  readonly failed: () => void;
  readonly probe: (point: CrashPoint, shard: number, process: Process) => void;
}

export class SimNode {
  readonly process: Process;
  readonly link: Link;
  readonly #options: NodeOptions;
  readonly #wire: Wire;
  readonly #hear: Hear;
  readonly #logger: Logger;
  #host: ShardHost | undefined;
  #roster: Roster | undefined;

  constructor(options: NodeOptions) {
    const { process, link, server } = options;
    this.process = process;
    this.link = link;
    this.#options = options;
    this.#wire = { process, link, server };
    this.#hear = link.stream();
    this.#logger = this.#loggerOf();
  }

  /** The shard, while it runs here. */
  running(shard: number): Shard | undefined {
    return this.process.isAlive ? this.#host?.running(shard) : undefined;
  }

  start(): void {
    this.process.deliver(() => void this.#begin());
  }

  /** `SIGTERM`. */
  async stop(): Promise<void> {
    this.process.world.note(`stop ${this.process.name}`);
    await this.#host?.stop();
    await this.#roster?.[Symbol.asyncDispose]();
    this.process.kill();
  }

  /** An operator wants the node empty, or no longer. */
  drain(on: boolean): void {
    this.#roster?.drain(on).catch(() => this.process.world.note(`not drained ${this.process.name}`));
  }

  /** As `startNode`: where something fails it gives everything back, and whoever watches the process starts it again. */
  async #begin(): Promise<void> {
    try {
      const roster = await this.#openRoster();
      this.#roster = roster;
      const root = this.#rootOf(roster);
      roster.onChange(() => root.membersChanged());
      const host = this.#hostOf(roster, root);
      this.#host = host;
      this.#openRouter();
      await host.start();
      const { process, link, server, claims } = this.#options;
      if (claims) holdClaims({ process, leases: simLeases(this.#wire), server, link, logger: this.#logger });
      await host.settled();
      await root.ensure();
    } catch (thrown) {
      this.process.world.note(`failed ${this.process.name} ${toWireError(thrown).code}`);
      this.process.onDeath(this.#options.failed);
      await this.stop();
    }
  }

  #openRoster(): Promise<Roster> {
    const { process, registry, leaseTtlMs, name } = this.#options;
    const kinds = registry.kinds().map(({ type, machine, version }) => [type, `${machine}@${version}`]);
    return Roster.open({
      traits: {
        id: process.name,
        name,
        version: '0',
        capacity: 1,
        labels: {},
        machines: [...registry.refs()],
        kinds: Object.fromEntries(kinds),
        startedAt: process.now(),
      },
      store: simMembers(this.#wire),
      ttlMs: leaseTtlMs,
      clock: process.clock,
      logger: this.#logger,
    });
  }

  #rootOf(roster: Roster): RootSupervisor {
    const { server, registry, spec } = this.#options;
    return new RootSupervisor({
      subjects: server.subjects,
      registry,
      spec,
      readKinds: undefined,
      lacking: (machines) => roster.lacking(machines),
      beforeKinds: async () => {},
      logger: this.#logger,
    });
  }

  #hostOf(roster: Roster, root: RootSupervisor): ShardHost {
    const { process, server, registry, limits, leaseTtlMs, stayMs, drivers, probe } = this.#options;
    const { clock, random } = process;
    const logger = this.#logger;
    const outbox = simOutbox(this.#wire);
    const blobs = simBlobs(this.#wire);
    const effects = createEffectHub({
      drivers: drivers.of(process),
      clock,
      random,
      log: logger,
      limits: { outputBytesMax: EFFECT_OUTPUT_BYTES_MAX, closeGraceMs: 200 },
    });
    const doorOf = (shard: number, group: string): AskDoor =>
      simAsks(this.#wire, shard, group, this.#hear, (ask, arrive) => this.#hand(ask, arrive));
    const depsOf = (shard: number, group: string): ShardDeps => ({
      shard,
      node: process.name,
      registry,
      // No choice of the schedule: the choices stay as they are.
      dedupeSeed: fnv1a(`${process.name}/${shard}`),
      shardOf: (address) => server.subjects.shardOf(address),
      addressOf: addressOfTail,
      mailOf: (message) => mailOf(server.subjects, message),
      log: simLog(this.#wire, shard),
      inbox: simInbox(this.#wire, shard),
      asks: doorOf(shard, group),
      outbox,
      blobs,
      effects: effects.runner,
      gate: openGate,
      clock,
      logger,
      limits,
      probe: (point, at) => probe(point, at, process),
    });
    return new ShardHost({
      nodeId: process.name,
      shards: server.shards,
      leaseTtlMs,
      stayMs,
      leases: simLeases(this.#wire),
      roster,
      clock,
      random,
      logger,
      depsOf,
      doorOf,
      changed: (shard, running) => root.shardChanged(shard, running),
    });
  }

  #openRouter(): void {
    const { server } = this.#options;
    const short = { hand: (ask: Ask) => this.#hand(ask, (arrived) => this.#forward(arrived)) };
    this.process.onDeath(() => {
      const at = server.shortDoors.indexOf(short);
      if (at >= 0) server.shortDoors.splice(at, 1);
    });
    this.link.signal('listen', () => server.shortDoors.push(short));
  }

  /** The router of short asks, as `openAskRouter` is. */
  #forward(ask: Ask): void {
    const shard = this.#options.server.subjects.shardOf(addressOfTail(ask.subject));
    if (this.#host?.offer(shard, ask) === true) return;
    const refusal = this.#host?.failure(shard);
    if (refusal !== undefined) ask.respond(encodeRefusal(refusal, ask.contentType));
    else ask.handOn?.();
  }

  /** Brings an ask into the process, and its answer out. */
  #hand(ask: Ask, arrive: (ask: Ask) => void): void {
    const { id } = ask;
    const { server } = this.#options;
    const arrived: Ask = {
      ...ask,
      respond: (body: Encoded) => {
        if (!this.process.isAlive) return;
        this.link.up(`reply ${id}`, () => ask.respond(body));
      },
      handOn: () => {
        const shard = server.subjects.shardOf(addressOfTail(ask.subject));
        this.link.up(`hand on ${id}`, () => void server.ask(shard, ask));
      },
    };
    this.#hear(`ask ${id}`, () => arrive(arrived));
  }

  #loggerOf(): Logger {
    const { world } = this.process;
    return this.process.logger((level, fields, event) => {
      const { error, shard, ms } = fields as {
        error?: { message?: string; code?: string };
        shard?: number;
        ms?: number;
      };
      if (event === 'shard_moved') this.#options.moved(shard ?? 0, ms ?? 0);
      if (level !== 'error' || EXPECTED.has(event)) return;
      if (OUTSIDE.test(error?.message ?? '') || MOVED.has(error?.code ?? '')) return;
      world.violate(`${event} at ${this.process.name}: ${error?.code} ${error?.message}`);
    });
  }
}
