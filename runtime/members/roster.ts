/**
 * The nodes of a realm as one of them sees them, and what it tells of itself.
 *
 * M1  A node's row lives by being renewed: a node that crashed or cannot reach the bus is gone for the others within
 *     the TTL. Nothing but liveness rests on that.
 * M2  A node always sees itself as it is now, whatever of it is stored.
 * M3  What a shard needs of its owner is told by its owners. What a crash keeps them from telling shows when another
 *     node fails the shard.
 * M4  After a time in which this node could tell nothing, neither could the others: rows and leases that ended then say
 *     nothing of whose they were, until everybody had the time to tell them again.
 */
import type { Clock, Logger } from '#runtime/shard/ports';
import { toWireError, type WireError } from '#schemas/fabric-error';
import { type Member, type MemberState, memberSchema, shardNeedsSchema } from '#schemas/member';
import { type LastLife, nextLife } from './life.ts';
import { effectNode, livesThatCount, ranking } from './placement.ts';
import type { MemberStore } from './store.ts';

/** A row is renewed this often within its TTL: two renewals may fail before it is gone. */
const RENEWALS_PER_TTL = 3;
/** A node that told nothing for so much of the TTL is cut off, or the bus is away. */
const SILENT_SHARE = 2 / 3;
/** A life is remembered in the bucket so long after its node was last started. */
const LIFE_TTL_MS = 86_400_000;

export const MEMBER = 'member.';
const DRAIN = 'drain.';
const LIFE = 'life.';
const NEEDS = 'needs.';

/** What a node is, apart from what happens to it. */
export type NodeTraits = Pick<
  Member,
  'id' | 'name' | 'version' | 'capacity' | 'labels' | 'machines' | 'kinds' | 'startedAt' | 'knockable'
>;

