/**
 * Whose task is next: a queue for each tenant, and so many places.
 *
 * Q1  No more turns are out than there are places.
 * Q2  The tenant with the fewest turns is next, and among equals the one whose last turn lies longest back: who submits a
 *     thousand tasks waits for himself.
 * Q3  Where there are places for two, no tenant has all of them: a neighbour never waits for the longest run of another.
 * Q4  A queue is bounded, in all and for each tenant. Where it is full, who has less of it than another is let in, and the
 *     last of the tenant with the most leaves: nobody is kept out by the crowds of others.
 * Q5  A turn that is not used within {@link UNUSED_MS} comes back: its task was killed in between.
 */
import type { Clock } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { chassisErrors } from './errors.ts';

export const UNUSED_MS = 30_000;
/** Of the queue, for one tenant (Q4). */
const TENANT_SHARE = 0.5;

interface Waiting {
  readonly holder: string;
  readonly granted: PromiseWithResolvers<void>;
}

interface Turn {
  readonly tenant: string;
  /** Runs while the turn is unused. */
  timer: unknown;
}

export interface TurnsOptions {
  readonly places: number;
  readonly queueMax: number;
  readonly clock: Clock;
}

export class Turns {
  readonly #options: TurnsOptions;
  readonly #tenants = new Map<string, Set<Waiting>>();
  /** Number of the last turn of each tenant that waits or has one. */
  readonly #lastTurns = new Map<string, number>();
  readonly #turns = new Map<string, Turn>();
  #waiting = 0;
  #dealt = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Resolves with the turn; a holder has one at most. Throws `sandbox_queue_full`; rejects with the signal's reason. */
  async take(holder: string, tenant: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.give(holder);
    const { queueMax } = this.#options;
    const queue = this.#tenants.get(tenant) ?? new Set();
    const isBeyondShare = queue.size >= Math.max(1, queueMax * TENANT_SHARE);
    if (isBeyondShare || (this.#waiting >= queueMax && !this.#makeRoom(queue.size)))
      throw this.#full(tenant, queue.size);
    const waiting: Waiting = { holder, granted: Promise.withResolvers() };
    this.#tenants.set(tenant, queue);
    queue.add(waiting);
    this.#waiting += 1;
    const leave = (): void => {
      if (this.#drop(tenant, waiting)) waiting.granted.reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    this.#deal();
    try {
      await waiting.granted.promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** True where the holder has a turn, which is then his until he gives it back (Q5). */
  use(holder: string): boolean {
    const turn = this.#turns.get(holder);
    if (turn === undefined) return false;
    this.#options.clock.clearTimer(turn.timer);
    turn.timer = undefined;
    return true;
  }

  /** The next task is not his: the time of Q5 begins again. */
  rest(holder: string): void {
    const turn = this.#turns.get(holder);
    if (turn === undefined) return;
    this.#options.clock.clearTimer(turn.timer);
    turn.timer = this.#options.clock.setTimer(() => this.give(holder), UNUSED_MS);
  }

  give(holder: string): void {
    const turn = this.#turns.get(holder);
    if (turn === undefined) return;
    this.#options.clock.clearTimer(turn.timer);
    this.#turns.delete(holder);
    this.#deal();
  }

  close(): void {
    for (const { timer } of this.#turns.values()) this.#options.clock.clearTimer(timer);
    this.#turns.clear();
  }

  /** Q4: for a tenant of whom so many wait. */
  #makeRoom(waiting: number): boolean {
    const [tenant, most] = [...this.#tenants].reduce((one, other) =>
      other[1].size > one[1].size ? other : one,
    );
    if (most.size <= waiting + 1) return false;
    const last = [...most].at(-1);
    if (last === undefined) throw new Error('invariant: a tenant in the queue waits');
    this.#drop(tenant, last);
    last.granted.reject(this.#full(tenant, most.size + 1));
    return true;
  }

  #full(tenant: string, waiting: number): FabricError {
    return new FabricError(
      chassisErrors.sandbox_queue_full,
      `${waiting} tasks of ${tenant} wait, ${this.#waiting} in all`,
    );
  }

  /** Q1, Q2. */
  #deal(): void {
    while (this.#turns.size < this.#options.places) {
      const tenant = this.#nextTenant();
      if (tenant === undefined) return;
      const queue = this.#tenants.get(tenant) ?? new Set();
      const [waiting] = queue;
      if (waiting === undefined) throw new Error('invariant: a tenant in the queue waits');
      this.#drop(tenant, waiting);
      this.#dealt += 1;
      this.#lastTurns.set(tenant, this.#dealt);
      this.#turns.set(waiting.holder, { tenant, timer: undefined });
      this.rest(waiting.holder);
      waiting.granted.resolve();
    }
  }

  #nextTenant(): string | undefined {
    const out = new Map<string, number>();
    for (const { tenant } of this.#turns.values()) out.set(tenant, (out.get(tenant) ?? 0) + 1);
    for (const tenant of this.#lastTurns.keys()) {
      if (!out.has(tenant) && !this.#tenants.has(tenant)) this.#lastTurns.delete(tenant);
    }
    const max = Math.max(1, this.#options.places - 1); // Q3.
    const [next] = [...this.#tenants.keys()]
      .map((tenant) => ({ tenant, turns: out.get(tenant) ?? 0, last: this.#lastTurns.get(tenant) ?? 0 }))
      .filter(({ turns }) => turns < max)
      .sort((a, b) => a.turns - b.turns || a.last - b.last);
    return next?.tenant;
  }

  #drop(tenant: string, waiting: Waiting): boolean {
    const queue = this.#tenants.get(tenant);
    if (queue?.delete(waiting) !== true) return false;
    this.#waiting -= 1;
    if (queue.size === 0) this.#tenants.delete(tenant);
    return true;
  }
}
