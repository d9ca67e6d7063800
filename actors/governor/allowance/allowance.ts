/**
 * An allowance: a reservation that work draws upon, so that it need not ask the ledger each time. A little more is held than
 * what is under way takes; each end of work is told to the ledger, many of them in one draw.
 *
 * A1  Nothing is taken that the ledger does not hold: sums.ts.
 * A2  One draw is under way at a time, each with its number; it carries whatever has come together since the one before.
 * A3  Nothing is taken once the lease may have run out, by whichever clock went further.
 * A4  Work waits in the order in which it came. Where not all of it finds room, the first that do are served.
 * A5  Who draws nothing for a while gives all of it back; if its process dies, the lease does.
 * A6  What is refused to be held, by a policy say, does not keep what was spent from being told: it is told by itself then.
 */
import { randomUUID } from 'node:crypto';
import { type Amounts, type Degrade, ledgerErrors, type Shortage } from '#schemas/budget';
import { FabricError } from '#schemas/fabric-error';
import type { Budgets, Denied, Drawn } from '../budgets.ts';
import { AllowanceSums } from './sums.ts';

/** The lease is trusted for less than all of it: clocks differ in speed, and answers take their time. */
const TRUSTED_SHARE = 0.9;
const RENEWED_SHARE = 1 / 3;
const NOTHING: Amounts = { micros: 0, tokens: 0 };

export interface AllowanceOptions {
  readonly leaseMs: number;
  /** How many times what work takes at most is held ahead, for the next. */
  readonly ahead: number;
  /** After this long without work all is given back. */
  readonly idleMs: number;
  /** Where there is no room: lets others give back what they hold ahead. True where one did. */
  readonly makeRoom: (asking: Allowance) => Promise<boolean>;
  /** Called once, when nothing more is taken of it. */
  readonly over: (allowance: Allowance) => void;
  /** Does what has to be done in the end, and tries again where it fails. */
  readonly settle: (id: string, work: () => Promise<void>) => void;
}

/** A reservation, and all that work which came to its end spent of it: a sum, so whoever says it again changes nothing. */
export interface Standing {
  readonly reservation: string;
  readonly spent: Amounts;
}

/** Held for one piece of work. */
export interface Taken {
  readonly granted: true;
  readonly degrade: Degrade | null;
  /** Of what it is a part, at this moment. */
  standing(): Standing;
  /** Once; `told` resolves when the ledger knows, and may be called again where it throws. */
  end(spent: Amounts): { readonly told: () => Promise<void> };
}

interface Waiting {
  readonly bound: Amounts;
  readonly resolve: (taken: Taken | Denied | undefined) => void;
  readonly reject: (thrown: unknown) => void;
}

/** On both clocks of a process: one stands still while the machine sleeps, the other may be set. */
interface Moment {
  readonly wall: number;
  readonly steady: number;
}

type Promised = ReturnType<typeof Promise.withResolvers<void>>;

