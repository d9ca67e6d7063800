/** The world outside: what effects do there, and under which keys. */
import type { Driver, EffectCall } from '#runtime/effects/driver';
import type { Process } from './process.ts';
import type { World } from './world.ts';

export interface Call {
  readonly driver: string;
  readonly key: string;
  readonly label: string;
}

export class SimDrivers {
  readonly calls: Call[] = [];
  /** Share of the calls that fail, or never come back. */
  trouble: number;
  readonly #world: World;

  readonly #ran: (key: string) => void;

  /** `ran` hears of each call. */
  constructor(world: World, trouble: number, ran: (key: string) => void) {
    this.#world = world;
    this.#ran = ran;
    this.trouble = trouble;
  }

  /** The drivers as one process has them. */
  of(process: Process): readonly Driver[] {
    return ['work', 'notify'].map((name) => ({ name, run: (call) => this.#run(process, name, call) }));
  }

  #run(process: Process, driver: string, { key, input, attempt }: EffectCall): Promise<unknown> {
    const { chance } = this.#world;
    if (!process.isAlive) return new Promise(() => {});
    const { label } = input as { label: string };
    this.#world.note(`effect ${process.name} ${driver} ${key} ${label} ${attempt}`);
    this.#ran(key);
    this.calls.push({ driver, key, label });
    const trouble = this.trouble;
    if (chance.is(trouble / 4)) return new Promise(() => {});
    const fails = chance.is(trouble);
    return new Promise((resolve, reject) => {
      process.clock.setTimer(
        () => (fails ? reject(new Error('the outside is away')) : resolve({ label })),
        chance.skewed(0, 300),
      );
    });
  }
}
