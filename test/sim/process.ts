/** One life of a process: it can be stopped and woken, and killed between any two instructions that others can see. */
import type { Clock, Logger, Random } from '#runtime/shard/ports';
import { TEST_EPOCH_MS } from '#runtime/testing/virtual-clock';
import type { World } from './world.ts';

/** Between two events that waited for a process to wake. */
const WAKE_GAP_MS = 0.001;

export class Process {
  readonly name: string;
  readonly world: World;
  #alive = true;
  #paused = false;
  /** What came while it was stopped: what its sockets hold, and its timers. */
  #arrived: (() => void)[] = [];
  #due: (() => void)[] = [];
  /** What of it is still to be worked off since it woke. */
  #backlog: (() => void)[] = [];
  #ids = 0;
  /** How far its clock is off, ms. */
  skewMs: number;
  readonly #onDeath: (() => void)[] = [];

  constructor(world: World, name: string, skewMs = 0) {
    this.world = world;
    this.name = name;
    this.skewMs = skewMs;
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  onDeath(run: () => void): void {
    this.#onDeath.push(run);
  }

  /** `kill -9`: from now on nothing it does reaches anybody, and nothing reaches it. */
  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.world.note(`kill ${this.name}`);
    this.#arrived = [];
    this.#due = [];
    this.#backlog = [];
    for (const run of this.#onDeath) run();
  }

  /** `SIGSTOP`. */
  pause(): void {
    this.#paused = true;
    this.world.note(`pause ${this.name}`);
  }

  /** `SIGCONT`: what its sockets hold and what its timers want come in either order. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.world.note(`resume ${this.name}`);
    const { world } = this;
    const waiting = world.chance.is(0.5)
      ? [...this.#arrived, ...this.#due]
      : [...this.#due, ...this.#arrived];
    this.#arrived = [];
    this.#due = [];
    const isIdle = this.#backlog.length === 0;
    this.#backlog.push(...waiting);
    if (isIdle) this.#workOff();
  }

  /** Something reaches the process: as an event of its own. */
  deliver(run: () => void, isTimer = false): void {
    if (!this.#alive) return;
    if (this.#paused) (isTimer ? this.#due : this.#arrived).push(run);
    else if (this.#backlog.length > 0) this.#backlog.push(run);
    else this.#run(run);
  }

  #run(run: () => void): void {
    this.world.touch();
    run();
  }

  #workOff(): void {
    if (this.#backlog.length === 0) return;
    this.world.after(WAKE_GAP_MS, () => {
      if (!this.#alive) return;
      if (this.#paused) {
        this.#arrived = [...this.#backlog, ...this.#arrived];
        this.#backlog = [];
        return;
      }
      const [first, ...rest] = this.#backlog;
      this.#backlog = rest;
      if (first !== undefined) this.#run(first);
      this.#workOff();
    });
  }

  /** ms since the epoch, by its own clock. */
  now(): number {
    return Math.floor(TEST_EPOCH_MS + this.world.now + this.skewMs);
  }

  readonly clock: Clock = {
    now: () => this.now(),
    setTimer: (fn, delayMs) => {
      if (!this.#alive) return undefined;
      const timer = { cleared: false, cancel: () => {} };
      timer.cancel = this.world.after(delayMs, () => {
        this.deliver(() => {
          if (!timer.cleared) fn();
        }, true);
      });
      return timer;
    },
    clearTimer: (handle) => {
      const timer = handle as { cleared: boolean; cancel(): void } | undefined;
      if (timer === undefined) return;
      timer.cleared = true;
      timer.cancel();
    },
  };

  readonly random: Random = {
    next: () => this.world.chance.next(),
    id: () => `${this.name}-${this.#ids++}`,
  };

  /** What a node logs is part of the trace: it shows why a schedule went as it did. */
  logger(heard: (level: string, fields: object, event: string) => void): Logger {
    const write = (level: string) => (fields: object, event: string) => {
      if (!this.#alive) return;
      this.world.note(`log ${this.name} ${level} ${event} ${told(fields)}`);
      heard(level, fields, event);
    };
    return { debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') };
  }
}

/** Fields without stacks, which name files. */
function told(fields: object): string {
  const { stack: _, ...rest } = fields as { stack?: unknown };
  return JSON.stringify(rest);
}
