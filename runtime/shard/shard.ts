/**
 * A shard: a single-writer log and the actors that live in it. gather → step → commit → act, for ever.
 *
 * P1  An accepted message changes state exactly once: its id, inbox position or mail mark is in the commit that holds
 *     its effect, or in none.
 * P2  Nothing is answered, mailed, started or emitted before the commit that says so is stored.
 * P3  Only the owner writes: every append names the sequence of the commit before it. A refused owner drops its
 *     memory and leaves.
 * P4  One append is in flight at a time; while it is, the next batch gathers.
 * P5  Per sender and actor, works are stepped in the order they came.
 * P6  Nothing is refused silently: an ask gets a typed answer, anything else a dead letter.
 * P7  What waits is bounded: asks beyond the bound are refused at once, the inbox is paused.
 */
import { randomInt } from 'node:crypto';
import { decodeCommit } from '#runtime/bus/codec';
import type { SnapshotStatement } from '#schemas/commit';
import { type ErrorKind, FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { Alarm } from './alarm.ts';
import { Appender, type AppendOutcome } from './append.ts';
import { type Positions, type SealedCommit, sealCommit } from './commit.ts';
import { Doors } from './doors.ts';
import { Draft } from './draft.ts';
import { writeEpoch } from './epoch.ts';
import { shardErrors } from './errors.ts';
import { type AdminOutcome, type Item, ItemQueue } from './gather.ts';
import type { HeldAsks } from './held-asks.ts';
import { Hydrator } from './hydrate.ts';
import { Mailer, parcelsOf } from './mailer.ts';
import type {
  Ask,
  AskDoor,
  EffectResult,
  EffectRunner,
  InboxMessage,
  ShardInbox,
  StoredCommit,
  Subscription,
} from './ports.ts';
import { prepareBatch } from './prepare.ts';
import { restoreShard } from './restore.ts';
import { settle } from './settle.ts';
import type { CrashPoint, ShardDeps, ShardStatus } from './shard-types.ts';
import { SnapshotWriter } from './snapshot.ts';
import { isDamage } from './snapshot-load.ts';
import { Snapshotter } from './snapshotter.ts';
import { emptyState, type ShardState } from './state.ts';
import { type Answer, stepItem } from './step-item.ts';
import type { Cell } from './table.ts';
import { nameOf, type Work } from './work.ts';

export type { CrashPoint, ShardDeps, ShardLimits, ShardStatus } from './shard-types.ts';

/** After a refused append the shard folds anew and waits this long before it takes anything again, doubling. */
const STALL_FIRST_MS = 250;
const STALL_MAX_MS = 5_000;
/** An append under way for longer than this is an outage: further asks are refused instead of piling up. */
const OUTAGE_AFTER_MS = 2_000;
/** Stepping so many keeps who is answered waiting for longer than a write to the socket takes. */
const ANSWERS_FIRST_MIN = 3;
/** A batch is cut when it is estimated to fill this share of the largest message the server takes. */
const BATCH_SHARE = 0.5;
/** Largest range that `randomInt` takes. */
const DEDUPE_SEED_MAX = 2 ** 48 - 1;
/** Bodies above this share of the largest message go to the blob store. */
const INLINE_SHARE = 1 / 8;
/** Subject, headers and record of a stored inbox message. */
const INBOX_OVERHEAD_BYTES = 256;

/** A batch that was stepped and waits for its append. */
interface Staged {
  readonly draft: Draft;
  readonly sealed: SealedCommit;
  readonly answers: readonly Answer[];
  /** The snapshot that counts once this is stored. */
  readonly statement: SnapshotStatement | undefined;
}

/** After a batch that had to be undone: its items come again, one a commit. */
const SINGLE_COMMITS = 64;
const STOPPED_EARLY = 'The shard was stopped while it recovered';

type Phase = 'new' | 'recovering' | 'running' | 'stalled' | 'yielding' | 'closed';

/** A shard that runs here no more, with its door still open for what comes until the next owner has opened its own. */
export interface Yielded {
  readonly held: HeldAsks;
  /** Closes the door; what it brought until now is held. */
  close(): Promise<void>;
}

export class Shard {
  readonly #deps: ShardDeps;
  readonly #appender: Appender;
  readonly #queue = new ItemQueue();
  /** Only who reads the realm's snapshots knows it, so nobody else can choose ids whose hashes collide. */
  #dedupeSeed: number;
  /** What waits has been hashed with it. */
  #isSeeded = false;
  readonly #doors: Doors;
  readonly #letIn = (ask: Ask): void => this.#doors.offer(ask);
  /** Works whose own commit was too big, by name, with the refusal they get when they come again. */
  readonly #tooBig = new Map<string, WireError>();
  /** Commits still to be made of one item each. */
  #single = 0;
  readonly #batchBytesMax: number;
  readonly #inlineBytesMax: number;
  #state: ShardState;
  #hydrator: Hydrator;
  #snapshotter: Snapshotter | undefined;
  #mailer: Mailer;
  #effects: EffectRunner | undefined;
  #inbox: Awaited<ReturnType<ShardInbox['open']>> | undefined;
  #asks: Subscription | undefined;
  #phase: Phase = 'new';
  #pumping: Promise<void> | undefined;
  #scheduled = false;
  #paused = false;
  readonly #alarm: Alarm;
  /** What was due then is not early, though the clock is set back before its step; ms since the epoch. */
  #gatheredAt = 0;
  /** Set while an append is under way, ms since the epoch. */
  #appendingSince: number | undefined;
  #stallMs = STALL_FIRST_MS;
  #endWait: () => void = () => {};
  #leave: (reason: FabricError | undefined) => void = () => {};
  /** Resolves when the shard has left: with the reason, or undefined after `stop`. */
  readonly left: Promise<FabricError | undefined>;

  constructor(deps: ShardDeps) {
    this.#deps = deps;
    this.#dedupeSeed = deps.dedupeSeed ?? randomInt(DEDUPE_SEED_MAX);
    this.#doors = new Doors({
      deps,
      queue: this.#queue,
      state: () => this.#state,
      closedFor: () => this.#closedFor(),
      queued: () => this.#schedule(),
    });
    this.#appender = new Appender(deps.log, deps.clock, deps.logger);
    this.#alarm = new Alarm(deps.clock, () => this.#timersDue());
    this.#batchBytesMax = deps.log.bytesMax * BATCH_SHARE;
    this.#inlineBytesMax = deps.log.bytesMax * INLINE_SHARE;
    this.#state = this.#empty();
    this.#hydrator = new Hydrator(deps.shard, deps.blobs);
    this.#mailer = new Mailer(deps);
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  get shard(): number {
    return this.#deps.shard;
  }

  /** Fences every earlier owner, recovers, and opens the doors. Throws when the log cannot be read or folded. */
  async start(): Promise<void> {
    this.#phase = 'recovering';
    const { seq, epoch } = await writeEpoch(this.#deps, this.#appender, () => this.#empty());
    this.#checkWanted();
    await this.#recover(seq, epoch);
    if (this.#isClosed()) {
      await this.#closeInside(new FabricError(shardErrors.shard_moved, STOPPED_EARLY).toWire());
      this.#checkWanted();
    }
    this.#asks = this.#deps.asks.open((ask) => this.offer(ask));
    this.#run();
  }

  /** Takes an ask. Answers it after its commit, or at once with a typed refusal. */
  offer(ask: Ask): void {
    const { admit } = this.#deps;
    if (admit === undefined) this.#doors.offer(ask);
    else admit(ask, this.#letIn);
  }

  /** Operates on an actor on behalf of the kernel or an operator; resolves after the commit. */
  async admin(work: Work): Promise<AdminOutcome> {
    if (this.#phase !== 'running') {
      return {
        ok: false,
        error: new FabricError(shardErrors.not_owner, `Shard ${this.shard} is ${this.#phase}`).toWire(),
      };
    }
    return await new Promise((done) => this.#push({ kind: 'admin', work, done }));
  }

  /** An actor as it is after the last commit; undefined where there is none. */
  async look(address: string): Promise<Cell | undefined> {
    await this.#hydrator.hydrate(this.#state, [address]);
    return this.#state.actors.cell(address);
  }

  /** Addresses in the table after `after` in table order, passivated ones included. */
  addresses(): IterableIterator<[string, Cell | number]> {
    return this.#state.actors.entries();
  }

  status(): ShardStatus {
    const s = this.#state;
    return {
      shard: this.shard,
      phase: this.#phase,
      epoch: s.epoch,
      index: s.index,
      seq: s.seq,
      actors: s.actors.size,
      resident: s.actors.resident,
      timers: s.timers.size,
      effects: s.effects.size,
      queued: this.#queue.length,
      outbox: this.#mailer.size,
      consumed: s.consumed,
      behind: this.#queue.outside + (this.#inbox?.behind() ?? 0),
    };
  }

  /**
   * Finishes what is being committed and leaves, for another node to go on: asks that wait and those that still come
   * are held instead of refused. Undefined where the shard left by itself meanwhile; they are refused then.
   */
  async yieldTo(nodeId: string): Promise<Yielded | undefined> {
    if (this.#phase !== 'running' && this.#phase !== 'stalled') return undefined;
    this.#phase = 'yielding';
    const held = this.#doors.hold();
    this.#endWait();
    await this.#pumping;
    if (this.#isClosed()) {
      held.refuse();
      return undefined;
    }
    const why = new FabricError(shardErrors.shard_moved, `Shard ${this.shard} moves to node ${nodeId}`);
    this.#doors.holdWaiting(why.toWire());
    this.#phase = 'closed';
    this.#appender.close();
    await this.#closeInside(why.toWire());
    this.#leave(undefined);
    return {
      held,
      close: async () => {
        await this.#asks?.close();
      },
    };
  }

  /** Before a move, while all goes on: makes what the next owner has to fold short. Resolves also where that fails. */
  async freshen(): Promise<void> {
    if (this.#phase === 'running')
      await this.#snapshotter?.freshen(this.#mailer, this.#pumping === undefined);
  }

  /** Takes asks at another door from now on. Between the two nobody takes them: for when the first is of no use. */
  async moveDoor(door: AskDoor): Promise<void> {
    const old = this.#asks;
    if (this.#phase !== 'running' && this.#phase !== 'stalled') return;
    await old?.close();
    if (this.#isClosed() || this.#asks !== old) return;
    this.#asks = door.open((ask) => this.offer(ask));
  }

  /**
   * Leaves where the log has gone on without this owner (P3). One that writes finds out by itself; one that is idle would
   * not, and what its successor left to do would wait for the next message.
   */
  async confirm(): Promise<void> {
    const { seq } = this.#state;
    const isIdle = (): boolean =>
      this.#phase === 'running' && this.#appendingSince === undefined && this.#state.seq === seq;
    if (!isIdle()) return;
    let head: StoredCommit | undefined;
    try {
      head = await this.#deps.log.head();
    } catch {
      // Nobody can say at this moment: the next look tells.
      return;
    }
    if (!isIdle() || head?.seq === seq) return;
    const why = `Shard ${this.shard} has another owner since epoch ${this.#state.epoch}`;
    void this.#shut(new FabricError(shardErrors.shard_moved, why));
  }

  /** Finishes what is being committed, closes the doors and leaves. What waits is refused with `shard_moved`. */
  async stop(): Promise<void> {
    await this.#shut(undefined);
  }

  /** A function, so that the compiler does not take a phase for known across an await. */
  #isClosed(): boolean {
    return this.#phase === 'closed';
  }

  /** Throws where the shard was stopped while it recovers: a long fold then ends at once. */
  #checkWanted(): void {
    if (this.#isClosed()) throw new FabricError(shardErrors.shard_moved, STOPPED_EARLY);
  }

  #empty(): ShardState {
    const { shard, registry, shardOf, limits } = this.#deps;
    return emptyState({
      shard,
      registry,
      shardOf,
      dedupeWindow: limits.dedupeWindow,
      dedupeSeed: this.#dedupeSeed,
    });
  }

  async #recover(throughSeq: number, epoch: number): Promise<void> {
    const { shard, blobs, log, logger, clock } = this.#deps;
    const startedAt = clock.now();
    const restored = await restoreShard({
      shard,
      log,
      blobs,
      eventOf: this.#deps.gate.eventOf,
      logger,
      throughSeq,
      epoch,
      seed: this.#isSeeded ? this.#dedupeSeed : undefined,
      empty: () => this.#empty(),
      checkWanted: () => this.#checkWanted(),
    });
    const { state, folded } = restored;
    this.#state = state;
    this.#dedupeSeed = state.dedupe.seed;
    this.#isSeeded = true;
    this.#hydrator = restored.hydrator;
    logger.info(
      { shard, epoch, commits: folded, actors: state.actors.size, ms: clock.now() - startedAt },
      'shard_recovered',
    );
    const writer = new SnapshotWriter(shard, epoch, blobs, restored);
    this.#snapshotter = new Snapshotter(this.#deps, state, writer, {
      wake: () => this.#schedule(),
      fault: (damage) => void this.#fault(damage),
    });
    this.#mailer = new Mailer(this.#deps);
    this.#mailer.add(restored.parcels);
    this.#effects = this.#deps.effects((result) => this.#effectDone(result));
    for (const effect of state.effects.values()) this.#effects.start(effect);
    for (const local of state.localMail.values()) this.#queue.push({ kind: 'mail', local });
    this.#inbox = await this.#deps.inbox.open(state.consumed, (message) => this.#receive(message));
    this.#paused = false;
  }

  #run(): void {
    this.#phase = 'running';
    this.#tellNeeds();
    this.#armTimer();
    this.#schedule();
  }

  #tellNeeds(): void {
    const changed = this.#state.needs.takeChanged();
    if (changed !== undefined) this.#deps.onNeeds?.(changed);
  }

  #push(item: Item): void {
    this.#queue.push(item);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#pumping !== undefined || this.#phase !== 'running') return;
    this.#scheduled = true;
    // Everything that one read of the socket brought is gathered before the first step.
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#pumping !== undefined || this.#phase !== 'running') return;
      this.#pumping = this.#pump().finally(() => {
        this.#pumping = undefined;
        if (this.#queue.length > 0 || this.#snapshotter?.statement !== undefined) this.#schedule();
        else if (!this.#alarm.isArmed && this.#phase === 'running') this.#armTimer();
      });
    });
  }

  #receive(message: InboxMessage): void {
    this.#snapshotter?.received(message.body.byteLength + INBOX_OVERHEAD_BYTES);
    this.#doors.receive(message);
    if (this.#paused || !this.#doors.isFull) return;
    this.#paused = true;
    this.#inbox?.pause();
  }

  /** Why asks are refused at this moment. */
  #closedFor(): { kind: ErrorKind; message: string } | undefined {
    if (this.#phase !== 'running') {
      const kind = this.#phase === 'stalled' ? shardErrors.log_refused : shardErrors.not_owner;
      return { kind, message: `Shard ${this.shard} takes nothing right now (${this.#phase})` };
    }
    const since = this.#appendingSince;
    if (since === undefined || this.#deps.clock.now() - since <= OUTAGE_AFTER_MS) return undefined;
    return { kind: shardErrors.log_unavailable, message: `The log of shard ${this.shard} does not answer` };
  }

  #effectDone(result: EffectResult): void {
    if (this.#phase === 'closed') return;
    this.#probe('effect_done');
    this.#push({ kind: 'effect', result });
  }

  /** One gather, step, commit, act after the other until nothing waits. */
  async #pump(): Promise<void> {
    let batch: readonly Item[] = [];
    try {
      while (this.#phase === 'running') {
        this.#snapshotter?.betweenBatches();
        batch = this.#gather();
        if (batch.length === 0 && this.#snapshotter?.statement === undefined) return;
        const prepared = prepareBatch(
          {
            state: this.#state,
            hydrator: this.#hydrator,
            blobs: this.#deps.blobs,
            log: this.#deps.log,
            inlineBytesMax: this.#inlineBytesMax,
            bodyBytesMax: this.#deps.limits.bodyBytesMax,
          },
          batch,
        );
        if (prepared !== undefined) await prepared;
        const staged = this.#stage(batch);
        if (staged === undefined) continue;
        if (staged instanceof FabricError) {
          await this.#stall(staged.toWire(), true);
          return;
        }
        this.#probe('before_commit');
        this.#appendingSince = this.#deps.clock.now();
        const result = await this.#appender.append(staged.sealed.bytes, this.#state.seq);
        this.#appendingSince = undefined;
        this.#probe('after_commit');
        if (result.kind !== 'appended') {
          await this.#notAppended(staged, result);
          return;
        }
        batch = [];
        this.#act(staged, result.seq);
        // Few that wait are stepped at once: their commit leaves in one write with the answers. Before many, the
        // answers leave first, so that who asked works while this does.
        if (this.#queue.length >= ANSWERS_FIRST_MIN) await answersAreOut();
      }
    } catch (thrown) {
      // P6: those who wait for it are refused with the rest.
      this.#queue.unshift(batch);
      await this.#fault(thrown);
    }
  }

  #gather(): Item[] {
    const batchMax = this.#single > 0 ? 1 : this.#deps.limits.batchMax;
    const items: Item[] = [];
    const now = this.#deps.clock.now();
    this.#gatheredAt = now;
    while (items.length < batchMax / 2) {
      const timer = this.#state.timers.takeDue(now);
      if (timer === undefined) break;
      items.push({ kind: 'timer', timer });
    }
    return items.length === 0
      ? this.#queue.take(batchMax)
      : [...items, ...this.#queue.take(batchMax - items.length)];
  }

  /** Steps a batch and encodes its commit; undefined where there is nothing to commit, an error where it has no bytes. */
  #stage(batch: readonly Item[]): Staged | FabricError | undefined {
    const state = this.#state;
    const at = Math.max(state.at, this.#gatheredAt, this.#deps.clock.now());
    const draft = new Draft(state.index + 1, at);
    const answers: Answer[] = [];
    const batchBytesMax = this.#single > 0 ? 0 : this.#batchBytesMax;
    const context = {
      state,
      deps: this.#deps,
      draft,
      answers,
      batchBytesMax,
      inlineBytesMax: this.#inlineBytesMax,
      refusalOf: this.#tooBig.size === 0 ? undefined : (work: Work) => this.#tooBig.get(nameOf(work)),
    };
    let consumed = state.consumed;
    let taken = 0;
    for (const item of batch) {
      if (draft.bytes > batchBytesMax) break;
      if (!stepItem(context, item)) break;
      if (item.kind === 'inbox') consumed = item.message.seq;
      else if (item.kind === 'bundle' || item.kind === 'skip') consumed = item.seq;
      taken += 1;
    }
    if (taken < batch.length) this.#queue.unshift(batch.slice(taken));
    const statement = this.#snapshotter?.statement;
    if (draft.entries.length === 0 && consumed === state.consumed && statement === undefined)
      return undefined;
    const acted = this.#mailer.actedThrough(state.index);
    const positions = { consumed, acted, epoch: state.epoch };
    const sealed = this.#seal(
      draft,
      statement === undefined ? positions : { ...positions, snapshot: statement },
    );
    const failure = sealed instanceof FabricError ? sealed : this.#oversize(sealed, answers);
    if (failure !== undefined) {
      for (const { item } of answers) this.#doors.refuseItem(item, failure.toWire());
      return failure;
    }
    return {
      draft,
      sealed: sealed as SealedCommit,
      answers,
      statement,
    };
  }

  /** The log took nothing, or it is not known what it took: nobody is told anything but to ask again. */
  async #notAppended(staged: Staged, result: Exclude<AppendOutcome, { kind: 'appended' }>): Promise<void> {
    const refuse = (error: WireError): void => {
      for (const { item } of staged.answers) this.#doors.refuseItem(item, error);
    };
    if (result.kind === 'refused') {
      refuse(result.error);
      await this.#stall(result.error);
      return;
    }
    const why =
      result.kind === 'fenced'
        ? `Shard ${this.shard} has another owner since epoch ${this.#state.epoch}`
        : `Shard ${this.shard} left this node while its log did not answer`;
    const reason = new FabricError(shardErrors.shard_moved, why);
    refuse(reason.toWire());
    void this.#shut(reason);
  }

  /**
   * A commit that the server would never take is not sent. The batch is done again item by item, and an item whose own
   * commit is too big is refused then: one message must not stop the shard each time it comes.
   */
  #oversize({ bytes }: SealedCommit, answers: readonly Answer[]): FabricError | undefined {
    const { bytesMax } = this.#deps.log;
    if (bytes.byteLength <= bytesMax) return undefined;
    const details = { shard: this.shard, bytes: bytes.byteLength, bytesMax };
    this.#single = SINGLE_COMMITS;
    const [only, another] = answers;
    if (only !== undefined && another === undefined) {
      const message = `One message makes a commit of ${bytes.byteLength} bytes; the server takes ${bytesMax}`;
      const error = new FabricError(shardErrors.output_too_big, message, { details });
      // An ask has its answer now; anything else comes again.
      if (only.item.kind !== 'ask') this.#tooBig.set(nameOf(only.entry), error.toWire());
      return error;
    }
    return new FabricError(shardErrors.batch_undone, 'A commit would be larger than the server takes', {
      details,
    });
  }

  /** A machine may put out what no encoder takes (cycles): then the batch is done again, each step checked. */
  #seal(draft: Draft, positions: Positions): SealedCommit | FabricError {
    try {
      return sealCommit(this.#state, draft, positions);
    } catch (thrown) {
      const { message } = toWireError(thrown);
      return new FabricError(
        shardErrors.batch_undone,
        `A state or an output of this batch cannot be stored: ${message}`,
        {
          details: { shard: this.shard },
          cause: thrown,
        },
      );
    }
  }

  /** P2: only what is stored is acted upon. */
  #act({ draft, sealed, answers, statement }: Staged, seq: number): void {
    const state = this.#state;
    const { commit } = sealed;
    const parcels = parcelsOf(commit, state.shardOf, (target) => state.sent.get(target) ?? -1);
    settle(state, commit, sealed.hash, seq);
    this.#probe('before_reply');
    for (const { item, entry } of answers) this.#doors.answer(item, entry, commit, seq);
    this.#relax();
    this.#probe('before_mail');
    for (const [n, mail] of draft.mail.entries()) {
      if (state.shardOf(mail.to) === state.shard)
        this.#queue.push({ kind: 'mail', local: { index: commit.index, n, mail } });
    }
    this.#mailer.add(parcels);
    this.#probe('after_mail');
    for (const effect of draft.effects) {
      if ('cancel' in effect) this.#effects?.cancel(effect.key);
      else if (state.effects.has(effect.key)) this.#effects?.start(effect);
    }
    for (const event of draft.events) this.#deps.outbox.event(event.actor, event.name, event.body);
    if (draft.timers.length > 0 || !this.#alarm.isArmed) this.#armTimer();
    if (this.#paused && this.#doors.hasRoom) {
      this.#paused = false;
      this.#inbox?.resume();
    }
    this.#deps.onCommit?.(commit);
    this.#tellNeeds();
    this.#stallMs = STALL_FIRST_MS;
    this.#snapshotter?.committed(draft.entries.length, this.#mailer, statement);
  }

  /** After a batch that had to be undone, checks and single steps end with the commits that were to be careful about. */
  #relax(): void {
    if (this.#single === 0) return;
    this.#single -= 1;
    if (this.#single > 0) return;
    this.#state.careful = false;
    this.#tooBig.clear();
  }

  #armTimer(): void {
    this.#alarm.arm(this.#state.timers.nextDueAt());
  }

  #timersDue(): void {
    const dueAt = this.#state.timers.nextDueAt();
    if (dueAt === undefined || this.#phase !== 'running') return;
    if (dueAt > this.#deps.clock.now()) this.#armTimer();
    else this.#schedule();
  }

  /** The log refused a commit that is certainly not stored: forget what was stepped, fold anew, go on later. */
  async #stall(error: WireError, careful = false): Promise<void> {
    // What was stepped is forgotten with the rest of the memory.
    if (this.#phase === 'yielding') return;
    const { seq, epoch } = this.#state;
    this.#phase = 'stalled';
    this.#deps.logger.error(
      { shard: this.shard, error, waitMs: careful ? 0 : this.#stallMs },
      'batch_refused',
    );
    const again = careful && this.#state.careful;
    await this.#closeInside(error);
    if (!careful || again) {
      await this.#wait(this.#stallMs);
      this.#stallMs = Math.min(this.#stallMs * 2, STALL_MAX_MS);
    }
    if (this.#phase !== 'stalled') return;
    await this.#recover(seq, epoch);
    this.#state.careful = careful;
    if (careful) this.#single = SINGLE_COMMITS;
    // Shut meanwhile: `#shut` waits for this to end, and closes what was opened.
    if (this.#phase !== 'stalled') return;
    this.#run();
  }

  /** A fault that no message caused (storage unreadable, an invariant broken): leave, so that recovery starts clean. */
  async #fault(thrown: unknown): Promise<void> {
    const { code, message } = toWireError(thrown);
    if (isDamage(thrown) && (await this.#isReplaced())) {
      const why = `Shard ${this.shard} has another owner since epoch ${this.#state.epoch}`;
      void this.#shut(new FabricError(shardErrors.shard_moved, why, { cause: thrown }));
      return;
    }
    const reason =
      thrown instanceof FabricError
        ? thrown
        : new FabricError({ code, retryable: true, help: 'See the log of the node.' }, message, {
            cause: thrown,
          });
    this.#deps.logger.error(
      { shard: this.shard, error: reason.toWire(), stack: (thrown as Error).stack },
      'shard_fault',
    );
    if (isDamage(thrown)) await this.#distrustSnapshot(thrown);
    void this.#shut(reason);
  }

  /** A later owner lets go of what this one's snapshot still names (N3): then nothing is damaged. */
  async #isReplaced(): Promise<boolean> {
    try {
      const head = await this.#deps.log.head();
      return head !== undefined && decodeCommit(head.bytes).epoch !== this.#state.epoch;
    } catch {
      // Nobody can say: what was thrown stays the reason.
      return false;
    }
  }

  async #distrustSnapshot(damage: FabricError): Promise<void> {
    try {
      await this.#snapshotter?.distrust(damage);
    } catch (thrown) {
      this.#deps.logger.error({ shard: this.shard, error: toWireError(thrown) }, 'snapshot_still_trusted');
    }
  }

  async #shut(reason: FabricError | undefined): Promise<void> {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    await this.#asks?.close();
    this.#appender.close();
    this.#endWait();
    await this.#pumping;
    const why =
      reason ?? new FabricError(shardErrors.shard_moved, `Shard ${this.shard} is leaving this node`);
    await this.#closeInside(why.toWire());
    this.#leave(reason);
  }

  async #closeInside(error: WireError): Promise<void> {
    this.#alarm.clear();
    await this.#inbox?.close();
    this.#inbox = undefined;
    this.#mailer.close();
    this.#doors.clear(error);
    await this.#effects?.close();
    this.#effects = undefined;
    await this.#snapshotter?.close();
  }

  /** Ends early when the shard is shut. */
  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#deps.clock.setTimer(resolve, delayMs);
      this.#endWait = () => {
        this.#deps.clock.clearTimer(timer);
        resolve();
      };
    });
  }

  #probe(point: CrashPoint): void {
    this.#deps.probe?.(point, this.shard);
  }
}

/** The bus writes in a microtask what was published; batches of answers are published in one before that. */
async function answersAreOut(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await undefined;
}
