/**
 * One shard's place at a node: empty, or with the lease and the shard that runs under it.
 *
 * S1  A free lease is taken by the node that placement wants; the others follow in their order, each a lease's time
 *     later, so that a wanted node that does not come up keeps nobody waiting for ever.
 *     After an outage of the bus nothing is taken before everybody had the time to hold on to what it had.
 * S2  A graceful move refuses nobody: the old owner finishes its commit, transfers the lease, holds what still comes,
 *     and hands it on once the new owner says that its door is open.
 * S3  Both owners of a move share a queue group, so an ask reaches exactly one of them, whoever is open.
 *     Where the old owner hangs or dies before it closed its door, the new one leaves the group: what the other's door
 *     still gets is lost, and asks find the new one alone. Until one or the other is certain it gives the shard to nobody:
 *     the next owner would be told a group that this one is leaving, where each ask is heard twice, or would share it with
 *     one that hangs, of whom it has never heard.
 * S4  A shard that moved stays for a while, unless its owner has to go: moves cost those who ask a wait.
 * S5  A lease may be with an owner that another has fenced meanwhile: an idle one looks at the log within a lease's
 *     time, so that timers, effects and mail of the other do not wait for the next message.
 */
import { acquireLease, adoptLease, type Claim, type Lease } from '#runtime/claims/lease';
import type { LeaseRow } from '#runtime/claims/lease-store';
import { memberErrors } from '#runtime/members/errors';
import { staysWith } from '#runtime/members/placement';
import { until, type Wake } from '#runtime/members/wake';
import { shardErrors } from '#runtime/shard/errors';
import { Shard } from '#runtime/shard/shard';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import type { Member } from '#schemas/member';
import type { HostOptions } from './host.ts';
import { moveShard } from './move.ts';

const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5_000;

export interface SeatOptions extends HostOptions {
  readonly wake: Wake;
  /** Who holds the lease, as far as this node has heard. */
  readonly claim: () => Claim | undefined;
  readonly claimRow: () => LeaseRow | undefined;
  /** Runs a move when few others are under way. */
  readonly inTurn: (move: () => Promise<void>) => Promise<void>;
}

/** A lease with what its last owner said. */
interface Held {
  readonly lease: Lease;
  readonly group: string;
  /** The shard was another node's before. */
  readonly isMoved: boolean;
  /** Who transferred it. */
  readonly giver?: string | undefined;
}

export class Seat {
  readonly shard: number;
  readonly #key: string;
  readonly #options: SeatOptions;
  readonly #settled = Promise.withResolvers<void>();
  #running: Shard | undefined;
  #starting: Shard | undefined;
  #failure: WireError | undefined;
  /** It knows who holds what. */
  #isSeated = false;
  #isEnding = false;
  #isMoving = false;
  /** Whom the lease was last seen with, by id. */
  #lastHolder: string | undefined;
  /** What came with the last transfer to this node. */
  #given: Pick<Held, 'group' | 'giver'> | undefined;
  #freeSince: number | undefined;
  #ended: Promise<void> = Promise.resolve();
  /** Of the door that is open here. */
  #group = '';

  constructor(shard: number, key: string, options: SeatOptions) {
    this.shard = shard;
    this.#key = key;
    this.#options = options;
  }

  start(): void {
    this.#isSeated = true;
    this.#ended = this.#sit();
  }

  /** Resolves when the shard runs here, has failed, or is another node's. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Resolves when the seat is empty for good. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  get running(): Shard | undefined {
    return this.#running;
  }

  /** The shard runs here, begins to, or is being handed over. */
  get isBusy(): boolean {
    return this.#running !== undefined || this.#starting !== undefined || this.#isMoving;
  }

