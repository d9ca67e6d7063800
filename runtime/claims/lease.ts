/**
 * Leases with fencing tokens over a compare-and-swap bucket.
 *
 * L1  At most one holder at a time as the bucket sees it: a lease begins by create-if-absent and lives by
 *     compare-and-swap renewals.
 * L2  An unclear answer is settled by reading: the value carries a nonce of this very acquisition.
 * L3  A holder that could not renew within the TTL by its own clock considers the lease lost. That serves liveness;
 *     safety rests on the fencing token, which whoever is written to must check. One whose work is fenced may be
 *     tenacious: it holds on while the store is away, and takes the lease again where it expired and nobody has it.
 * L4  A transfer is one compare-and-swap: the lease is the giver's before it and the taker's after it, and nobody's at
 *     no time. The taker begins by a renewal under a nonce of its own; a taker that never does lets it expire.
 */
import type { Clock, Logger, Random } from '#runtime/shard/ports';
import type { LeaseKeys, LeaseRow } from './lease-store.ts';

/** A lease is renewed this often within its TTL: two renewals may fail before it is lost. */
const RENEWALS_PER_TTL = 3;

export interface LeaseOptions {
  readonly store: LeaseKeys;
  readonly key: string;
  readonly holder: string;
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** L3; a function says whether it may take the lease again. */
  readonly tenacious?: boolean | (() => Promise<boolean>);
}

/** Takes the lease, or undefined where another holds it. Rejects when the store cannot say. */
export async function acquireLease(
  options: LeaseOptions,
  nonce: string = options.random.id(),
): Promise<Lease | undefined> {
  const { store, key, holder, ttlMs, clock } = options;
  const value = JSON.stringify({ holder, nonce });
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

/**
 * Takes a lease that its holder transferred to us, as {@link readClaim} told (L4); undefined where it expired or is
 * somebody else's by now. Rejects when the store cannot say.
 */
export async function adoptLease(
  options: LeaseOptions,
  row: LeaseRow,
  nonce: string = options.random.id(),
): Promise<Lease | undefined> {
  const { store, key, holder, ttlMs, clock } = options;
  const { given = '' } = readClaim(row);
  const value = JSON.stringify({ holder, nonce, ...(given !== '' && { taken: given }) });
  const askedAt = clock.now();
  let revision: number | undefined;
  try {
    revision = await store.update(key, value, row.revision, ttlMs);
  } catch (unclear) {
    // L2.
    const found = await store.get(key);
    if (found?.value !== value) throw unclear;
    revision = found.revision;
  }
  return revision === undefined ? undefined : new Lease(options, value, revision, askedAt);
}

/** What the stored value of a lease says. */
export interface Claim {
  readonly holder: string;
  /** Names the acquisition. */
  readonly nonce: string;
  /** Set where it was transferred and not begun yet: what its giver has to say to the holder. */
  readonly given?: string;
  /** With `given`: who gave it. */
  readonly giver?: string;
  /** What its giver had to say, where the holder began with a transfer. */
  readonly taken?: string;
}

export function readClaim({ value }: Pick<LeaseRow, 'value'>): Claim {
  const { holder, nonce, given, giver, taken } = JSON.parse(value) as Claim;
  return {
    holder,
    nonce,
    ...(given !== undefined && { given }),
    ...(giver !== undefined && { giver }),
    ...(taken !== undefined && { taken }),
  };
}

/** Who holds a lease, by its stored value. */
export function holderOf(row: Pick<LeaseRow, 'value'>): string {
  return readClaim(row).holder;
}

export class Lease {
  readonly key: string;
  /** Fencing token: the revision at which the lease began. */
  readonly token: number;
  /** Names the acquisition: it stays over renewals and a transfer. */
  readonly nonce: string;
  /** Resolves with the reason when the lease is lost; never after `release`. */
  readonly lost: Promise<string>;
  readonly #options: LeaseOptions;
  readonly #value: string;
  #revision: number;
  #renewedAt: number;
  #timer: unknown;
  #ended = false;
  #renewing: Promise<void> | undefined;
  #lose: (reason: string) => void = () => {};

  constructor(options: LeaseOptions, value: string, revision: number, renewedAt: number) {
    this.#options = options;
    this.key = options.key;
    this.token = revision;
    this.nonce = readClaim({ value }).nonce;
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

  /** Renews no more: the lease is there until it expires, for a holder that comes back. */
  leave(): void {
    this.#end();
  }

  /** Renews at once; false where the lease is lost. */
  async renew(): Promise<boolean> {
    if (this.#ended) return false;
    this.#options.clock.clearTimer(this.#timer);
    this.#startRenewal();
    await this.#renewing;
    return !this.#ended;
  }

  /** What the store says now: nobody else has it, and it has not expired. Rejects when the store cannot say. */
  async isHeld(): Promise<boolean> {
    return !this.#ended && (await this.#options.store.get(this.key))?.value === this.#value;
  }

  /**
   * Makes `holder` the one who holds the lease, with a word for it (L4). False where the lease was lost before, or
   * where it is not clear that the transfer is stored: whoever holds it then, it is not this one.
   */
  async transfer(holder: string, given: string): Promise<boolean> {
    // A renewal under way would change the revision.
    await this.#renewing;
    if (this.#ended) return false;
    this.#end();
    const { store, ttlMs, holder: giver } = this.#options;
    const value = JSON.stringify({ holder, nonce: this.nonce, given, giver });
    try {
      if ((await store.update(this.key, value, this.#revision, ttlMs)) !== undefined) return true;
    } catch {
      // Unclear: what is stored tells (L2).
    }
    return (await store.get(this.key))?.value === value;
  }

  #arm(): void {
    const { clock, ttlMs } = this.#options;
    this.#timer = clock.setTimer(() => this.#startRenewal(), ttlMs / RENEWALS_PER_TTL);
  }

  #startRenewal(): void {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
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
        else if (found === undefined && (await this.#mayRetake())) {
          revision = await store.create(this.key, this.#value, ttlMs);
        }
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
      if ((this.#options.tenacious ?? false) === false && clock.now() - this.#renewedAt >= ttlMs) {
        this.#fail('it could not be renewed within its TTL');
        return;
      }
    }
    this.#arm();
  }

  async #mayRetake(): Promise<boolean> {
    const { tenacious = false } = this.#options;
    return typeof tenacious === 'function' ? await tenacious() : tenacious;
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
