/**
 * Leases with fencing tokens over a compare-and-swap bucket.
 *
 * L1  At most one holder at a time as the bucket sees it: a lease begins by create-if-absent and lives by
 *     compare-and-swap renewals.
 * L2  An unclear answer is settled by reading: the value carries a nonce of this very acquisition.
 * L3  A holder that could not renew within the TTL by its own clock considers the lease lost. That serves liveness;
 *     safety rests on the fencing token, which whoever is written to must check.
 */
import type { Clock, Logger, Random } from '#runtime/shard/ports';
import type { LeaseStore } from './lease-store.ts';

/** A lease is renewed this often within its TTL: two renewals may fail before it is lost. */
const RENEWALS_PER_TTL = 3;

export interface LeaseOptions {
  readonly store: LeaseStore;
  readonly key: string;
  readonly holder: string;
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Takes the lease, or undefined where another holds it. Rejects when the store cannot say. */
export async function acquireLease(options: LeaseOptions): Promise<Lease | undefined> {
  const { store, key, holder, ttlMs, clock, random } = options;
  const value = JSON.stringify({ holder, nonce: random.id() });
  const askedAt = clock.now();
  let revision: number | undefined;
  try {
    revision = await store.create(key, value, ttlMs);
  } catch (unclear) {
    // L2.
    const found = await store.get(key);
    if (found?.value !== value) throw unclear;
    revision = found.revision;
  }
  return revision === undefined ? undefined : new Lease(options, value, revision, askedAt);
}

/** Who holds a lease, by its stored value. */
export function holderOf({ value }: { readonly value: string }): string {
  const { holder } = JSON.parse(value) as { holder: string };
  return holder;
}

export class Lease {
  readonly key: string;
  /** Fencing token: the revision at which the lease began. */
  readonly token: number;
  /** Resolves with the reason when the lease is lost; never after `release`. */
  readonly lost: Promise<string>;
  readonly #options: LeaseOptions;
  readonly #value: string;
  #revision: number;
  #renewedAt: number;
  #timer: unknown;
  #ended = false;
  #lose: (reason: string) => void = () => {};

  constructor(options: LeaseOptions, value: string, revision: number, renewedAt: number) {
    this.#options = options;
    this.key = options.key;
    this.token = revision;
    this.#value = value;
    this.#revision = revision;
    this.#renewedAt = renewedAt;
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
    this.#arm();
  }

  /** Gives the lease back, so that others need not wait for its expiry. */
  async release(): Promise<void> {
    if (this.#ended) return;
    this.#end();
    await this.#options.store.remove(this.key, this.#revision);
  }

  #arm(): void {
    const { clock, ttlMs } = this.#options;
    this.#timer = clock.setTimer(() => void this.#renew(), ttlMs / RENEWALS_PER_TTL);
  }

  async #renew(): Promise<void> {
    const { store, clock, ttlMs, logger } = this.#options;
    const askedAt = clock.now();
    try {
      let revision = await store.update(this.key, this.#value, this.#revision, ttlMs);
      if (revision === undefined) {
        // A renewal whose answer was lost looks like a conflict (L2).
        const found = await store.get(this.key);
        if (found?.value === this.#value) revision = found.revision;
      }
      if (this.#ended) return;
      if (revision === undefined) {
        this.#fail('another node holds it, or it expired');
        return;
      }
      this.#revision = revision;
      this.#renewedAt = askedAt;
    } catch (error) {
      if (this.#ended) return;
      logger.warn({ key: this.key, error: (error as Error).message }, 'lease_renewal_unclear');
      // L3.
      if (clock.now() - this.#renewedAt >= ttlMs) {
        this.#fail('it could not be renewed within its TTL');
        return;
      }
    }
    this.#arm();
  }

  #fail(reason: string): void {
    this.#end();
    this.#lose(reason);
  }

  #end(): void {
    this.#ended = true;
    this.#options.clock.clearTimer(this.#timer);
  }
}
