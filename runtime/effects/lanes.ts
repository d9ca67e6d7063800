/** Whose attempt is next. The runners of a node share one of these, so that its bounds hold for the node as a whole. */
import type { Driver } from './driver.ts';
import { FairQueue } from './queue.ts';

/** Something that waits to run; called once, when its turn has come. It takes the slot itself. */
export type Turn = (lane: Lane) => void;

export interface Lane {
  readonly driver: Driver;
  readonly queue: FairQueue<Turn>;
  readonly concurrencyMax: number;
  running: number;
  /** Calls that were given up and have not settled. */
  abandoned: number;
}

export interface LaneLimits {
  readonly concurrencyMax: number;
  readonly driverConcurrencyMax: number;
}

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  readonly #concurrencyMax: number;
  #running = 0;
  #pumping = false;

  constructor(drivers: readonly Driver[], limits: LaneLimits) {
    this.#concurrencyMax = Math.max(1, limits.concurrencyMax);
    for (const driver of drivers) {
      const wished = driver.waits === true ? Number.POSITIVE_INFINITY : driver.concurrencyMax;
      const concurrencyMax = Math.max(1, wished ?? limits.driverConcurrencyMax);
      this.#lanes.set(driver.name, {
        driver,
        queue: new FairQueue(),
        concurrencyMax,
        running: 0,
        abandoned: 0,
      });
    }
  }

  get(driver: string): Lane | undefined {
    return this.#lanes.get(driver);
  }

  names(): string[] {
    return [...this.#lanes.keys()];
  }

  /** Puts a turn at the end of its actor's line; it is called in a later microtask. */
  push(lane: Lane, actor: string, turn: Turn): void {
    lane.queue.push(actor, turn);
    this.#wake();
  }

  take(lane: Lane): void {
    lane.running++;
    if (lane.driver.waits !== true) this.#running++;
  }

  give(lane: Lane): void {
    lane.running--;
    if (lane.driver.waits !== true) this.#running--;
    this.#wake();
  }

  #wake(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  /** One attempt per driver and round, until nothing may start. */
  #pump(): void {
    let next: Lane | undefined;
    for (let started = true; started; ) {
      started = false;
      for (const lane of this.#lanes.values()) {
        if (this.#running >= this.#concurrencyMax && lane.driver.waits !== true) {
          next ??= lane;
          continue;
        }
        if (lane.running >= lane.concurrencyMax) continue;
        const turn = lane.queue.shift();
        if (turn === undefined) continue;
        started = true;
        turn(lane);
      }
    }
    if (next !== undefined) this.#rotate(next);
  }

  /** The driver whose turn it was when the slots ran out is the first next time. */
  #rotate(next: Lane): void {
    for (const [name, lane] of [...this.#lanes]) {
      if (lane === next) return;
      this.#lanes.delete(name);
      this.#lanes.set(name, lane);
    }
  }
}
