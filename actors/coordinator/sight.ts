/** What there is to do and who is there, as far as the key of this client may see. */
import { Subjects } from '#runtime/bus/subjects';
import { systemClock } from '#runtime/bus/system';
import type { Client } from '#runtime/client/client';
import { nodeErrors } from '#runtime/node/errors';
import { FabricError } from '#schemas/fabric-error';
import { SESSION_TYPE, type SessionView } from '#schemas/session';
import type { SwarmView } from '#schemas/swarm';
import type { TaskView } from '#schemas/task-view';
import type { Asking } from './asking.ts';
import { tasksFor } from './matching.ts';
import { TaskIndex } from './task-index.ts';
import type { Candidate, TaskFilter, Why } from './types.ts';
import { listSessions, listSwarms, listTasks, type Source, shardsOf } from './views.ts';
import { follow } from './watching.ts';
import { reasonsOf, unseenOf } from './why.ts';

/** Work that is there is found in milliseconds. */
const OFFER_MS = 1_000;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

export class Sight implements AsyncDisposable {
  readonly #client: Client;
  readonly #asking: Asking;
  readonly #own: string;
  readonly #held: () => readonly string[];
  readonly #subjects: Subjects;
  #index: TaskIndex | undefined;
  #isBlind = false;

  /** Of the session `session/<own>`, which holds these tasks now. */
  constructor(client: Client, asking: Asking, own: string, held: () => readonly string[]) {
    this.#client = client;
    this.#asking = asking;
    this.#own = own;
    this.#held = held;
    this.#subjects = new Subjects(client.prefix, 1);
  }

  async tasks({ status, worker, requires, filler }: TaskFilter = {}): Promise<readonly TaskView[]> {
    const wanted = status === undefined ? undefined : new Set([status].flat());
    return (await listTasks(await this.#source()))
      .filter((task) => wanted?.has(task.status) ?? true)
      .filter((task) => worker === undefined || task.worker === worker)
      .filter((task) => requires === undefined || task.requires.includes(requires))
      .filter((task) => filler === undefined || task.filler === filler)
      .sort(byId);
  }

  async sessions(): Promise<readonly SessionView[]> {
    return (await listSessions(await this.#source())).sort(byId);
  }

  async swarms(): Promise<readonly SwarmView[]> {
    return (await listSwarms(await this.#source())).sort(byId);
  }

  async nextFor(session: string): Promise<readonly Candidate[]> {
    const view = await this.#asking.sessionView(session);
    if (view === undefined) return [];
    const { id, capabilities } = view;
    const index = await this.#whole();
    if (index === undefined) return view.id === this.#own ? await this.#offers() : [];
    const { available, workers, rules } = index;
    const governor = { index: workers, rules, now: systemClock.now() };
    return tasksFor(
      { id, capabilities, fillersOnly: await this.#isBlocked(view) },
      available.values(),
      governor,
    );
  }

  /** A session hears of a block from its task a moment later: who blocked it itself asks the task. */
  async #isBlocked({ id, status }: SessionView): Promise<boolean> {
    const held = id === this.#own ? this.#held() : [];
    if (held.length === 0) return status === 'blocked';
    const tasks = await Promise.all(held.map((task) => this.#asking.taskView(task)));
    return tasks.every((task) => task?.status === 'blocked');
  }

  async why(id: string): Promise<Why | undefined> {
    const task = await this.#asking.taskView(id);
    if (task === undefined) return undefined;
    const deps = await Promise.all(task.waitingFor.map((dep) => this.#asking.taskView(dep)));
    const known = deps.filter((dep) => dep !== undefined);
    const sessions = task.status === 'available' ? await this.#seenSessions() : [];
    return { task, reasons: reasonsOf(task, known, sessions), unseen: unseenOf(task, sessions) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#index?.[Symbol.asyncDispose]();
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
    const standing = await this.#offer();
    // An offer that another took is none.
    if (standing !== undefined) return [standing];
    const heard = Promise.withResolvers<void>();
    const names = ['session.offered'];
    const unwatch = follow(this.#client, SESSION_TYPE, this.#own, () => heard.resolve(), names);
    const patience = setTimeout(heard.resolve, OFFER_MS);
    try {
      await this.#asking.session(this.#client.from, { action: 'next' });
      await heard.promise;
      const offer = await this.#offer();
      return offer === undefined ? [] : [offer];
    } finally {
      clearTimeout(patience);
      unwatch();
    }
  }

  /** The task that the session is offered, where it is still to be had. */
  async #offer(): Promise<Candidate | undefined> {
    const offered = (await this.#asking.sessionView(this.#client.from))?.offered ?? undefined;
    if (offered === undefined) return undefined;
    const task = await this.#asking.taskView(offered.task);
    return task?.status === 'available' ? { task, match: offered.match } : undefined;
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

  async #source(): Promise<Source> {
    const nc = this.#client.connection;
    const shards = this.#client.shards ?? (await shardsOf(nc, this.#subjects));
    return { nc, subjects: this.#subjects, shards };
  }
}

/** A key of a secure realm that may not ask nodes for all there is. */
function isSightRefused(thrown: unknown): boolean {
  return thrown instanceof FabricError && thrown.code === nodeErrors.api_refused.code;
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1;
}
