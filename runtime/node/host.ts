/**
 * The shards of a node: for each a lease, and while it is held a shard that runs.
 *
 * H1  A lost lease only ends the shard here; that it can do no harm meanwhile is the fence of its log.
 * H2  A shard that fails for good (a damaged log, changed machine code) is reported and left alone; the others go on.
 */
import { acquireLease, type Lease } from '#runtime/claims/lease';
import type { LeaseStore } from '#runtime/claims/lease-store';
import type { Ask, Clock, Logger, Random } from '#runtime/shard/ports';
import { Shard, type ShardDeps } from '#runtime/shard/shard';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';

const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5_000;

/** Name of a shard's lease. */
export function leaseKey(shard: number): string {
  return `shard.${shard}`;
}

export interface HostOptions {
  readonly nodeId: string;
  readonly shards: number;
  readonly leaseTtlMs: number;
  readonly leases: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly depsOf: (shard: number) => ShardDeps;
  /** Called when a shard runs here, and with undefined when it no longer does. */
  readonly changed: (shard: number, running: Shard | undefined) => void;
}

export class ShardHost {
  readonly #options: HostOptions;
  readonly #running = new Map<number, Shard>();
  readonly #starting = new Set<Shard>();
  readonly #failed = new Map<number, WireError>();
  readonly #loops: Promise<void>[] = [];
  readonly #firstTries: PromiseWithResolvers<void>[] = [];
  #stopping = false;
  #stop: () => void = () => {};
  readonly #stopped: Promise<void>;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
  }

  start(): void {
    for (let shard = 0; shard < this.#options.shards; shard++) {
      this.#firstTries.push(Promise.withResolvers());
      this.#loops.push(this.#own(shard));
    }
  }

  /** Resolves when every shard runs here, has failed, or is held by another node. */
  async settled(): Promise<void> {
    await Promise.all(this.#firstTries.map((first) => first.promise));
  }

  running(shard: number): Shard | undefined {
    return this.#running.get(shard);
  }

  all(): Shard[] {
    return [...this.#running.values()].sort((a, b) => a.shard - b.shard);
  }

  /** Why a shard cannot run here, where that is known. */
  failure(shard: number): WireError | undefined {
    return this.#failed.get(shard);
  }

  offer(shard: number, ask: Ask): boolean {
    const running = this.#running.get(shard);
    running?.offer(ask);
    return running !== undefined;
  }

  /** Finishes every commit under way and gives the leases back. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stop();
    for (const first of this.#firstTries) first.resolve();
    await Promise.all([...this.#starting, ...this.all()].map((shard) => shard.stop()));
    await Promise.all(this.#loops);
  }

  async #own(shard: number): Promise<void> {
    const { logger } = this.#options;
    for (let attempt = 0; !this.#stopping; ) {
      try {
        const lease = await this.#takeLease(shard);
        if (lease === undefined) continue;
        const reason = await this.#run(shard, lease);
        if (reason === undefined) return;
        if (!reason.retryable) return this.#giveUp(shard, reason);
        attempt = 0;
        logger.warn({ shard, error: reason.toWire() }, 'shard_left');
      } catch (thrown) {
        if (thrown instanceof FabricError && !thrown.retryable) return this.#giveUp(shard, thrown);
        attempt += 1;
        const error = { ...toWireError(thrown), retryable: true };
        // Whoever waits for this shard is told why it does not begin, and hears when it does.
        this.#failed.set(shard, error);
        this.#firstTries[shard]?.resolve();
        if (!this.#stopping) logger.warn({ shard, attempt, error }, 'shard_retry');
      }
      await this.#pause(Math.min(RETRY_FIRST_MS * 2 ** attempt, RETRY_MAX_MS));
    }
  }

  /** H2. */
  #giveUp(shard: number, reason: FabricError): void {
    this.#failed.set(shard, reason.toWire());
    this.#firstTries[shard]?.resolve();
    this.#options.logger.error({ shard, error: reason.toWire() }, 'shard_failed');
  }

  /** The lease, as soon as it is free; undefined when it may be free now, or the node stops. */
  async #takeLease(shard: number): Promise<Lease | undefined> {
    const { leases, leaseTtlMs: ttlMs, nodeId, clock, random, logger } = this.#options;
    const key = leaseKey(shard);
    const take = (): Promise<Lease | undefined> =>
      acquireLease({ store: leases, key, holder: nodeId, ttlMs, clock, random, logger });
    const lease = await take();
    if (lease !== undefined) return lease;
    this.#failed.delete(shard);
    this.#firstTries[shard]?.resolve();
    const freed = Promise.withResolvers<void>();
    const watch = await leases.watchFreed(key, () => freed.resolve());
    try {
      // Freed between the attempt and the watch; and a watch may miss an expiry over a reconnect.
      const again = await take();
      if (again !== undefined) return again;
      await Promise.race([freed.promise, this.#pause(ttlMs), this.#stopped]);
      return this.#stopping ? undefined : await take();
    } finally {
      await watch.close();
    }
  }

  /** Runs the shard until it leaves; the reason, or undefined when the node stops. Throws what kept it from beginning. */
  async #run(shard: number, lease: Lease): Promise<FabricError | undefined> {
    const running = new Shard(this.#options.depsOf(shard));
    this.#starting.add(running);
    try {
      await running.start();
      this.#starting.delete(running);
      this.#failed.delete(shard);
      this.#running.set(shard, running);
      this.#options.changed(shard, running);
      this.#firstTries[shard]?.resolve();
      if (this.#stopping) await running.stop();
      void lease.lost.then((why) => {
        this.#options.logger.warn({ shard, why }, 'lease_lost');
        return running.stop();
      });
      const reason = await running.left;
      if (reason !== undefined || this.#stopping) return reason;
      return new FabricError(
        { code: 'lease_lost', retryable: true, help: '' },
        `The lease of shard ${shard} was lost`,
      );
    } catch (thrown) {
      await running.stop();
      throw thrown;
    } finally {
      this.#starting.delete(running);
      this.#running.delete(shard);
      this.#options.changed(shard, undefined);
      await lease.release().catch((error: unknown) => {
        this.#options.logger.warn({ shard, error: toWireError(error) }, 'lease_not_released');
      });
    }
  }

  #pause(delayMs: number): Promise<void> {
    return Promise.race([
      new Promise<void>((resolve) => this.#options.clock.setTimer(resolve, delayMs)),
      this.#stopped,
    ]);
  }
}
