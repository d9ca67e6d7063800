/** One schedule: a realm of a few nodes lives through the load and the faults of a seed, heals, and is checked. */
import type { Shard } from '#runtime/shard/shard';
import type { Cell } from '#runtime/shard/table';
import { statusOf } from '#runtime/shard/table';
import { ROOT_SUPERVISOR, type SupervisorSpec } from '#schemas/supervisor';
import { Chance } from './chance.ts';
import { checkAll, type Held, type Move } from './check.ts';
import { SimClient } from './client.ts';
import { SimDrivers } from './drivers.ts';
import { Faults } from './faults.ts';
import { History } from './history.ts';
import { Link } from './link.ts';
import { JOBS, opsOf } from './load.ts';
import { simRegistry } from './machines.ts';
import { SimNode } from './node.ts';
import { type Plan, type PlanOverrides, planOf } from './plan.ts';
import { Process } from './process.ts';
import { checkRefold, statesOf } from './refold.ts';
import { Server } from './server.ts';
import { Watch } from './watch.ts';
import { World } from './world.ts';

/** Everything that was held up arrives within this after the last fault, and the realm must be at rest. */
const HEAL_MS_MAX = 120_000;
const LOOK_EVERY_MS = 50;
/** What is handed on in a move is under way for so long at most, and clocks are not exact. */
const MOVE_SLACK_MS = 1_500;
/** Longer than any pause before something is tried again that nobody can see from outside. */
const REST_MS = 600;
/** After which a process that ended by itself is started again. */
const RESTART_MS = 300;

const registry = simRegistry();
const spec: SupervisorSpec = {
  strategy: 'one_for_one',
  intensity: 1_000,
  periodMs: 1_000,
  children: JOBS.map((address) => ({
    id: address.slice(4),
    address,
    machine: 'job@1',
    restart: 'permanent',
  })),
};

export interface ScheduleResult {
  readonly seed: number;
  readonly plan: Plan;
  readonly violations: readonly string[];
  /** SHA-256 of every decision and every stored byte. */
  readonly digest: string;
  readonly events: number;
  readonly commits: number;
  readonly virtualMs: number;
  readonly trace: readonly string[];
}

export interface ScheduleOptions extends PlanOverrides {
  /** Keep the trace as text. */
  readonly trace?: boolean;
}

/** Runs the schedule of a seed. Never throws for what the kernel does: that is a violation. */
export async function runSchedule(seed: number, options: ScheduleOptions = {}): Promise<ScheduleResult> {
  const plan = planOf(seed, options);
  const world = new World(seed, options.trace === true);
  const heard = (thrown: unknown): void =>
    world.violate(`a promise of a node was rejected and nobody heard: ${(thrown as Error).message}`);
  process.on('unhandledRejection', heard);
  const run = new Schedule(plan, world);
  try {
    await run.live();
  } catch (thrown) {
    world.violate(`the simulator stopped: ${(thrown as Error).stack}`);
  } finally {
    run.end();
    process.off('unhandledRejection', heard);
  }
  return {
    seed,
    plan,
    violations: world.violations,
    digest: world.digest(),
    events: world.steps,
    commits: run.commits,
    virtualMs: world.now,
    trace: world.lines,
  };
}

class Schedule {
  readonly #plan: Plan;
  readonly #world: World;
  readonly #server: Server;
  readonly #watch: Watch;
  readonly #drivers: SimDrivers;
  readonly #faults: Faults;
  readonly #clients: SimClient[] = [];
  readonly #nodes: (SimNode | undefined)[];
  /** Links of every life of every node: what they sent may still be under way. */
  readonly #links: Link[] = [];
  readonly #moves: Move[] = [];
  #lives = 0;

