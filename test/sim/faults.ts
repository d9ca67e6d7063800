/** Carries out the faults of a plan, and ends them all when told. */
import type { CrashPoint } from '#runtime/shard/shard';
import type { Link, Weather } from './link.ts';
import type { SimNode } from './node.ts';
import type { Fault, Plan } from './plan.ts';
import type { Process } from './process.ts';
import type { Server } from './server.ts';

const POINTS: readonly CrashPoint[] = [
  'before_commit',
  'after_commit',
  'before_reply',
  'before_mail',
  'after_mail',
  'effect_done',
];
const POINT_SKIP_MAX = 12;

/** What the faults act on. */
export interface Stage {
  readonly server: Server;
  readonly weather: Weather;
  /** The nodes that live now; undefined where none does. */
  readonly nodes: (SimNode | undefined)[];
  readonly clientLinks: readonly Link[];
  /** Starts a node, unless it lives. */
  start(node: number): void;
}

export class Faults {
  readonly #stage: Stage;
  #over = false;
  /** Where a process dies when it comes by so often. */
  #point: { readonly point: CrashPoint; skip: number; readonly forMs: number } | undefined;

  constructor(plan: Plan, stage: Stage) {
    this.#stage = stage;
    for (const fault of plan.faults) stage.server.world.after(fault.at, () => this.#strike(fault));
  }

  /** From now on everything heals. */
  end(): void {
    const { server, weather, nodes, clientLinks } = this.#stage;
    this.#over = true;
    this.#point = undefined;
    Object.assign(weather, { lost: 0, unanswered: 0, late: 0, twice: 0, latencyMsMax: 5 });
    server.isFull = false;
    this.#serverUp();
    for (const [n, node] of nodes.entries()) {
      node?.process.resume();
      node?.link.heal();
      this.#stage.start(n);
    }
    for (const link of clientLinks) link.heal();
    server.pump();
  }

  /** At every point of every loop: the process may die here. */
  probe(point: CrashPoint, process: Process): void {
    const plan = this.#point;
    if (plan === undefined || plan.point !== point || plan.skip-- > 0) return;
    this.#point = undefined;
    process.world.note(`probe ${point}`);
    process.kill();
    const n = this.#stage.nodes.findIndex((node) => node?.process === process);
    this.restart(n, plan.forMs);
  }

  #strike(fault: Fault): void {
    const { server, nodes } = this.#stage;
    const { world } = server;
    if (this.#over) return;
    const at = fault.node % nodes.length;
    const node = nodes[at];
    world.note(`fault ${fault.kind} ${at} ${fault.forMs.toFixed(0)}`);
    const later = (run: () => void): void => void world.after(fault.forMs, run);
    switch (fault.kind) {
      case 'crash':
        if (node === undefined || !node.process.isAlive) return;
        node.process.kill();
        this.restart(at, fault.forMs);
        return;
      case 'stop':
        if (node === undefined || !node.process.isAlive) return;
        node.process.deliver(() => void node.stop());
        node.process.onDeath(() => this.restart(at, fault.forMs));
        return;
      case 'pause':
        node?.process.pause();
        later(() => node?.process.resume());
        return;
      case 'cut': {
        const link = fault.variant % 7 === 0 ? this.#stage.clientLinks[0] : node?.link;
        link?.cut(fault.variant % 2 === 0 ? 'drop' : 'hold');
        later(() => {
          link?.heal();
          server.pump();
        });
        return;
      }
      case 'server':
        server.isUp = false;
        later(() => this.#serverUp());
        return;
      case 'full':
        server.isFull = true;
        later(() => {
          server.isFull = false;
        });
        return;
      case 'clock':
        if (node !== undefined) node.process.skewMs += (fault.variant - 500) * 4;
        return;
      case 'drain':
        if (node === undefined || !node.process.isAlive) return;
        node.process.deliver(() => node.drain(true));
        later(() => node.process.deliver(() => node.drain(false)));
        return;
      case 'probe':
        this.#point = {
          point: POINTS[fault.variant % POINTS.length] ?? 'before_commit',
          skip: fault.variant % POINT_SKIP_MAX,
          forMs: fault.forMs,
        };
        return;
    }
  }

  #serverUp(): void {
    const { server, nodes, clientLinks } = this.#stage;
    if (server.isUp) return;
    server.isUp = true;
    server.world.note('server up');
    for (const node of nodes) node?.link.reconnect();
    for (const link of clientLinks) link.reconnect();
    server.pump();
  }

  /** Starts a node after a while, unless it lives. */
  restart(n: number, afterMs: number): void {
    this.#stage.server.world.after(this.#over ? 1 : afterMs, () => this.#stage.start(n));
  }
}
