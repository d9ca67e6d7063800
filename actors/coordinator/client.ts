/** The coordinator's client over the ordinary client: claims with leases, tasks, sessions, swarms. */

import { Subjects } from '#runtime/bus/subjects';
import { systemClock, systemRandom } from '#runtime/bus/system';
import { askedLeases } from '#runtime/claims/asked-leases';
import type { LeaseKeys } from '#runtime/claims/lease-store';
import { natsLeases } from '#runtime/claims/nats-leases';
import { patientKeys } from '#runtime/claims/patient-keys';
import type { Client } from '#runtime/client/client';
import { clientSubjects } from '#runtime/client/subjects';
import { nodeErrors } from '#runtime/node/errors';
import { isActorId, isActorType } from '#schemas/address';
import { BOARD_DEFAULT, BOARD_TYPE, type BoardReply } from '#schemas/board';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { ROUND_TYPE, type RoundAction, type RoundView } from '#schemas/round';
import {
  SESSION_TYPE,
  type SessionActionInput,
  type SessionEventName,
  type SessionInput,
  type SessionView,
} from '#schemas/session';
import { SWARM_TYPE, type SwarmAction, type SwarmTemplate, type SwarmView } from '#schemas/swarm';
import {
  ADDED_MAX,
  LEASE_MS_DEFAULT,
  type Said,
  TASK_TYPE,
  type TaskActionInput,
  type TaskReply,
  type TaskSpecInput,
} from '#schemas/task';
import type { TaskEventName, TaskView } from '#schemas/task-view';
import { type Checked, checkedOf } from './checked.ts';
import { coordinatorErrors } from './errors.ts';
import { Leases } from './leases.ts';
import { tasksFor } from './matching.ts';
import { TaskIndex } from './task-index.ts';
import type {
  Candidate,
  Claim,
  ClaimResult,
  CoordinatorClient,
  CoordinatorOptions,
  SessionNews,
  Submitted,
  TaskFilter,
  TaskNews,
  WatchFilter,
  Why,
} from './types.ts';
import { listSessions, listSwarms, listTasks, type Source, shardsOf } from './views.ts';
import { reasonsOf } from './why.ts';

/** Specs of one batch: what a step of the board puts out has a bound. */
const BATCH_CHARS_MAX = 64 * 1024;
/** Nobody lives there (yet). */
const ABSENT = new Set(['unknown_task', 'unknown_session', 'unknown_swarm', 'unknown_actor', 'unknown_kind']);
/** Work that is there is found in milliseconds. */
const OFFER_MS = 1_000;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Throws `no_address_of_own` where the client was opened without the address of who acts. Closing it leaves the client
 * open, and leases to expire.
 *
 * @example
 * await using client = await connect({ runFile, from: 'session/ndi' });
 * await using coordinator = openCoordinator(client);
 * const { won } = await coordinator.claim('P0.1.1');
 */
export function openCoordinator(client: Client, options: CoordinatorOptions = {}): CoordinatorClient {
  return new Coordinator(client, options);
}

interface Held extends Claim {
  readonly end: (why: string) => void;
}

class Coordinator implements CoordinatorClient {
  readonly as: string;
  readonly #client: Client;
  readonly #options: CoordinatorOptions;
  readonly #subjects: Subjects;
  readonly #leases: Leases;
  readonly #leaseMs: number;
  readonly #claims = new Map<string, Held>();
  readonly #unwatch: () => void;
  readonly #own: string;
  #index: TaskIndex | undefined;
  #isBlind = false;

