/** Allowances of a process, one for each account that work is paid from. */

import type { Amounts } from '#schemas/budget';
import { FabricError } from '#schemas/fabric-error';
import type { Budgets, Denied } from '../budgets.ts';
import { governorErrors } from '../errors.ts';
import { Allowance, type AllowanceOptions, type Taken } from './allowance.ts';

/** One that is over is told so by the first draw after; the next one is fresh. */
const TRIES_MAX = 3;

export type AllowancesOptions = Omit<AllowanceOptions, 'makeRoom' | 'over'>;

export class Allowances {
  readonly #budgets: Budgets;
  readonly #options: AllowancesOptions;
  readonly #open = new Map<string, Allowance>();

  constructor(budgets: Budgets, options: AllowancesOptions) {
    this.#budgets = budgets;
    this.#options = options;
  }

  /** Holds so much on an account and all above it, or nothing; without a round trip where enough is held ahead. */
  async take(account: string, bound: Amounts): Promise<Taken | Denied> {
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const answer = await this.#of(account).take(bound);
      if (answer !== undefined) return answer;
    }
    throw new FabricError(
      governorErrors.allowance_lost,
      `What is held on ${account} runs out before it is used`,
    );
  }

  /** Gives back all that is held ahead, for good. */
  close(): void {
    for (const allowance of [...this.#open.values()]) allowance.close();
  }

  #of(account: string): Allowance {
    const open = this.#open.get(account);
    if (open !== undefined) return open;
    const allowance = new Allowance(account, this.#budgets, {
      ...this.#options,
      makeRoom: (asking) => this.#makeRoom(asking),
      over: (one) => {
        if (this.#open.get(account) === one) this.#open.delete(account);
      },
    });
    this.#open.set(account, allowance);
    return allowance;
  }

  async #makeRoom(asking: Allowance): Promise<boolean> {
    const others = [...this.#open.values()].filter((one) => one !== asking);
    // One that cannot tell now tells later, or its lease does: it made no room.
    const given = await Promise.allSettled(others.map((one) => one.giveBack()));
    return given.some((one) => one.status === 'fulfilled' && one.value);
  }
}