export interface RosterOptions {
  readonly traits: NodeTraits;
  readonly store: MemberStore;
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Roster {
  readonly #options: RosterOptions;
  readonly #rows = new Map<string, Member>();
  /** As they came: a renewal changes nothing. */
  readonly #texts = new Map<string, string | undefined>();
  /** Undefined after a change. */
  #members: readonly Member[] | undefined;
  readonly #needs = new Map<number, readonly string[]>();
  readonly #listeners = new Set<() => void>();
  readonly #shards = new Map<number, number>();
  readonly #failed = new Map<number, WireError>();
  #code: Pick<Member, 'machines' | 'kinds'>;
  #crashes = 0;
  #isWaiting = false;
  #isDraining = false;
  #isLeaving = false;
  #timer: unknown;
  #waitTimer: unknown;
  #writing: Promise<void> | undefined;
  #isStale = false;
  /** When this node last told of itself, ms since the epoch. */
  #toldAt = 0;
  #steadyAt = 0;
  #isClosed = false;
  #watch: { close(): Promise<void> } | undefined;

  private constructor(options: RosterOptions) {
    this.#options = options;
    const { machines, kinds } = options.traits;
    this.#code = { machines, kinds };
  }

  /** Announces the node and resolves once every other that is there is known. Rejects where the store cannot say. */
  static async open(options: RosterOptions): Promise<Roster> {
    const roster = new Roster(options);
    await roster.#begin();
    return roster;
  }

  /** M2. */
  get self(): Member {
    return {
      ...this.#options.traits,
      ...this.#code,
      state: this.#state(),
      shards: Object.fromEntries(this.#shards),
      failed: Object.fromEntries(
        [...this.#failed].map(([shard, { code, message }]) => [shard, { code, message }]),
      ),
    };
  }

  /** Every node, by name. */
  members(): readonly Member[] {
    if (this.#members !== undefined) return this.#members;
    const { id } = this.#options.traits;
    const others = [...this.#rows.values()].filter((member) => member.id !== id);
    this.#members = livesThatCount([...others, this.self]).sort((a, b) => (a.name < b.name ? -1 : 1));
    return this.#members;
  }

  /** Every other process that has a row, also where a later one has its name. */
  others(): Member[] {
    return [...this.#rows.values()].filter(({ id }) => id !== this.#options.traits.id);
  }

  /** Removes the row of a process that has gone. Rejects where that is not certain. */
  async forget(id: string): Promise<void> {
    await this.#options.store.remove(`${MEMBER}${id}`);
  }

  /** The process that wrote a row; undefined where it has gone. */
  member(id: string): Member | undefined {
    return id === this.#options.traits.id ? this.self : this.#rows.get(id);
  }

  /** Machine versions that a shard needs of its owner. */
  needs(shard: number): readonly string[] {
    return this.#needs.get(shard) ?? [];
  }

  /** Nodes that may own a shard, the wanted owner first. */
  ranking(shard: number): Member[] {
    return ranking(this.members(), shard, this.needs(shard));
  }

  /** Id of the node that runs effects of an actor whose kind asks for labels; undefined where none can. */
  effectNode(labels: Readonly<Record<string, string>>, actor: string): string | undefined {
    return effectNode(this.members(), labels, actor)?.id;
  }

  /** Calls after each change of what this node sees, until the function that is given back is called. */
  onChange(heard: () => void): () => void {
    this.#listeners.add(heard);
    return () => this.#listeners.delete(heard);
  }

  /** The node runs a shard under an epoch, or no longer does. */
  setShard(shard: number, epoch: number | undefined): void {
    if (epoch === undefined) this.#shards.delete(shard);
    else this.#shards.set(shard, epoch);
    this.#changed();
  }

  /** The node has read other machines. */
  setCode(code: Pick<Member, 'machines' | 'kinds'>): void {
    this.#code = code;
    this.#changed();
  }

  /** Nodes that lack one of these machine versions and may get shards, with what they lack. */
  lacking(machines: readonly string[]): { readonly name: string; readonly missing: readonly string[] }[] {
    return this.members()
      .filter(({ state }) => state === 'up' || state === 'waiting')
      .map((member) => ({
        name: member.name,
        missing: machines.filter((ref) => !member.machines.includes(ref)),
      }))
      .filter(({ missing }) => missing.length > 0);
  }

  /** The node cannot run a shard for good. */
  setFailed(shard: number, error: WireError): void {
    this.#failed.set(shard, error);
    this.#changed();
  }

  /** The node is being stopped: it takes no shard any more. */
  leave(): void {
    this.#isLeaving = true;
    this.#changed();
  }

  /** Keeps an operator's wish over restarts: a node that drains gives its shards away. Rejects where it is not stored. */
  async drain(on: boolean): Promise<void> {
    const { store, traits } = this.#options;
    const key = `${DRAIN}${traits.name}`;
    if (on) await store.put(key, new Date(this.#options.clock.now()).toISOString());
    else await store.remove(key);
    this.#isDraining = on;
    this.#changed();
  }

  /** Tells what a shard needs of its next owner (M3). Rejects where it is not stored. */
  async tellNeeds(shard: number, epoch: number, machines: readonly string[]): Promise<void> {
    const known = this.needs(shard);
    if (known.length === machines.length && known.every((ref, n) => ref === machines[n])) return;
    this.#needs.set(shard, machines);
    this.#notify();
    await this.#options.store.put(`${NEEDS}${shard}`, JSON.stringify({ epoch, machines }));
  }

  /** From when on what this node sees tells who is there (M4), ms since the epoch; infinity while it is cut off. */
  get steadyAt(): number {
    return this.#isSilent() ? Number.POSITIVE_INFINITY : this.#steadyAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const { clock, store, traits, logger } = this.#options;
    clock.clearTimer(this.#timer);
    clock.clearTimer(this.#waitTimer);
    this.#listeners.clear();
    try {
      await this.#watch?.close();
      await this.#writing;
      await this.#putLife(true);
      await store.remove(`${MEMBER}${traits.id}`);
    } catch (thrown) {
      logger.warn({ error: toWireError(thrown) }, 'member_not_removed');
    }
  }

  async #begin(): Promise<void> {
    const { store, traits, clock, logger } = this.#options;
    const [left, drained] = await Promise.all([
      store.get(`${LIFE}${traits.name}`),
      store.get(`${DRAIN}${traits.name}`),
    ]);
    const { crashes, waitMs } = nextLife(lifeOf(left), clock.now());
    this.#crashes = crashes;
    this.#isDraining = drained !== undefined;
    if (waitMs > 0) {
      this.#isWaiting = true;
      logger.warn({ crashes, waitMs }, 'node_waits');
      this.#waitTimer = clock.setTimer(() => {
        this.#isWaiting = false;
        this.#changed();
      }, waitMs);
    }
    await this.#putLife(false);
    this.#watch = await store.watch((key, value) => this.#hear(key, value));
    await this.#put();
    this.#arm();
  }

  #state(): MemberState {
    if (this.#isLeaving) return 'leaving';
    if (this.#isDraining) return 'draining';
    return this.#isWaiting ? 'waiting' : 'up';
  }

  #hear(key: string, value: string | undefined): void {
    if (this.#isClosed || this.#texts.get(key) === value) return;
    if (value === undefined) this.#texts.delete(key);
    else this.#texts.set(key, value);
    if (key.startsWith(MEMBER)) this.#hearMember(key.slice(MEMBER.length), value);
    else if (key.startsWith(NEEDS)) this.#hearNeeds(Number(key.slice(NEEDS.length)), value);
    else if (key === `${DRAIN}${this.#options.traits.name}`) this.#hearDrain(value !== undefined);
    else return;
    this.#notify();
  }

  #notify(): void {
    this.#members = undefined;
    for (const heard of this.#listeners) heard();
  }

  #hearMember(id: string, value: string | undefined): void {
    const row = value === undefined ? undefined : memberSchema.safeParse(parsed(value));
    if (row?.success === true && row.data.id === id) {
      if (!this.#rows.has(id)) this.#came(row.data);
      this.#rows.set(id, row.data);
      return;
    }
    const gone = this.#rows.get(id);
    if (this.#rows.delete(id)) this.#options.logger.info({ id, name: gone?.name }, 'member_gone');
  }

  #came({ id, name, startedAt }: Member): void {
    const { traits, logger } = this.#options;
    logger.info({ id, name }, 'member_came');
    if (name !== traits.name || id === traits.id || startedAt < traits.startedAt) return;
    logger.error({ id, name }, 'node_name_taken');
  }

  #hearDrain(on: boolean): void {
    if (this.#isDraining === on) return;
    this.#isDraining = on;
    this.#tell();
  }

  #hearNeeds(shard: number, value: string | undefined): void {
    const needs = value === undefined ? undefined : shardNeedsSchema.safeParse(parsed(value));
    if (needs?.success === true) this.#needs.set(shard, needs.data.machines);
    else this.#needs.delete(shard);
  }

  #changed(): void {
    this.#notify();
    this.#tell();
  }

  #tell(): void {
    this.#isStale = true;
    this.#writing ??= this.#flush().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Changes of one moment are one write; what changes while it is under way is the next. */
  async #flush(): Promise<void> {
    while (this.#isStale && !this.#isClosed) {
      this.#isStale = false;
      try {
        await this.#put();
      } catch (thrown) {
        // M1: the renewal tells it again.
        this.#options.logger.warn({ error: toWireError(thrown) }, 'member_not_told');
      }
    }
  }

  async #put(): Promise<void> {
    const { store, traits, ttlMs, clock } = this.#options;
    await store.put(`${MEMBER}${traits.id}`, JSON.stringify(this.self), ttlMs);
    const wasSilent = this.#toldAt > 0 && this.#isSilent();
    this.#toldAt = clock.now();
    if (!wasSilent) return;
    this.#steadyAt = this.#toldAt + ttlMs; // M4
    this.#notify();
  }

  #isSilent(): boolean {
    const { clock, ttlMs } = this.#options;
    return clock.now() - this.#toldAt > ttlMs * SILENT_SHARE;
  }

  async #putLife(isClean: boolean): Promise<void> {
    const { store, traits } = this.#options;
    const life: LastLife = { crashes: this.#crashes, isClean, startedAt: traits.startedAt };
    await store.put(`${LIFE}${traits.name}`, JSON.stringify(life), LIFE_TTL_MS);
  }

  #arm(): void {
    const { clock, ttlMs } = this.#options;
    this.#timer = clock.setTimer(() => {
      this.#tell();
      this.#arm();
    }, ttlMs / RENEWALS_PER_TTL);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A row that nobody of us wrote.
    return undefined;
  }
}

function lifeOf(text: string | undefined): LastLife | undefined {
  const life = text === undefined ? undefined : parsed(text);
  return typeof life === 'object' && life !== null && 'startedAt' in life ? (life as LastLife) : undefined;
}