  constructor(client: Client, options: CoordinatorOptions) {
    this.as = client.from;
    const slash = this.as.indexOf('/');
    if (!isActorType(this.as.slice(0, Math.max(slash, 0))) || !isActorId(this.as.slice(slash + 1))) {
      throw new FabricError(
        coordinatorErrors.no_address_of_own,
        `"${this.as}" is not the address of a worker`,
      );
    }
    this.#own = this.as.slice(slash + 1);
    this.#client = client;
    this.#options = options;
    this.#subjects = new Subjects(client.prefix, 1);
    this.#leaseMs = options.leaseMs ?? LEASE_MS_DEFAULT;
    const isOutside = client.connection.info?.tls_required === true;
    const isBucket = (options.leases ?? (isOutside ? 'node' : 'bucket')) === 'bucket';
    this.#leases = new Leases({
      store: this.#store(isBucket),
      keyOf: (actor) => (isBucket ? this.#subjects.leaseKey(actor) : actor),
      holder: this.as,
      leaseMs: this.#leaseMs,
    });
    // What is over is let go at once, whoever ended it.
    this.#unwatch = this.watch({ session: this.#own, events: ['session.claim_ended'] }, (news) => {
      if (news.kind !== 'session') return;
      const { task, token, why } = news.details as { task: string; token: number; why: string };
      if (this.#claims.get(task)?.token === token) this.#drop(task, why);
    });
  }

  async addTasks(tasks: readonly TaskSpecInput[]): Promise<BoardReply> {
    const added: string[] = [];
    const known: string[] = [];
    const missing = new Set<string>();
    for (const batch of batches(tasks)) {
      const board = `${BOARD_TYPE}/${this.#options.board ?? BOARD_DEFAULT}`;
      const reply = (await this.#client.ask(board, { type: 'board.add', tasks: batch })).reply as BoardReply;
      if (!reply.accepted) return reply;
      added.push(...reply.added);
      known.push(...reply.known);
      for (const id of reply.missing) missing.add(id);
    }
    for (const id of [...added, ...known]) missing.delete(id);
    return { accepted: true, added, known, missing: [...missing] };
  }

  async tasks({ status, worker, requires, filler }: TaskFilter = {}): Promise<readonly TaskView[]> {
    const wanted = status === undefined ? undefined : new Set([status].flat());
    return (await listTasks(await this.#source()))
      .filter((task) => wanted?.has(task.status) ?? true)
      .filter((task) => worker === undefined || task.worker === worker)
      .filter((task) => requires === undefined || task.requires.includes(requires))
      .filter((task) => filler === undefined || task.filler === filler)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async task(id: string): Promise<TaskView | undefined> {
    return await orAbsent(this.#task<TaskView>(id, { action: 'get' }));
  }

  async claim(id: string): Promise<ClaimResult> {
    const nonce = systemRandom.id();
    const reply = await this.#task(id, { action: 'claim', lease: nonce, leaseMs: this.#leaseMs });
    const outcome = reply.accepted && reply.checking === true ? await this.#checked(id) : reply;
    if (!outcome.accepted) return { won: false, code: outcome.code, reason: outcome.reason };
    const { token } = outcome;
    // The task has decided, and waits one lease time for the key: the worker need not wait for it, too.
    const lost = this.#leases
      .begin(taskAddress(id), nonce, () => this.#isOurs(id, token))
      .then((lease) => lease?.lost ?? 'the claim ended before its key was written')
      .catch(async (thrown: unknown) => {
        // Where this fails too, the task is free again once it has waited.
        await this.#task(id, { action: 'release', token }).catch(() => undefined);
        return `its key could not be written: ${toWireError(thrown).message}`;
      });
    return { won: true, claim: this.#hold(id, token, lost) };
  }

  /** What the governor says of our claim. */
  async #checked(id: string): Promise<Checked> {
    const settled = Promise.withResolvers<Checked>();
    const look = (task: TaskView | undefined): void => {
      const checked = checkedOf(task, this.as);
      if (checked !== undefined) settled.resolve(checked);
    };
    const unwatch = this.#follow(TASK_TYPE, id, ({ task }) => look(task as TaskView));
    try {
      look(await this.task(id));
      return await settled.promise;
    } finally {
      unwatch();
    }
  }

  async renew(id: string): Promise<boolean> {
    return (await (await this.#leases.held(taskAddress(id)))?.renew()) === true;
  }

  async release(id: string, reason?: string): Promise<TaskReply> {
    return await this.#ending(id, { action: 'release', ...optional({ reason }) });
  }

  async transfer(id: string, to: string): Promise<TaskReply> {
    const lease = await this.#leases.held(taskAddress(id));
    const held = this.#claims.get(id);
    const token = this.#token(id);
    // That our claim has ended may be told before the answer comes: the key must not be let go of for it.
    this.#claims.delete(id);
    let reply: TaskReply | undefined;
    try {
      reply = await this.#task<TaskReply>(id, {
        action: 'transfer',
        to,
        ...token,
        ...(lease !== undefined && { lease: lease.nonce, leaseMs: this.#leaseMs }),
      });
    } finally {
      if (reply?.accepted !== true && held !== undefined) this.#claims.set(id, held);
    }
    // Where this fails, the lease ends and the task is free again.
    if (reply.accepted) await this.#leases.transfer(taskAddress(id), to);
    return reply;
  }

  async adopt(id: string): Promise<ClaimResult> {
    const lease = await this.#leases.adopt(taskAddress(id), () =>
      this.#isOurs(id, this.#claims.get(id)?.token),
    );
    if (lease === undefined)
      return { won: false, code: 'not_yours', reason: 'the key of the claim is not ours' };
    const view = await this.task(id);
    if (view?.worker === this.as && isHeldStatus(view.status)) {
      return { won: true, claim: this.#hold(id, view.token, lease.lost) };
    }
    await this.#leases.release(taskAddress(id));
    return { won: false, code: 'not_yours', reason: `${view?.worker ?? 'nobody'} has it` };
  }

  async decline(id: string, reason?: string): Promise<void> {
    await this.#ask(this.as, 'session', { action: 'decline', task: id, ...optional({ reason }) });
  }

  async progress(id: string, milestone: number, note?: string): Promise<TaskReply> {
    return await this.#writing(id, { action: 'progress', milestone, ...optional({ note }) });
  }

  async block(
    id: string,
    on: string,
    kind: 'task' | 'person' | 'resource' = 'task',
    reason?: string,
  ): Promise<TaskReply> {
    return await this.#writing(id, { action: 'block', on, kind, ...optional({ reason }) });
  }

  async unblock(id: string): Promise<TaskReply> {
    return await this.#writing(id, { action: 'unblock' });
  }

  async askHelp(id: string, reason?: string, requires?: readonly string[]): Promise<TaskReply> {
    const wanted = requires === undefined ? {} : { requires: [...requires] };
    return await this.#writing(id, { action: 'help', ...wanted, ...optional({ reason }) });
  }

  async join(id: string): Promise<TaskReply> {
    return await this.#task(id, { action: 'join' });
  }

  async leave(id: string): Promise<TaskReply> {
    return await this.#task(id, { action: 'leave' });
  }

  async say(id: string, content: unknown, performative = 'inform'): Promise<TaskReply> {
    return await this.#task(id, { action: 'say', content, as: performative });
  }

  async conversation(id: string): Promise<readonly Said[]> {
    return (await this.#task<{ readonly messages: readonly Said[] }>(id, { action: 'conversation' }))
      .messages;
  }

  async complete(id: string, submission: Submitted = {}): Promise<TaskReply> {
    return await this.#ending(id, { action: 'complete', ...submission });
  }

  async fail(id: string, reason?: string): Promise<TaskReply> {
    return await this.#ending(id, { action: 'fail', ...optional({ reason }) });
  }

  async cancel(id: string, reason?: string): Promise<TaskReply> {
    return await this.#ending(id, { action: 'cancel', ...optional({ reason }) });
  }

  async retry(id: string, reason?: string): Promise<TaskReply> {
    return await this.#task(id, { action: 'retry', ...optional({ reason }) });
  }

  async override(id: string, reason: string): Promise<TaskReply> {
    return await this.#task(id, { action: 'override', reason });
  }

  async amend(
    id: string,
    changes: { readonly priority?: number; readonly deadline?: number | null; readonly title?: string },
  ): Promise<TaskReply> {
    return await this.#task(id, { action: 'amend', ...changes });
  }

  async registerSession(session: Partial<Omit<SessionInput, 'id'>> = {}): Promise<readonly string[]> {
    const present = async (): Promise<boolean> => (await this.session(this.as))?.status !== 'gone';
    const lease = (await this.#leases.adopt(this.as, present)) ?? (await this.#leases.take(this.as, present));
    const reply = await this.#ask<{ readonly accepted: boolean; readonly session?: SessionView }>(
      this.as,
      'session',
      {
        action: 'register',
        ...session,
        ...(lease !== undefined && { lease: lease.nonce, leaseMs: this.#leaseMs }),
      },
    );
    const adopted: string[] = [];
    for (const { id } of reply.session?.tasks ?? []) {
      if (this.#claims.has(id) || (await this.adopt(id)).won) adopted.push(id);
    }
    return adopted;
  }

  async heartbeat(): Promise<boolean> {
    return (await (await this.#leases.held(this.as))?.renew()) === true;
  }

  async closeSession(): Promise<void> {
    await this.#ask(this.as, 'session', { action: 'leave' });
    await this.#leases.release(this.as);
  }

  async sessions(): Promise<readonly SessionView[]> {
    return (await listSessions(await this.#source())).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async session(id: string): Promise<SessionView | undefined> {
    const address = id.includes('/') ? id : `${SESSION_TYPE}/${id}`;
    return await orAbsent(this.#ask<SessionView>(address, 'session', { action: 'get' }));
  }

  async nextFor(session: string = this.as): Promise<readonly Candidate[]> {
    const view = await this.session(session);
    if (view === undefined) return [];
    const { id, capabilities, status } = view;
    const index = await this.#whole();
    if (index === undefined) return view.id === this.#own ? await this.#offers() : [];
    const { tasks, workers, rules } = index;
    const governor = { index: workers, rules, now: systemClock.now() };
    return tasksFor({ id, capabilities, fillersOnly: status === 'blocked' }, tasks.values(), governor);
  }

  /** All there is; undefined where the key may see only what is its own. */
  async #whole(): Promise<TaskIndex | undefined> {
    if (this.#isBlind) return undefined;
    this.#index ??= new TaskIndex(this.#client.connection, this.#subjects, SILENT, () => {});
    const index = this.#index;
    try {
      await index.ready();
      return index;
    } catch (thrown) {
      if (!isSightRefused(thrown)) throw thrown;
      this.#isBlind = true;
      this.#index = undefined;
      await index[Symbol.asyncDispose]();
      return undefined;
    }
  }

  /** What the realm finds for this session, whose eyes are the nodes': the one task that it is offered, if there is one. */
  async #offers(): Promise<readonly Candidate[]> {
    const heard = Promise.withResolvers<void>();
    const unwatch = this.#follow(SESSION_TYPE, this.#own, () => heard.resolve(), ['session.offered']);
    const patience = setTimeout(heard.resolve, OFFER_MS);
    try {
      if ((await this.session(this.as))?.offered == null) {
        await this.#ask(this.as, 'session', { action: 'next' });
        await heard.promise;
      }
      const offered = (await this.session(this.as))?.offered ?? undefined;
      const task = offered === undefined ? undefined : await this.task(offered.task);
      return offered === undefined || task?.status !== 'available' ? [] : [{ task, match: offered.match }];
    } finally {
      clearTimeout(patience);
      unwatch();
    }
  }

  async why(id: string): Promise<Why | undefined> {
    const task = await this.task(id);
    if (task === undefined) return undefined;
    const deps = await Promise.all(task.waitingFor.map((dep) => this.task(dep)));
    const known = deps.filter((dep) => dep !== undefined);
    const sessions = task.status === 'available' ? await this.#seenSessions() : [];
    return { task, reasons: reasonsOf(task, known, sessions) };
  }

  /** Undefined where the key may not see who is there. */
  async #seenSessions(): Promise<readonly SessionView[] | undefined> {
    try {
      return await this.sessions();
    } catch (thrown) {
      if (isSightRefused(thrown)) return undefined;
      throw thrown;
    }
  }

  async openRound(
    id: string,
    { task, requires = [] }: { readonly task?: string; readonly requires?: readonly string[] } = {},
  ): Promise<RoundView> {
    return await this.#round(id, { action: 'open', requires: [...requires], ...optional({ task }) });
  }

  async bid(round: string, confidence: number): Promise<void> {
    await this.#ask(this.as, 'session', { action: 'bid', round, confidence });
  }

  async decideRound(id: string): Promise<RoundView> {
    const decided = Promise.withResolvers<RoundView>();
    const unwatch = this.#follow(ROUND_TYPE, id, ({ round }) => decided.resolve(round as RoundView));
    try {
      await this.#round(id, { action: 'decide' });
      const now = await this.#ask<RoundView>(`${ROUND_TYPE}/${id}`, 'round', { action: 'get' });
      return now.status === 'decided' ? now : await decided.promise;
    } finally {
      unwatch();
    }
  }

  async formSwarm(template: SwarmTemplate): Promise<SwarmView> {
    return await this.#swarm(template.id, { action: 'form', template });
  }

  async swarm(id: string): Promise<SwarmView | undefined> {
    return await orAbsent(this.#swarm(id, { action: 'get' }));
  }

  async swarms(): Promise<readonly SwarmView[]> {
    return (await listSwarms(await this.#source())).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async stopSwarm(id: string, reason?: string): Promise<void> {
    await this.#swarm(id, { action: 'stop', ...optional({ reason }) });
  }

  watch({ task, session, events }: WatchFilter, heard: (news: TaskNews | SessionNews) => void): () => void {
    const isAll = task === undefined && session === undefined;
    const tasks = isAll ? '*' : task;
    const closers = [
      ...(tasks === undefined
        ? []
        : [this.#follow(TASK_TYPE, tasks, (body) => heard(taskNews(body)), events)]),
      ...(session === undefined
        ? []
        : [this.#follow(SESSION_TYPE, session, (body) => heard(sessionNews(body)), events)]),
    ];
    return () => {
      for (const close of closers) close();
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch();
    await this.#leases[Symbol.asyncDispose]();
    await this.#index?.[Symbol.asyncDispose]();
  }

  /** Events of that type alone; of `names` those, where there are any. */
  #follow(type: string, id: string, heard: (body: Told) => void, names?: readonly string[]): () => void {
    const pattern = `${type}/${id}`;
    const own = names?.filter((name) => name.startsWith(`${type}.`));
    const subjects = clientSubjects(this.#client.prefix);
    const all = own?.map((name) => subjects.events(pattern, name)) ?? [subjects.events(pattern)];
    const subscriptions = all.map((subject) =>
      this.#client.connection.subscribe(subject, {
        callback: (error, m) => {
          if (error !== null) return;
          const body = m.json<Partial<Told>>();
          if (typeof body.type === 'string' && body.type.startsWith(`${type}.`)) heard(body as Told);
        },
      }),
    );
    return () => {
      for (const subscription of subscriptions) subscription.unsubscribe();
    };
  }

  #store(isBucket: boolean): LeaseKeys {
    const { connection } = this.#client;
    if (isBucket)
      return patientKeys(() => natsLeases(connection, this.#subjects.buckets.leases), systemClock);
    return askedLeases(connection, (address) => this.#subjects.lease(address), this.as);
  }

  #hold(id: string, token: number, lost: Promise<string>): Claim {
    const ended = Promise.withResolvers<string>();
    void lost.then((why) => {
      if (this.#claims.get(id)?.token === token) this.#claims.delete(id);
      ended.resolve(why);
    });
    const held: Held = { task: id, token, lost: ended.promise, end: ended.resolve };
    this.#claims.set(id, held);
    return held;
  }

  #drop(id: string, why: string): void {
    this.#claims.get(id)?.end(why);
    this.#claims.delete(id);
    // It expires by itself where this does not reach the bucket.
    void this.#leases.release(taskAddress(id)).catch(() => undefined);
  }

  async #isOurs(id: string, token: number | undefined): Promise<boolean> {
    const view = await this.task(id);
    return view !== undefined && view.worker === this.as && view.token === token && isHeldStatus(view.status);
  }

  /** A write of the claimant, under its token. */
  async #writing(id: string, action: TaskActionInput): Promise<TaskReply> {
    const reply = await this.#task<TaskReply>(id, { ...action, ...this.#token(id) } as TaskActionInput);
    const isOver = !reply.accepted && (reply.code === 'not_yours' || reply.code === 'stale_token');
    if (isOver && this.#claims.has(id)) this.#drop(id, reply.reason);
    return reply;
  }

  /** A write that gives the task back, or ends it. */
  async #ending(id: string, action: TaskActionInput): Promise<TaskReply> {
    const reply = await this.#writing(id, action);
    if (!reply.accepted || !this.#claims.delete(id)) return reply;
    await this.#leases.release(taskAddress(id)).catch(() => undefined);
    return reply;
  }

  #token(id: string): { readonly token?: number } {
    const token = this.#claims.get(id)?.token;
    return token === undefined ? {} : { token };
  }

  async #task<T = TaskReply>(id: string, action: TaskActionInput): Promise<T> {
    return await this.#ask<T>(taskAddress(id), 'task', action);
  }

  async #round(id: string, action: RoundAction): Promise<RoundView> {
    const reply = await this.#ask<{ round?: RoundView; reason?: string }>(
      `${ROUND_TYPE}/${id}`,
      'round',
      action,
    );
    if (reply.round !== undefined) return reply.round;
    throw new FabricError(coordinatorErrors.unexpected_reply, `round/${id}: ${reply.reason ?? 'no answer'}`);
  }

  async #swarm(id: string, action: SwarmAction): Promise<SwarmView> {
    const reply = await this.#ask<{ swarm?: SwarmView; reason?: string }>(
      `${SWARM_TYPE}/${id}`,
      'swarm',
      action,
    );
    if (reply.swarm !== undefined) return reply.swarm;
    throw new FabricError(coordinatorErrors.unexpected_reply, `swarm/${id}: ${reply.reason ?? 'no answer'}`);
  }

  async #ask<T>(
    address: string,
    prefix: string,
    { action, ...rest }: TaskActionInput | SessionActionInput | SwarmAction | RoundAction,
  ): Promise<T> {
    if (this.#options.signed === true) {
      const draft = {
        performative: 'request' as const,
        to: [`if://${address}`],
        conversation: address,
        content: { action, ...rest },
      };
      return (await this.#client.askMessage(draft)).reply as T;
    }
    return (await this.#client.ask(address, { ...rest, type: `${prefix}.${action}` })).reply as T;
  }

  async #source(): Promise<Source> {
    const nc = this.#client.connection;
    const shards = this.#client.shards ?? (await shardsOf(nc, this.#subjects));
    return { nc, subjects: this.#subjects, shards };
  }
}

interface Told {
  readonly type: string;
  readonly [field: string]: unknown;
}

function taskNews({ type, task }: Told): TaskNews {
  return { kind: 'task', event: type as TaskEventName, task: task as TaskView };
}

function sessionNews({ type, session, ...details }: Told): SessionNews {
  return { kind: 'session', event: type as SessionEventName, session: session as SessionView, details };
}

function taskAddress(id: string): string {
  return `${TASK_TYPE}/${id}`;
}

function isHeldStatus(status: TaskView['status']): boolean {
  return status === 'claimed' || status === 'in_progress' || status === 'blocked';
}

function optional<T extends Record<string, unknown>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

/** A key of a secure realm that may not ask nodes for all there is. */
function isSightRefused(thrown: unknown): boolean {
  return thrown instanceof FabricError && thrown.code === nodeErrors.api_refused.code;
}

async function orAbsent<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (thrown) {
    if (thrown instanceof FabricError && ABSENT.has(thrown.code)) return undefined;
    throw thrown;
  }
}

function* batches(tasks: readonly TaskSpecInput[]): Generator<TaskSpecInput[]> {
  let batch: TaskSpecInput[] = [];
  let chars = 0;
  for (const task of tasks) {
    const size = JSON.stringify(task).length;
    if (batch.length === ADDED_MAX || (batch.length > 0 && chars + size > BATCH_CHARS_MAX)) {
      yield batch;
      [batch, chars] = [[], 0];
    }
    batch.push(task);
    chars += size;
  }
  if (batch.length > 0) yield batch;
}
