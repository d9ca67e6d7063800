/**
 * The claims of one worker: keys in the bucket of leases, renewed until they end.
 *
 * C1  The task's word comes first and the key second: one commit decides among all rivals, and only who has won writes to
 *     the bucket. A task waits one lease time for the key of a claim, so that a worker that crashed in between keeps nothing.
 * C2  A key that went is put back only where the task still knows the claim: a worker that slept past its lease must not
 *     keep others from the task.
 * C3  What is known to be over (by the task's own events, too) is let go at once.
 * C4  A lease holds on while the store is away, so that it is held says nothing of a renewal: what was stored is counted.
 */

import { systemClock, systemRandom } from '#runtime/bus/system';
import { acquireLease, adoptLease, type Lease, type LeaseOptions, readClaim } from '#runtime/claims/lease';
import type { LeaseKeys, LeaseRow } from '#runtime/claims/lease-store';
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
  readonly #keys = new WeakMap<Lease, CountedKeys>();
  /** Keys that are being written; what is done with a lease meanwhile waits for it. */
  readonly #beginning = new Map<string, Promise<unknown>>();

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  async held(actor: string): Promise<Lease | undefined> {
    await this.#beginning.get(actor);
    return this.#held.get(actor);
  }

  /** Renews at once; true where it is known to be renewed (C4). */
  async renew(actor: string): Promise<boolean> {
    const lease = await this.held(actor);
    const keys = lease && this.#keys.get(lease);
    if (keys === undefined) return false;
    const before = keys.stored;
    return (await lease?.renew()) === true && keys.stored > before;
  }

  /**
   * Takes the lease on an actor under a nonce of its own, also from another process of this worker; undefined where somebody
   * else has it. `isStillOurs` is C2.
   */
  async take(actor: string, isStillOurs: () => Promise<boolean>): Promise<Lease | undefined> {
    const options = this.#lease(actor, isStillOurs);
    for (;;) {
      const row = await options.store.get(options.key);
      if (row !== undefined && readClaim(row).holder !== this.#options.holder) return undefined;
      const lease = row === undefined ? await acquireLease(options) : await adoptLease(options, row);
      if (lease !== undefined) return this.#keep(actor, options, lease);
    }
  }

  /**
   * Writes the key of a claim that the task has confirmed under `nonce` (C1), also where that of an earlier claim still
   * stands; undefined where the claim is over by now. `isStillOurs` is C2.
   */
  begin(actor: string, nonce: string, isStillOurs: () => Promise<boolean>): Promise<Lease | undefined> {
    const begun = this.#begin(actor, nonce, isStillOurs, () => this.#beginning.get(actor) === settled);
    const settled: Promise<unknown> = begun
      .catch(() => undefined)
      .finally(() => {
        if (this.#beginning.get(actor) === settled) this.#beginning.delete(actor);
      });
    this.#beginning.set(actor, settled);
    return begun;
  }

  /**
   * Goes on with a lease whose row names us; undefined where there is none. Where it names another, `isComing` says whether
   * to look again: who hands a claim on writes its key after the task's word (C1). `isStillOurs` is C2.
   */
  async adopt(
    actor: string,
    isStillOurs: () => Promise<boolean>,
    isComing: () => Promise<boolean>,
  ): Promise<Lease | undefined> {
    const options = this.#lease(actor, isStillOurs);
    do {
      const row = await options.store.get(options.key);
      if (row === undefined) return undefined;
      const { holder, nonce } = readClaim(row);
      if (holder === this.#options.holder)
        return this.#keep(actor, options, await adoptLease(options, row, nonce));
    } while (await isComing());
    return undefined;
  }

  /** Lets go of the lease under `nonce`, and of none taken since: who claimed again goes on while the key before is written. */
  async release(actor: string, nonce: string): Promise<void> {
    const lease = await this.held(actor);
    if (lease?.nonce !== nonce) return;
    this.#held.delete(actor);
    await lease.release();
  }

  async transfer(actor: string, to: string): Promise<boolean> {
    const lease = await this.held(actor);
    this.#held.delete(actor);
    return (await lease?.transfer(to, '')) === true;
  }

  /** Stops renewing; the leases stay until they expire, for who comes back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#beginning.values());
    for (const lease of this.#held.values()) lease.leave();
    this.#held.clear();
  }

  async #begin(
    actor: string,
    nonce: string,
    isStillOurs: () => Promise<boolean>,
    isNewest: () => boolean,
  ): Promise<Lease | undefined> {
    const options = this.#lease(actor, isStillOurs);
    // Who claimed hears of it first: there is a whole lease time for the key.
    await new Promise<void>((resolve) => void systemClock.setTimer(resolve, 0));
    for (;;) {
      let lease = await acquireLease(options, nonce);
      if (lease === undefined) {
        if (!(await isStillOurs())) return undefined;
        const row = await options.store.get(options.key);
        lease = row === undefined ? undefined : await adoptLease(options, row, nonce);
      }
      if (lease === undefined) continue;
      if (isNewest()) return this.#keep(actor, options, lease);
      // The answer was so late that the claim made since has the key by now, and renews it.
      lease.leave();
      return undefined;
    }
  }

  #lease(actor: string, isStillOurs: () => Promise<boolean>): CountedOptions {
    const { store, keyOf, holder, leaseMs } = this.#options;
    return {
      store: new CountedKeys(store),
      key: keyOf(actor),
      holder,
      ttlMs: leaseMs,
      clock: systemClock,
      random: systemRandom,
      logger: SILENT,
      tenacious: isStillOurs,
    };
  }

  #keep(actor: string, { store }: CountedOptions, lease: Lease | undefined): Lease | undefined {
    if (lease === undefined) return undefined;
    this.#keys.set(lease, store);
    this.#held.get(actor)?.leave();
    this.#held.set(actor, lease);
    void lease.lost.then(() => {
      if (this.#held.get(actor) === lease) this.#held.delete(actor);
    });
    return lease;
  }
}

interface CountedOptions extends LeaseOptions {
  readonly store: CountedKeys;
}

/** The keys of one lease, and how often it is known that they were written (C4). */
class CountedKeys implements LeaseKeys {
  readonly #keys: LeaseKeys;
  stored = 0;

  constructor(keys: LeaseKeys) {
    this.#keys = keys;
  }

  async create(key: string, value: string, ttlMs: number): Promise<number | undefined> {
    return this.#counted(await this.#keys.create(key, value, ttlMs));
  }

  async update(key: string, value: string, revision: number, ttlMs: number): Promise<number | undefined> {
    return this.#counted(await this.#keys.update(key, value, revision, ttlMs));
  }

  remove(key: string, revision: number): Promise<void> {
    return this.#keys.remove(key, revision);
  }

  get(key: string): Promise<LeaseRow | undefined> {
    return this.#keys.get(key);
  }

  #counted(revision: number | undefined): number | undefined {
    if (revision !== undefined) this.stored += 1;
    return revision;
  }
}
