/**
 * The shards of a node: a seat for each of the realm's, which holds the lease while this node should own the shard.
 *
 * H1  A lost lease only ends the shard here; that it can do no harm meanwhile is the fence of its log.
 * H2  A shard that fails here for good (a damaged log, changed machine code) is reported, so that another node takes
 *     it; the others go on.
 * H3  Who owns what is decided by placement alone, from what this node sees of the others. Nodes that see different
 *     things disagree for a while; the leases let one of them have the shard.
 */
import { type Claim, readClaim } from '#runtime/claims/lease';
import type { LeaseRow, LeaseStore } from '#runtime/claims/lease-store';
import type { Roster } from '#runtime/members/roster';
import { Wake } from '#runtime/members/wake';
import type { Ask, AskDoor, Clock, Logger, Random } from '#runtime/shard/ports';
import type { Shard, ShardDeps } from '#runtime/shard/shard';
import { toWireError, type WireError } from '#schemas/fabric-error';
import { Seat } from './seat.ts';

/** Shards that move away from a node at a time: each move reads a log. */
const MOVES_MAX = 4;
/** A node that is stopped gives its shards away for so long, and then lets the leases tell. */
const LEAVE_MS_MAX = 20_000;

const LEASE_PREFIX = 'shard.';

/** Name of a shard's lease. */
export function leaseKey(shard: number): string {
  return `${LEASE_PREFIX}${shard}`;
}

export interface HostOptions {
  readonly nodeId: string;
  readonly shards: number;
  readonly leaseTtlMs: number;
  /** A shard stays so long where it moved to, unless its owner goes, ms. */
  readonly stayMs: number;
  readonly leases: LeaseStore;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** `group` is what the owners of a shard that follow one another in handovers share: see `natsAsks`. */
  readonly depsOf: (shard: number, group: string) => ShardDeps;
  /** The door of a shard for a group; without it a new owner stays in the group of the one before, whatever becomes of that. */
  readonly doorOf?: (shard: number, group: string) => AskDoor;
  /** Called when a shard runs here, and with undefined when it no longer does. */
  readonly changed: (shard: number, running: Shard | undefined) => void;
  /** What a new owner's door needs to be known by all servers, ms; 0 with a single server. */
  readonly lingerMs?: number;
}

export class ShardHost {
  readonly #options: HostOptions;
  readonly #seats: Seat[] = [];
  readonly #wake = new Wake();
  readonly #claims = new Map<number, LeaseRow>();
  readonly #moving: (() => void)[] = [];
  #moves = 0;
  #watch: { close(): Promise<void> } | undefined;
  #unlisten: () => void = () => {};

  constructor(options: HostOptions) {
    this.#options = options;
    for (let shard = 0; shard < options.shards; shard++) {
      this.#seats.push(
        new Seat(shard, leaseKey(shard), {
          ...options,
          wake: this.#wake,
          claim: () => this.claim(shard),
          claimRow: () => this.#claims.get(shard),
          inTurn: (move) => this.#inTurn(move),
        }),
      );
    }
  }

  /** Resolves once the seats know who holds what. Rejects where the store cannot say. */
  async start(): Promise<void> {
    const { leases, roster } = this.#options;
    this.#watch = await leases.watch(LEASE_PREFIX, (key, row) => this.#hear(key, row));
    this.#unlisten = roster.onChange(() => this.#wake.wake());
    for (const seat of this.#seats) seat.start();
  }

  /** Resolves when every shard runs here, has failed, or is another node's. */
  async settled(): Promise<void> {
    await Promise.all(this.#seats.map((seat) => seat.settled));
  }

  running(shard: number): Shard | undefined {
    return this.#seats[shard]?.running;
  }

  all(): Shard[] {
    return this.#seats.flatMap(({ running }) => running ?? []);
  }

  /** Who holds the lease of a shard, as far as this node has heard. */
  claim(shard: number): Claim | undefined {
    const row = this.#claims.get(shard);
    return row === undefined ? undefined : readClaim(row);
  }

  /** Removes the leases that a node holds as far as this one has heard: it has gone. Rejects where that is not certain. */
  async release(nodeId: string): Promise<void> {
    const held = [...this.#claims].filter(([, row]) => readClaim(row).holder === nodeId);
    await Promise.all(
      held.map(([shard, { revision }]) => this.#options.leases.remove(leaseKey(shard), revision)),
    );
  }

  /** Why nobody takes asks of a shard now, where that is known. */
  failure(shard: number): WireError | undefined {
    return this.#seats[shard]?.failure;
  }

  offer(shard: number, ask: Ask): boolean {
    const running = this.running(shard);
    running?.offer(ask);
    return running !== undefined;
  }

  /** Gives the shards to other nodes where there are any, finishes every commit under way and gives the leases back. */
  async stop(): Promise<void> {
    const { roster, clock, nodeId, leaseTtlMs } = this.#options;
    roster.leave();
    if (
      this.all().length > 0 &&
      roster.members().some(({ id, state }) => id !== nodeId && state !== 'leaving')
    ) {
      let timer: unknown;
      const deadline = clock.now() + LEAVE_MS_MAX;
      const late = new Promise<void>((resolve) => {
        const look = (): void => {
          // Cut off from the bus it can give nothing to anybody, and the leases tell anyway.
          if (roster.steadyAt === Number.POSITIVE_INFINITY || clock.now() >= deadline) resolve();
          else timer = clock.setTimer(look, Math.min(leaseTtlMs, deadline - clock.now()));
        };
        look();
      });
      await Promise.race([this.#empty(), late]);
      clock.clearTimer(timer);
    }
    for (const seat of this.#seats) seat.end();
    this.#wake.wake();
    await Promise.all(this.#seats.map((seat) => seat.ended));
    this.#unlisten();
    await this.#watch?.close().catch((thrown: unknown) => {
      this.#options.logger.warn({ error: toWireError(thrown) }, 'lease_watch_not_closed');
    });
  }

  /** Resolves when no shard runs here any more, or none can be given to anybody. */
  async #empty(): Promise<void> {
    for (;;) {
      const { changed } = this.#wake;
      const { nodeId, roster } = this.#options;
      const wanted = this.#seats.filter(
        (seat) => seat.isBusy && roster.ranking(seat.shard).some(({ id }) => id !== nodeId),
      );
      if (wanted.length === 0) return;
      await changed;
    }
  }

  #hear(key: string, row: LeaseRow | undefined): void {
    const shard = Number(key.slice(LEASE_PREFIX.length));
    const known = this.#claims.get(shard);
    if (row === undefined) this.#claims.delete(shard);
    else this.#claims.set(shard, row);
    // Renewals change nothing that anybody waits for.
    if (known?.value !== row?.value) this.#wake.wake();
  }

  async #inTurn(move: () => Promise<void>): Promise<void> {
    if (this.#moves >= MOVES_MAX) await new Promise<void>((resolve) => this.#moving.push(resolve));
    this.#moves += 1;
    try {
      await move();
    } finally {
      this.#moves -= 1;
      this.#moving.shift()?.();
    }
  }
}
