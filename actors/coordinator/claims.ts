/** The claims of one client: taken, written under, handed on, given back. */
import { Subjects } from '#runtime/bus/subjects';
import { systemClock, systemRandom } from '#runtime/bus/system';
import { askedLeases } from '#runtime/claims/asked-leases';
import { natsLeases } from '#runtime/claims/nats-leases';
import { patientKeys } from '#runtime/claims/patient-keys';
import type { Client } from '#runtime/client/client';
import { toWireError } from '#schemas/fabric-error';
import { LEASE_MS_DEFAULT, TASK_TYPE, type TaskActionInput, type TaskReply } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { type Asking, taskAddress } from './asking.ts';
import { type Checked, checkedOf } from './checked.ts';
import { isTaskView } from './is-view.ts';
import { Leases } from './leases.ts';
import { outcomeOf } from './outcome.ts';
import type { Claim, ClaimResult, CoordinatorOptions } from './types.ts';
import { watch } from './watching.ts';

/** Who is given a task looks this long, and this often, for its key. */
const HANDED_ON_MS = 2_000;
const LOOK_EVERY_MS = 50;

interface Held extends Claim {
  /** Nonce of its lease. */
  readonly nonce: string;
  readonly end: (why: string) => void;
}

export class Claims implements AsyncDisposable {
  /** Of presence, too: leases are one worker's. */
  readonly leases: Leases;
  readonly leaseMs: number;
  readonly #client: Client;
  readonly #asking: Asking;
  readonly #held = new Map<string, Held>();
  /** Tasks whose claim is under way. */
  readonly #claiming = new Set<string>();
  /** Claims that this client is ending: that one has ended may be told before the answer comes, and is no loss then. */
  readonly #parting = new Set<string>();
  readonly #unwatch: () => void;