  /** Why nobody takes asks of the shard now, where that is known. */
  get failure(): WireError | undefined {
    const { roster, claim, nodeId } = this.#options;
    const holder = claim()?.holder;
    const isHeld = holder !== undefined && roster.member(holder) !== undefined;
    if (isHeld && holder !== nodeId) return undefined;
    if (this.#failure !== undefined) return this.#failure;
    if (!this.#isSeated || this.#isEnding || isHeld) return undefined;
    const kind =
      roster.ranking(this.shard).length > 0 ? memberErrors.shard_unowned : memberErrors.shard_unplaced;
    const what = kind === memberErrors.shard_unowned ? 'No node runs' : 'No node can run';
    return new FabricError(kind, `${what} shard ${this.shard} now`, {
      details: { shard: this.shard },
    }).toWire();
  }

  /** Empties the seat; `wake` has to be called after. */
  end(): void {
    this.#isEnding = true;
    this.#settled.resolve();
    void this.#starting?.stop();
    void this.#running?.stop();
  }

  async #sit(): Promise<void> {
    const { logger, roster } = this.#options;
    const { shard } = this;
    for (let attempt = 0; !this.#isEnding; ) {
      try {
        const held = await this.#takeLease();
        if (held === undefined) return;
        const reason = await this.#run(held);
        attempt = 0;
        if (reason === undefined) continue;
        if (!reason.retryable) return this.#giveUp(reason);
        logger.warn({ shard, error: reason.toWire() }, 'shard_left');
      } catch (thrown) {
        if (thrown instanceof FabricError && !thrown.retryable) return this.#giveUp(thrown);
        attempt += 1;
        const error = { ...toWireError(thrown), retryable: true };
        // Whoever waits for this shard is told why it does not begin, and hears when it does.
        this.#failure = error;
        this.#settled.resolve();
        if (!this.#isEnding) logger.warn({ shard, attempt, error }, 'shard_retry');
      }
      roster.setShard(shard, undefined);
      await this.#pause(Math.min(RETRY_FIRST_MS * 2 ** attempt, RETRY_MAX_MS));
    }
  }

  /** H2. */
  #giveUp(reason: FabricError): void {
    const { logger, roster } = this.#options;
    this.#failure = reason.toWire();
    this.#settled.resolve();
    roster.setFailed(this.shard, reason.toWire());
    logger.error({ shard: this.shard, error: reason.toWire() }, 'shard_failed');
  }

  /** The lease, once this node should have it and it can be had; undefined when the node stops. */
  async #takeLease(): Promise<Held | undefined> {
    const { wake, nodeId, roster, clock, claim } = this.#options;
    while (!this.#isEnding) {
      const { changed } = wake;
      const held = claim();
      if (held !== undefined && held.holder !== nodeId) this.#lastHolder = held.holder;
      this.#freeSince = held === undefined ? (this.#freeSince ?? clock.now()) : undefined;
      const given = held?.holder === nodeId ? held.given : undefined;
      const rank = roster.ranking(this.shard).findIndex(({ id }) => id === nodeId);
      const dueAt = Math.max(this.#dueAt(rank, held), roster.steadyAt);
      if (given !== undefined || clock.now() >= dueAt) {
        const taken =
          given === undefined ? await this.#acquire(rank > 0) : await this.#adopt(given, held?.giver);
        if (taken !== undefined) return taken;
      }
      this.#failure = undefined;
      this.#settled.resolve();
      await until(clock, changed, this.#lookAt(rank, held, dueAt));
    }
    return undefined;
  }

  /** S1: when this node should try to take the lease; a live owner other than the wanted one gives it by itself. */
  #dueAt(rank: number, held: Claim | undefined): number {
    const { roster, clock, leaseTtlMs } = this.#options;
    if (rank < 0) return Number.POSITIVE_INFINITY;
    if (held !== undefined)
      return rank > 0 || roster.member(held.holder) !== undefined ? Number.POSITIVE_INFINITY : 0;
    return (this.#freeSince ?? clock.now()) + rank * leaseTtlMs;
  }

  /**
   * When to look again where nothing is heard meanwhile: a watch may miss an expiry over a reconnect, and a clock that
   * is set may begin and end a silence that nobody hears of.
   */
  #lookAt(rank: number, held: Claim | undefined, dueAt: number): number {
    const { roster, clock, leaseTtlMs } = this.#options;
    const now = clock.now();
    if (rank < 0) return Number.POSITIVE_INFINITY;
    if (roster.steadyAt === Number.POSITIVE_INFINITY) return now + leaseTtlMs;
    return held === undefined && dueAt > now ? dueAt : Math.max(dueAt, now + leaseTtlMs);
  }

  /** Out of turn it is taken as one that moved: the wanted node was there and did not take it (S4). */
  async #acquire(outOfTurn: boolean): Promise<Held | undefined> {
    const { nodeId, roster, random } = this.#options;
    const lease = await acquireLease(this.#leaseOptions());
    if (lease === undefined) return undefined;
    const isMoved = outOfTurn || (this.#lastHolder !== undefined && this.#lastHolder !== nodeId);
    const given = this.#given;
    // S3: what was given and could not be begun is begun anew with whoever still holds asks for it.
    if (given?.giver !== undefined && this.shard in (roster.member(given.giver)?.shards ?? {}))
      return { lease, ...given, isMoved: true };
    return { lease, group: random.id(), isMoved };
  }

  /** The giver is told with what it gives: a node that has just come may never have seen it hold the lease. */
  async #adopt(group: string, giver: string | undefined): Promise<Held | undefined> {
    const row = this.#options.claimRow();
    if (row === undefined) return undefined;
    const lease = await adoptLease(this.#leaseOptions(), row);
    if (lease === undefined) return undefined;
    this.#given = { group, giver };
    return { lease, ...this.#given, isMoved: true };
  }

  #leaseOptions() {
    const { leases: store, leaseTtlMs: ttlMs, nodeId: holder, clock, random, logger } = this.#options;
    return { store, key: this.#key, holder, ttlMs, clock, random, logger, tenacious: true };
  }

  /** Runs the shard until it leaves; the reason, or undefined when it moved or the node stops. Throws what kept it from beginning. */
  async #run({ lease, group, isMoved, giver }: Held): Promise<FabricError | undefined> {
    const { logger, roster, changed, clock } = this.#options;
    this.#group = group;
    const running = new Shard({
      ...this.#options.depsOf(this.shard, group),
      checkLease: async () => {
        if (!(await lease.isHeld())) throw this.#lost();
      },
      onNeeds: (versions) => this.#tellNeeds(versions, running.status().epoch),
    });
    this.#starting = running;
    void lease.lost.then((why) => {
      logger.warn({ shard: this.shard, why }, 'lease_lost');
      return running.stop();
    });
    let isLeft = false;
    try {
      await running.start();
      this.#starting = undefined;
      this.#failure = undefined;
      this.#running = running;
      changed(this.shard, running);
      // S2: the door is open, and the server hears of it before anybody hears of this.
      roster.setShard(this.shard, running.status().epoch);
      this.#settled.resolve();
      if (this.#isEnding) await running.stop();
      void running.left.then(() => {
        isLeft = true;
        this.#options.wake.wake();
      });
      void this.#confirm(running, () => isLeft);
      const grouped = giver === undefined ? undefined : this.#leaveGroupOf(giver, running, () => isLeft);
      const stayUntil = isMoved ? clock.now() + this.#options.stayMs : 0;
      // Once it begins to move it leaves, whatever becomes of the move.
      while (!this.#isMoving && (await this.#nextOwner(() => isLeft, stayUntil)) !== undefined) {
        await grouped; // S3
        await this.#options.inTurn(() => this.#giveAway(running, lease, stayUntil));
      }
      const reason = await running.left;
      if (reason !== undefined || this.#isEnding || this.#isMoving) return reason;
      return this.#lost();
    } catch (thrown) {
      await running.stop();
      throw thrown;
    } finally {
      this.#isMoving = false;
      this.#starting = undefined;
      this.#vacate();
      await lease.release().catch((error: unknown) => {
        logger.warn({ shard: this.shard, error: toWireError(error) }, 'lease_not_released');
      });
      this.#options.wake.wake();
    }
  }

  #lost(): FabricError {
    return new FabricError(shardErrors.lease_lost, `The lease of shard ${this.shard} was lost`);
  }

  /** Told in vain it is told again with the next change; until then placement knows too little, and a node may fail. */
  #tellNeeds(versions: readonly string[], epoch: number): void {
    const { roster, logger } = this.#options;
    roster.tellNeeds(this.shard, epoch, versions).catch((thrown: unknown) => {
      logger.warn({ shard: this.shard, error: toWireError(thrown) }, 'needs_not_told');
    });
  }

  /** S5: whoever wrote something just after a look is looked after in time with two of them. */
  async #confirm(running: Shard, isLeft: () => boolean): Promise<void> {
    for (let seq = running.status().seq; !isLeft() && !this.#isEnding; seq = running.status().seq) {
      await this.#pause(this.#options.leaseTtlMs / 2);
      // What it wrote meanwhile proves as much.
      if (running.status().seq === seq) await running.confirm();
    }
  }

  /** The shard no longer runs here. */
  #vacate(): void {
    if (this.#running === undefined) return;
    this.#running = undefined;
    this.#options.changed(this.shard, undefined);
    this.#options.roster.setShard(this.shard, undefined);
  }

  /**
   * S3: once the old owner says that its door is closed all is well; where it has gone without saying so, it may hang.
   * Resolves when the group is this owner's alone, or the shard has left.
   */
  async #leaveGroupOf(giver: string, running: Shard, isLeft: () => boolean): Promise<void> {
    const { wake, roster, random, doorOf, logger } = this.#options;
    for (;;) {
      const { changed } = wake;
      if (isLeft()) return;
      const row = roster.member(giver);
      if (row === undefined) break;
      if (!(this.shard in row.shards)) return;
      await changed;
    }
    if (doorOf === undefined) return;
    logger.warn({ shard: this.shard, giver }, 'door_moved');
    this.#group = random.id();
    await running.moveDoor(doorOf(this.shard, this.#group)).catch((thrown: unknown) => {
      logger.warn({ shard: this.shard, error: toWireError(thrown) }, 'door_not_moved');
    });
  }

