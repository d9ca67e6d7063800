/**
 * The witness of a node: waits for the lease, and while it holds it builds the tree, reads the log again, serves both
 * and tells of breaks. Whatever fails here stops the witness for a while, never the node.
 */
import { acquireLease, type Lease } from '#runtime/claims/lease';
import { WITNESS_LEASE } from '#runtime/claims/lease-names';
import type { LeaseStore } from '#runtime/claims/lease-store';
import type { Random } from '#runtime/shard/ports';
import { toWireError } from '#schemas/fabric-error';
import { witnessServiceErrors } from './errors.ts';
import { pause } from './pause.ts';
import { rememberPublished } from './signed-record.ts';
import { natsWitnessStore } from './state-store.ts';
import { Term, type TermOptions } from './term.ts';

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;

export interface WitnessServiceOptions extends TermOptions {
  readonly leases: LeaseStore;
  readonly leaseTtlMs: number;
  readonly random: Random;
  /** Verifier key of the realm's key that lies here; undefined where none does. */
  readonly ownKey: () => Promise<string | undefined>;
}

export class WitnessService {
  readonly #options: WitnessServiceOptions;
  readonly #stopping = new AbortController();
  #term: Term | undefined;
  #renewal = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: WitnessServiceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Commits that the last signed checkpoint covers; undefined while another node builds. */
  get signedSize(): number | undefined {
    return this.#term?.signedSize;
  }

  /** Ends the term under way and begins another, which opens its signer anew. */
  renew(): void {
    this.#renewal.abort();
    this.#renewal = new AbortController();
  }

  /** Ends the term under way and gives the lease back. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(): Promise<void> {
    const { logger } = this.#options;
    let retryMs = RETRY_FIRST_MS;
    let told: string | undefined;
    while (!this.#stopping.signal.aborted) {
      try {
        const lease = await this.#takeLease();
        if (lease === undefined) continue;
        await this.#serve(lease);
        retryMs = RETRY_FIRST_MS;
      } catch (thrown) {
        if (this.#stopping.signal.aborted) return;
        const error = toWireError(thrown);
        // A node without the realm's key is as it should be: said once, not each time that the lease is free.
        if (error.code !== witnessServiceErrors.witness_key_foreign.code || error.code !== told)
          logger.warn({ error }, 'witness_retry');
        told = error.code;
        await pause(retryMs, this.#stopping.signal);
        retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
      }
    }
  }

  /** The lease, or undefined where another holds it and it may be free now. */
  async #takeLease(): Promise<Lease | undefined> {
    const { leases: store, leaseTtlMs: ttlMs, nodeId: holder, clock, random, logger } = this.#options;
    const take = (): Promise<Lease | undefined> =>
      acquireLease({ store, key: WITNESS_LEASE, holder, ttlMs, clock, random, logger });
    const lease = await take();
    if (lease !== undefined) return lease;
    await this.#remember();
    const freed = Promise.withResolvers<void>();
    const watch = await store.watchFreed(WITNESS_LEASE, () => freed.resolve());
    try {
      // A watch may miss an expiry over a reconnect.
      await Promise.race([freed.promise, pause(ttlMs, this.#stopping.signal)]);
    } finally {
      await watch.close();
    }
    return undefined;
  }

  /** What another node has signed by now (builder.ts, W6): this one may be the next. */
  async #remember(): Promise<void> {
    const { nc, subjects, origin, record, ownKey } = this.#options;
    const key = await ownKey();
    if (key === undefined) return;
    const { value } = await (await natsWitnessStore(nc, subjects.buckets.witness)).note();
    if (value !== undefined) await rememberPublished(value.note, { origin, key, record });
  }

  async #serve(lease: Lease): Promise<void> {
    const { logger } = this.#options;
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, this.#stopping.signal, this.#renewal.signal]);
    void lease.lost.then((why) => {
      logger.warn({ why }, 'witness_lease_lost');
      ended.abort();
    });
    try {
      await using term = await Term.open(this.#options, signal);
      this.#term = term;
      await term.run(signal);
    } finally {
      this.#term = undefined;
      ended.abort();
      await lease.release().catch((error: unknown) => {
        logger.warn({ error: toWireError(error) }, 'witness_lease_not_released');
      });
    }
  }
}