  /** Of the worker `session/<own>`. */
  constructor(client: Client, asking: Asking, own: string, options: CoordinatorOptions) {
    this.#client = client;
    this.#asking = asking;
    this.leaseMs = options.leaseMs ?? LEASE_MS_DEFAULT;
    this.leases = leasesOf(client, this.leaseMs, options);
    // What is over is let go at once, whoever ended it.
    this.#unwatch = watch(client, { session: own, events: ['session.claim_ended'] }, (news) => {
      if (news.kind !== 'session') return;
      const { task, token, why } = news.details as { task: string; token: number; why: string };
      const held = this.#held.get(task);
      if (held?.token === token && !this.#parting.has(task)) this.#drop(held, why);
    });
  }

  /** Tasks whose claims are this client's. */
  get tasks(): readonly string[] {
    return [...this.#held.keys()];
  }

  has(id: string): boolean {
    return this.#held.has(id);
  }

  async claim(id: string): Promise<ClaimResult> {
    // The task takes both for one: who called twice must not work twice.
    if (this.#claiming.has(id))
      return { won: false, code: 'already_claimed', reason: 'this client is claiming it already' };
    this.#claiming.add(id);
    try {
      return await this.#claim(id);
    } finally {
      this.#claiming.delete(id);
    }
  }

  async #claim(id: string): Promise<ClaimResult> {
    const nonce = systemRandom.id();
    const reply = await this.#asking.task(id, { action: 'claim', lease: nonce, leaseMs: this.leaseMs });
    const outcome = reply.accepted && reply.checking === true ? await this.#checked(id) : reply;
    if (!outcome.accepted) return { won: false, code: outcome.code, reason: outcome.reason };
    const { token } = outcome;
    // The task has decided, and waits one lease time for the key: the worker need not wait for it, too.
    const lost = this.leases
      .begin(taskAddress(id), nonce, () => this.#isOurs(id, token))
      .then((lease) => lease?.lost ?? 'the claim ended before its key was written')
      .catch(async (thrown: unknown) => {
        // Where this fails too, the task is free again once it has waited.
        await this.#asking.task(id, { action: 'release', token }).catch(() => undefined);
        return `its key could not be written: ${toWireError(thrown).message}`;
      });
    return { won: true, claim: this.#hold(id, token, nonce, lost) };
  }

  async renew(id: string): Promise<boolean> {
    return await this.leases.renew(taskAddress(id));
  }

  async transfer(id: string, to: string): Promise<TaskReply> {
    const lease = await this.leases.held(taskAddress(id));
    const named = lease === undefined ? {} : { lease: lease.nonce, leaseMs: this.leaseMs };
    const reply = await this.#part(id, { action: 'transfer', to, ...named }, to);
    if (reply.accepted) await this.#handOn(id, to);
    return reply;
  }

  async adopt(id: string): Promise<ClaimResult> {
    const lease = await this.leases.adopt(
      taskAddress(id),
      () => this.#isOurs(id, this.#held.get(id)?.token),
      this.#isComing(id),
    );
    if (lease === undefined)
      return { won: false, code: 'not_yours', reason: 'the key of the claim is not ours' };
    const view = await this.#asking.taskView(id);
    if (view !== undefined && this.#isWorkerOf(view)) {
      return { won: true, claim: this.#hold(id, view.token, lease.nonce, lease.lost) };
    }
    await this.leases.release(taskAddress(id), lease.nonce);
    return { won: false, code: 'not_yours', reason: `${view?.worker ?? 'nobody'} has it` };
  }

  /** A write of the claimant, under its token. */
  async write(id: string, action: TaskActionInput): Promise<TaskReply> {
    const held = this.#held.get(id);
    const reply = await this.#asking.task(id, { ...action, ...this.#token(id) } as TaskActionInput);
    // A late answer says nothing of a claim made since.
    if (held !== undefined && isOver(reply)) this.#drop(held, reply.reason);
    return reply;
  }

  /** A write that gives the task back, or ends it. */
  async end(id: string, action: TaskActionInput): Promise<TaskReply> {
    const held = this.#held.get(id);
    const reply = await this.#part(id, action);
    if (!reply.accepted || held === undefined) return reply;
    if (this.#held.get(id)?.token === held.token) this.#held.delete(id);
    await this.leases.release(taskAddress(id), held.nonce).catch(() => undefined);
    return reply;
  }

  /** Leases stay until they expire, for who comes back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch();
    await this.leases[Symbol.asyncDispose]();
  }

  /** A write after which the claim is ours no more; `to` where it is another's then. */
  async #part(id: string, action: TaskActionInput, to?: string): Promise<TaskReply> {
    const held = this.#held.get(id);
    this.#parting.add(id);
    let reply: TaskReply | undefined;
    try {
      reply = await this.#asking.task<TaskReply>(id, { ...action, ...this.#token(id) } as TaskActionInput);
      return reply;
    } finally {
      const isUnclear = reply === undefined || isOver(reply);
      if (isUnclear && held !== undefined) await this.#settle(held, reply, to);
      this.#parting.delete(id);
    }
  }

  /**
   * No answer came, or one that it is not ours: this try, or one before, may have been stored. What is nobody's to renew must
   * run out (T4).
   */
  async #settle(held: Held, reply: TaskReply | undefined, to?: string): Promise<void> {
    const { task: id, token } = held;
    const view = await this.#asking.taskView(id).catch(() => undefined);
    if (this.#isClaimOf(view, token)) return;
    if (to !== undefined && view?.worker === to && isHeldStatus(view.status)) {
      await this.#handOn(id, to).catch(() => undefined);
      return;
    }
    // What was to end, and nobody says whether it has, can be tried again; the taker of what was handed on cannot.
    const isUnknown = reply === undefined && view === undefined && to === undefined;
    if (!isUnknown) this.#drop(held, view === undefined ? 'nobody says whose it is' : `it is ${view.status}`);
  }

  /** Where this fails, the lease ends and the task is free again. */
  async #handOn(id: string, to: string): Promise<void> {
    this.#held.delete(id);
    await this.leases.transfer(taskAddress(id), to);
  }

  /** What the governor says of our claim. */
  async #checked(id: string): Promise<Checked> {
    return await outcomeOf(this.#client, {
      type: TASK_TYPE,
      id,
      look: async () => ({ task: await this.#asking.taskView(id) }),
      shown: ({ task }) => (isTaskView(task) ? { task } : undefined),
      outcomeOf: ({ task }) => checkedOf(task, this.#client.from),
    });
  }

  #hold(id: string, token: number, nonce: string, lost: Promise<string>): Claim {
    const ended = Promise.withResolvers<string>();
    void lost.then((why) => {
      if (this.#held.get(id)?.token === token) this.#held.delete(id);
      ended.resolve(why);
    });
    const held: Held = { task: id, token, nonce, lost: ended.promise, end: ended.resolve };
    this.#held.set(id, held);
    return held;
  }

  #drop(held: Held, why: string): void {
    const { task: id, nonce } = held;
    if (this.#held.get(id) !== held) return;
    held.end(why);
    this.#held.delete(id);
    // It expires by itself where this does not reach the bucket.
    void this.leases.release(taskAddress(id), nonce).catch(() => undefined);
  }

  /** For a bounded time: whether a key that is another's is on its way to us, since the task is ours already. */
  #isComing(id: string): () => Promise<boolean> {
    const until = systemClock.now() + HANDED_ON_MS;
    return async () => {
      if (systemClock.now() >= until || !this.#isWorkerOf(await this.#asking.taskView(id))) return false;
      await new Promise<void>((resolve) => void systemClock.setTimer(resolve, LOOK_EVERY_MS));
      return true;
    };
  }

  async #isOurs(id: string, token: number | undefined): Promise<boolean> {
    return this.#isClaimOf(await this.#asking.taskView(id), token);
  }

  #isClaimOf(view: TaskView | undefined, token: number | undefined): boolean {
    return this.#isWorkerOf(view) && view?.token === token;
  }

  #isWorkerOf(view: TaskView | undefined): boolean {
    return view !== undefined && isHeldStatus(view.status) && view.worker === this.#client.from;
  }

  #token(id: string): { readonly token?: number } {
    const token = this.#held.get(id)?.token;
    return token === undefined ? {} : { token };
  }
}

function leasesOf(client: Client, leaseMs: number, { leases }: CoordinatorOptions): Leases {
  const { connection, from, prefix } = client;
  const subjects = new Subjects(prefix, 1);
  const isOutside = connection.info?.tls_required === true;
  const isBucket = (leases ?? (isOutside ? 'node' : 'bucket')) === 'bucket';
  return new Leases({
    store: isBucket
      ? patientKeys(() => natsLeases(connection, subjects.buckets.leases), systemClock)
      : askedLeases(connection, (address) => subjects.lease(address), from),
    keyOf: (actor) => (isBucket ? subjects.leaseKey(actor) : actor),
    holder: from,
    leaseMs,
  });
}

/** The claim under which it was written is none any more. */
function isOver(reply: TaskReply): reply is Extract<TaskReply, { accepted: false }> {
  if (reply.accepted) return false;
  return reply.code === 'not_yours' || reply.code === 'stale_token' || !isHeldStatus(reply.status);
}

function isHeldStatus(status: TaskView['status']): boolean {
  return status === 'claimed' || status === 'in_progress' || status === 'blocked';
}