  /** The node that should own the shard instead, once it may have it; undefined when the shard has left. */
  async #nextOwner(isLeft: () => boolean, stayUntil: number): Promise<Member | undefined> {
    const { wake, clock } = this.#options;
    while (!this.#isEnding && !isLeft()) {
      const { changed } = wake;
      const { next, dueAt } = this.#better(stayUntil);
      if (next !== undefined && clock.now() >= dueAt) return next;
      await until(clock, changed, next === undefined ? Number.POSITIVE_INFINITY : dueAt);
    }
    return undefined;
  }

  /** Who should own the shard instead of this node, and when it may have it. */
  #better(stayUntil: number): { readonly next: Member | undefined; readonly dueAt: number } {
    const { nodeId, roster } = this.#options;
    const order = roster.ranking(this.shard);
    const mine = order.find(({ id }) => id === nodeId);
    const [first] = order;
    if (first === undefined || first.id === nodeId || staysWith(mine, first))
      return { next: undefined, dueAt: 0 };
    const mayStay = mine?.state === 'up' || mine?.state === first.state;
    return { next: first, dueAt: mayStay ? stayUntil : 0 }; // S4
  }

  /** S2. Other moves came first, and meanwhile it may be wanted here again. */
  async #giveAway(running: Shard, lease: Lease, stayUntil: number): Promise<void> {
    const { next, dueAt } = this.#better(stayUntil);
    if (next === undefined || this.#options.clock.now() < dueAt) return;
    this.#isMoving = true;
    this.#options.changed(this.shard, undefined);
    const { shard } = this;
    await moveShard(
      { shard, running, lease, group: this.#group, next },
      {
        ...this.#options,
        isEnding: () => this.#isEnding,
        left: () => {
          this.#running = undefined;
          this.#lastHolder = next.id;
        },
      },
    );
    this.#running = undefined;
    this.#options.roster.setShard(shard, undefined);
  }

  async #pause(delayMs: number): Promise<void> {
    const { clock, wake } = this.#options;
    const at = clock.now() + delayMs;
    while (!this.#isEnding && clock.now() < at) await until(clock, wake.changed, at);
  }
}