export class Allowance {
  readonly account: string;
  readonly #id = randomUUID();
  readonly #budgets: Budgets;
  readonly #options: AllowanceOptions;
  readonly #sums = new AllowanceSums();
  #waiting: Waiting[] = [];
  /** Who wants to know when the ledger knows what is spent by now. */
  #untold: Promised | undefined;
  /** How many of those that wait are asked for at once. */
  #batchMax = Number.POSITIVE_INFINITY;
  /** A draw is under way that wants more held than is. */
  #isGrowing = false;
  /** A6: the next draw wants nothing more. */
  #isWithin = false;
  #draws = 0;
  #isOpen = false;
  #isOver = false;
  #isAsking = false;
  #isShort = false;
  #degrade: Degrade | null = null;
  #spare: Amounts = NOTHING;
  #isAskedAgain = false;
  #underWay = 0;
  #trusted: Moment = { wall: 0, steady: 0 };
  #drawnAt = 0;
  #usedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(account: string, budgets: Budgets, options: AllowanceOptions) {
    this.account = account;
    this.#budgets = budgets;
    this.#options = options;
  }

  /** False once nothing more is taken of it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Undefined where this one is over: another has to be opened. */
  async take(bound: Amounts): Promise<Taken | Denied | undefined> {
    if (this.#isOver) return undefined;
    this.#usedAt = performance.now();
    this.#spare = times(bound, this.#options.ahead);
    // A3, A4.
    if (this.#isTrusted() && this.#waiting.length === 0 && this.#sums.take(bound)) return this.#taken(bound);
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ bound, resolve, reject });
      this.#ask();
    });
  }

  /** Gives back what is held ahead. False where there was nothing, or where this one waits for room itself. */
  async giveBack(): Promise<boolean> {
    const { micros, tokens } = this.#sums.free();
    if (!this.#isOpen || this.#isOver || this.#isShort || (micros === 0 && tokens === 0)) return false;
    this.#spare = NOTHING;
    await this.#told();
    return true;
  }

  /** A5. */
  close(): void {
    if (this.#isOver) return;
    this.#end();
    if (!this.#isOpen) return;
    const { spent } = this.#sums;
    this.#options.settle(this.#id, async () => void (await this.#budgets.commit(this.#id, spent)));
  }

  #taken(bound: Amounts): Taken {
    this.#underWay += 1;
    let isEnded = false;
    return {
      granted: true,
      degrade: this.#degrade,
      standing: () => ({ reservation: this.#id, spent: this.#sums.spent }),
      end: (spent) => {
        if (isEnded) throw new Error('invariant: work ends once');
        isEnded = true;
        this.#underWay -= 1;
        this.#sums.end(bound, spent);
        this.#usedAt = performance.now();
        return { told: () => this.#told() };
      },
    };
  }

  #isTrusted(): boolean {
    return Date.now() < this.#trusted.wall && performance.now() < this.#trusted.steady;
  }

  #told(): Promise<void> {
    this.#untold ??= Promise.withResolvers();
    const { promise } = this.#untold;
    this.#ask();
    return promise;
  }

  /** A2. */
  #ask(): void {
    if (this.#isAsking || (this.#waiting.length === 0 && this.#untold === undefined)) return;
    this.#isAsking = true;
    void this.#round().finally(() => {
      this.#isAsking = false;
      this.#ask();
    });
  }

  /** Never rejects: who waits hears what failed. */
  async #round(): Promise<void> {
    const batch = this.#waiting.splice(0, this.#batchMax);
    const untold = this.#untold;
    this.#untold = undefined;
    this.#batchMax = Number.POSITIVE_INFINITY;
    for (const { bound } of batch) this.#sums.reserve(bound);
    try {
      const shortage = this.#isOpen ? await this.#draw() : await this.#open(batch);
      untold?.resolve();
      if (shortage === undefined && !this.#isOver) {
        this.#isAskedAgain = false;
        for (const { bound, resolve } of batch) resolve(this.#taken(bound));
        return;
      }
      this.#release(batch);
      if (shortage === undefined) for (const { resolve } of batch) resolve(undefined);
      else await this.#refused(batch, shortage);
    } catch (thrown) {
      this.#release(batch);
      const isFinal = thrown instanceof FabricError && !thrown.retryable;
      if (this.#isGrowing && isKeptOut(thrown)) {
        this.#bookAlone(untold);
        for (const { reject } of batch) reject(thrown);
        return;
      }
      untold?.reject(thrown);
      // Nobody knows it any more, or nobody may draw on it: what comes next needs another.
      const isReopened = isFinal && this.#isOpen;
      for (const { resolve, reject } of batch) isReopened ? resolve(undefined) : reject(thrown);
      if (isFinal || !this.#isOpen) this.#end();
    }
  }

  /** A6: the next draw tells what was spent, and wants nothing more. */
  #bookAlone(untold: Promised | undefined): void {
    this.#isGrowing = false;
    this.#isWithin = true;
    this.#batchMax = 0;
    this.#untold ??= Promise.withResolvers();
    const later = this.#untold;
    if (untold === undefined) later.promise.catch(() => undefined);
    else later.promise.then(untold.resolve, untold.reject);
  }

  async #open(batch: readonly Waiting[]): Promise<Denied | undefined> {
    const { leaseMs } = this.#options;
    const asked = this.#moment();
    const answer = await this.#budgets.reserve(this.account, this.#sums.taken, { id: this.#id, leaseMs });
    if (!answer.granted) return answer;
    this.#isOpen = true;
    this.#learn({ spent: NOTHING, hold: answer.reservation.amount }, answer.degrade, asked);
    this.#arm();
    // What is held ahead comes after: who waits now need not wait for that.
    if (batch.length > 0 && this.#options.ahead > 0) this.#options.settle(this.#id, () => this.#told());
    return undefined;
  }

  async #draw(): Promise<Denied | undefined> {
    const { leaseMs } = this.#options;
    const asked = this.#moment();
    this.#draws += 1;
    const draft = this.#isWithin ? this.#sums.draftWithin() : this.#sums.draft(this.#spare);
    this.#isWithin = false;
    this.#isGrowing = this.#sums.isGrowing(draft);
    const drawn = await this.#budgets.draw(this.#id, { n: this.#draws, ...draft, leaseMs });
    this.#isGrowing = false;
    this.#learn(drawn, drawn.degrade, asked);
    // B5: what is under way is told late; nothing more is taken.
    if (drawn.expiresAt === null) this.#end();
    return drawn.denied;
  }

  #learn(drawn: Pick<Drawn, 'spent' | 'hold'>, degrade: Degrade | null, asked: Moment): void {
    const trustedMs = this.#options.leaseMs * TRUSTED_SHARE;
    this.#sums.answered(drawn);
    this.#degrade = degrade;
    this.#drawnAt = asked.steady;
    this.#trusted = { wall: asked.wall + trustedMs, steady: asked.steady + trustedMs };
  }

  /** A4. */
  async #refused(batch: readonly Waiting[], denied: Denied): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    if (batch.length > 1) {
      this.#batchMax = fitting(batch, denied.shortage);
      this.#waiting.unshift(...batch);
      return;
    }
    if (!this.#isAskedAgain && (await this.#roomIsMade())) {
      this.#isAskedAgain = true;
      this.#batchMax = 1;
      this.#waiting.unshift(first);
      return;
    }
    this.#isAskedAgain = false;
    const { measure } = denied.shortage;
    const isNoSmaller = ({ bound }: Waiting): boolean => bound[measure] >= first.bound[measure];
    for (const { resolve } of [first, ...this.#waiting.filter(isNoSmaller)]) resolve(denied);
    this.#waiting = this.#waiting.filter((one) => !isNoSmaller(one));
    if (!this.#isOpen && this.#waiting.length === 0) this.#end();
  }

  async #roomIsMade(): Promise<boolean> {
    this.#isShort = true;
    try {
      return await this.#options.makeRoom(this);
    } finally {
      this.#isShort = false;
    }
  }

  #release(batch: readonly Waiting[]): void {
    for (const { bound } of batch) this.#sums.end(bound, NOTHING);
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const { resolve } of this.#waiting.splice(0)) resolve(undefined);
    this.#options.over(this);
  }

  #arm(): void {
    const { idleMs, leaseMs } = this.#options;
    this.#timer = setTimeout(() => this.#look(), Math.min(idleMs, leaseMs * RENEWED_SHARE));
  }

  /** A5, and the lease of what takes long. */
  #look(): void {
    const { idleMs, leaseMs, settle } = this.#options;
    const now = performance.now();
    const isIdle = this.#underWay === 0 && !this.#isAsking && this.#untold === undefined;
    if (isIdle && now - this.#usedAt >= idleMs) {
      this.close();
      return;
    }
    if (!isIdle && now - this.#drawnAt >= leaseMs * RENEWED_SHARE) settle(this.#id, () => this.#told());
    this.#arm();
  }

  #moment(): Moment {
    return { wall: Date.now(), steady: performance.now() };
  }
}

/** A6: refused by others than the ledger, which never heard of it. */
function isKeptOut(thrown: unknown): boolean {
  if (!(thrown instanceof FabricError) || Object.hasOwn(ledgerErrors, thrown.code)) return false;
  return !thrown.retryable || thrown.code === 'too_many_held';
}

/** How many of the first find room where all together do not; one at least, so that it hears why not. */
function fitting(batch: readonly Waiting[], { measure, asked, left }: Shortage): number {
  const all = batch.reduce((sum, { bound }) => sum + bound[measure], 0);
  let room = all - (asked - left);
  const first = batch.findIndex(({ bound }) => {
    room -= bound[measure];
    return room < 0;
  });
  return Math.max(1, first);
}

function times({ micros, tokens }: Amounts, many: number): Amounts {
  return { micros: micros * many, tokens: tokens * many };
}
