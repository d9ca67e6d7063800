/**
 * The claims of one worker: keys in the bucket of leases, renewed until they end.
 *
 * C1  A key comes first and the task's word second: the key keeps rivals off the log, the task says who has won.
 * C2  A key that went is put back only where the task still knows the claim: a worker that slept past its lease must not
 *     keep others from the task.
 * C3  What is known to be over (by the task's own events, too) is let go at once.
 */

import { systemClock, systemRandom } from '#runtime/bus/system';
import { acquireLease, adoptLease, type Lease, type LeaseOptions, readClaim } from '#runtime/claims/lease';
import type { LeaseKeys } from '#runtime/claims/lease-store';
import type { Logger } from '#runtime/shard/ports';

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export interface ClaimsOptions {
  readonly store: LeaseKeys;
  /** Name of an actor's lease in the store. */
  readonly keyOf: (actor: string) => string;
  /** Address of the worker. */
  readonly holder: string;
  readonly leaseMs: number;
}

export class Leases implements AsyncDisposable {
  readonly #options: ClaimsOptions;
  readonly #held = new Map<string, Lease>();

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  held(actor: string): Lease | undefined {
    return this.#held.get(actor);
  }

  /** Takes the lease on an actor; undefined where another has it. `isStillOurs` is C2. */
  async take(actor: string, isStillOurs: () => Promise<boolean>): Promise<Lease | undefined> {
    return this.#keep(actor, await acquireLease(this.#lease(actor, isStillOurs)));
  }

  /** Goes on with a lease whose row names us; undefined where there is none. */
  async adopt(actor: string, isStillOurs: () => Promise<boolean>): Promise<Lease | undefined> {
    const options = this.#lease(actor, isStillOurs);
    const row = await options.store.get(options.key);
    if (row === undefined) return undefined;
    const { holder, nonce } = readClaim(row);
    if (holder !== this.#options.holder) return undefined;
    return this.#keep(actor, await adoptLease(options, row, nonce));
  }

  async release(actor: string): Promise<void> {
    const lease = this.#held.get(actor);
    this.#held.delete(actor);
    await lease?.release();
  }

  async transfer(actor: string, to: string): Promise<boolean> {
    const lease = this.#held.get(actor);
    this.#held.delete(actor);
    return (await lease?.transfer(to, '')) === true;
  }

  /** Stops renewing; the leases stay until they expire, for who comes back. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const lease of this.#held.values()) lease.leave();
    this.#held.clear();
  }

  #lease(actor: string, isStillOurs: () => Promise<boolean>): LeaseOptions {
    const { store, keyOf, holder, leaseMs } = this.#options;
    return {
      store,
      key: keyOf(actor),
      holder,
      ttlMs: leaseMs,
      clock: systemClock,
      random: systemRandom,
      logger: SILENT,
      tenacious: isStillOurs,
    };
  }

  #keep(actor: string, lease: Lease | undefined): Lease | undefined {
    if (lease === undefined) return undefined;
    this.#held.get(actor)?.leave();
    this.#held.set(actor, lease);
    void lease.lost.then(() => {
      if (this.#held.get(actor) === lease) this.#held.delete(actor);
    });
    return lease;
  }
}