  constructor(plan: Plan, world: World) {
    this.#plan = plan;
    this.#world = world;
    this.#server = new Server(world, plan.shards, plan.bytesMax);
    this.#watch = new Watch(world, this.#server);
    this.#drivers = new SimDrivers(world, plan.driverTrouble, (key) => this.#watch.ran(key));
    this.#nodes = Array.from({ length: plan.nodes }, () => undefined);
    const load = new Chance(plan.seed ^ 0x10ad);
    for (let n = 0; n < plan.clients; n++) {
      const ops = opsOf(plan, n, load.fork());
      this.#clients.push(
        new SimClient(this.#server, `c${n}`, plan.weather, ops, (outcome, body) =>
          this.#watch.replied(outcome, body),
        ),
      );
    }
    this.#faults = new Faults(plan, {
      server: this.#server,
      weather: plan.weather,
      nodes: this.#nodes,
      clientLinks: this.#clients.map(({ link }) => link),
      start: (n) => this.#start(n),
    });
    for (let n = 0; n < plan.nodes; n++)
      world.after(n === 0 ? 0 : world.chance.skewed(0, 3_000), () => this.#start(n));
  }

  get commits(): number {
    let count = 0;
    for (let shard = 0; shard < this.#plan.shards; shard++) count += this.#server.commits(shard).length;
    return count;
  }

  /** Load and faults, then peace until everything is at rest, and what is so then. */
  async live(): Promise<void> {
    const overAt = Math.max(...this.#plan.faults.map(({ at, forMs }) => at + forMs), this.#plan.spanMs) + 500;
    await this.#world.run(() => this.#world.now >= overAt, overAt + LOOK_EVERY_MS);
    this.#world.note('peace');
    this.#faults.end();
    this.#drivers.trouble = 0;
    const until = this.#world.now + HEAL_MS_MAX;
    while (this.#world.now < until) {
      if (!(await this.#rest(until - this.#world.now))) break;
      const live = await this.#look();
      if (live !== undefined) return await this.#check(live);
    }
    this.#world.violate(`no rest within ${HEAL_MS_MAX} ms: ${this.#unrest()}`);
  }

  /** Resolves when nothing has happened for a while. */
  async #rest(limitMs: number): Promise<boolean> {
    const world = this.#world;
    let lookAt = 0;
    let commits = -1;
    let restSince = world.now;
    return await world.run(() => {
      if (world.now < lookAt || this.#isFlying()) return false;
      lookAt = world.now + LOOK_EVERY_MS;
      const isDone = this.#clients.every((client) => client.isDone);
      if (!isDone || !this.#isAtRest() || this.commits !== commits) {
        commits = this.commits;
        restSince = world.now;
      }
      // An idle owner that was fenced finds out within a lease's time.
      return world.now - restSince >= REST_MS + this.#plan.leaseTtlMs;
    }, limitMs);
  }

  /** The actors of every shard, as their owners have them; undefined where one of these changed meanwhile. */
  async #look(): Promise<ReadonlyMap<string, Cell>[] | undefined> {
    const owners = Array.from({ length: this.#plan.shards }, (_, shard) => this.#owners(shard)[0]);
    const { commits } = this;
    const live: ReadonlyMap<string, Cell>[] = [];
    for (const owner of owners) {
      if (owner === undefined) return undefined;
      try {
        live.push(await statesOf(this.#world, owner));
      } catch {
        return undefined;
      }
    }
    const isSame = owners.every((owner, shard) => {
      const [now, another] = this.#owners(shard);
      return now === owner && another === undefined && owner?.status().phase === 'running';
    });
    return isSame && commits === this.commits ? live : undefined;
  }

  async #check(live: readonly ReadonlyMap<string, Cell>[]): Promise<void> {
    const world = this.#world;
    const held = new Map<string, Held>();
    for (const [shard, states] of live.entries()) {
      for (const [address, cell] of states) {
        if (/^(?:book|caller)\/[^~]*$/.test(address)) held.set(address, cell.state.context as Held);
      }
      this.#checkTree(states);
      for (const withSnapshot of [true, false]) {
        const { limits } = this.#plan;
        const options = { world, server: this.#server, registry, limits, shard, live: states, withSnapshot };
        await checkRefold(options);
      }
    }
    checkAll({
      world,
      server: this.#server,
      history: new History(world, this.#server),
      outcomes: this.#clients.flatMap(({ outcomes }) => outcomes),
      drivers: this.#drivers,
      held,
      moves: this.#moves,
    });
    this.#watch.checkClaims(this.#server);
  }

  end(): void {
    for (const node of this.#nodes) node?.process.kill();
  }

  #start(n: number): void {
    if (this.#nodes[n]?.process.isAlive === true) return;
    const { skewMsMax, limits, leaseTtlMs, stayMs, claims } = this.#plan;
    const { chance } = this.#world;
    const skewMs = Math.floor(chance.between(-skewMsMax, skewMsMax));
    const process = new Process(this.#world, `n${n}.${this.#lives++}`, skewMs);
    this.#world.note(`start ${process.name} ${skewMs}`);
    const link = new Link(process, this.#plan.weather, () => this.#server.isUp);
    this.#links.push(link);
    const node = new SimNode({
      name: `n${n}`,
      process,
      link,
      server: this.#server,
      registry,
      spec,
      limits,
      leaseTtlMs,
      stayMs,
      drivers: this.#drivers,
      claims,
      probe: (point, _shard, dying) => this.#faults.probe(point, dying),
      moved: (shard, ms) =>
        this.#moves.push({
          shard,
          from: this.#world.now - ms - MOVE_SLACK_MS,
          to: this.#world.now + MOVE_SLACK_MS,
        }),
      failed: () => this.#faults.restart(n, RESTART_MS),
    });
    this.#nodes[n] = node;
    node.start();
  }

  #owners(shard: number): Shard[] {
    return this.#nodes.flatMap((node) => {
      const running = node?.running(shard);
      return running === undefined ? [] : [running];
    });
  }

  /** Something is under way that may change anything. */
  #isFlying(): boolean {
    return this.#links.some((link) => link.flying > 0) || this.#clients.some(({ link }) => link.flying > 0);
  }

  #isAtRest(): boolean {
    for (let shard = 0; shard < this.#plan.shards; shard++) {
      const [owner, another] = this.#owners(shard);
      if (owner === undefined || another !== undefined) return false;
      const { phase, queued, outbox, timers, effects, behind } = owner.status();
      if (phase !== 'running' || queued + outbox + timers + effects + behind > 0) return false;
    }
    return true;
  }

  #unrest(): string {
    const owners = Array.from({ length: this.#plan.shards }, (_, shard) =>
      this.#owners(shard).map((owner) => owner.status()),
    );
    const open = this.#clients.flatMap(({ outcomes }) => outcomes.filter(({ end }) => end === 'open'));
    const flying = this.#links.map((link) => link.flying);
    return JSON.stringify({
      flying,
      clients: this.#clients.map(({ link }) => link.flying),
      owners,
      open: open.map(({ op }) => op.id),
    });
  }

  /** The tree stands as its config says. */
  #checkTree(live: ReadonlyMap<string, Cell>): void {
    for (const [address, cell] of live) {
      if (address === ROOT_SUPERVISOR) {
        const { mode } = cell.state.context as { mode: string };
        if (mode !== 'running') this.#world.violate(`the root supervisor is ${mode}`);
      } else if (JOBS.includes(address) && statusOf(cell) !== 'active') {
        this.#world.violate(`${address} is ${statusOf(cell)} and not restarted`);
      }
    }
  }
}
