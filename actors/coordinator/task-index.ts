/**
 * What tasks, sessions and workers there are, kept current by their live events.
 *
 * I1  Events are not stored: after a new connection everything is read anew, and where its user wants that.
 * I2  News and pages overlap: of two views of one task or session the later counts.
 * I3  Where the key may not read everything, nothing is read: whoever waits for it is told so.
 */
import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { WorkerIndex } from '#actors/governor/registry/worker-index';
import { type EventBody, listenToEvents } from '#runtime/bus/live-event';
import type { Subjects } from '#runtime/bus/subjects';
import { nodeErrors } from '#runtime/node/errors';
import type { Logger } from '#runtime/shard/ports';
import { type AssignmentRules, assignmentRulesSchema } from '#schemas/assignment';
import { FabricError } from '#schemas/fabric-error';
import { SESSION_TYPE, type SessionView } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { REGISTRY_TYPE, WORKER_TYPE, type WorkerView } from '#schemas/worker';
import { FreeTasks } from './free-tasks.ts';
import { isSessionView, isTaskView, isWorkerView } from './is-view.ts';
import { listSessions, listTasks, listWorkers, rulesOf, shardsOf } from './views.ts';

/** A read that failed is tried again after this. */
const AGAIN_MS = 500;

export class TaskIndex implements AsyncDisposable {
  readonly tasks = new Map<string, TaskView>();
  /** Of the tasks, those that can be claimed: who looks for work need not pass all that was ever done. */
  readonly available = new FreeTasks();
  readonly sessions = new Map<string, SessionView>();
  /** The governor's registry; empty where there is none. */
  readonly workers = new WorkerIndex();
  rules: AssignmentRules = assignmentRulesSchema.parse({});
  readonly #nc: NatsConnection;
  readonly #subjects: Subjects;
  readonly #logger: Logger;
  readonly #changed: (task: TaskView | undefined) => void;
  readonly #subscriptions: Subscription[];
  #reading: Promise<void>;
  #isClosed = false;

  /** `changed` hears each task that changed, undefined where all may have. */
  constructor(
    nc: NatsConnection,
    subjects: Subjects,
    logger: Logger,
    changed: (task: TaskView | undefined) => void,
  ) {
    this.#nc = nc;
    this.#subjects = subjects;
    this.#logger = logger;
    this.#changed = changed;
    const follow = (type: string): Subscription =>
      listenToEvents(
        nc,
        subjects.eventsOf(type, '*'),
        (body) => this.#hear(body),
        (thrown) => logger.error({ type, error: (thrown as Error).message }, 'coordinator.event_failed'),
      );
    this.#subscriptions = [TASK_TYPE, SESSION_TYPE, WORKER_TYPE, REGISTRY_TYPE].map(follow);
    this.#reading = this.#newReading();
    void this.#followConnection();
  }

  /** Resolves once everything was read. Throws `api_refused` (I3). */
  async ready(): Promise<void> {
    await this.#reading;
  }

  /** What is known serves until then. Where it may not be read any more, who asks for it next hears of that (I3). */
  async readAnew(): Promise<void> {
    const reading = this.#newReading();
    await reading.catch(() => {
      this.#reading = reading;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #hear({ task, session, worker, rules: found }: EventBody): void {
    if (isTaskView(task)) {
      if (!this.#keepTask(task)) return;
      this.#changed(task);
    } else if (isSessionView(session)) keep(this.sessions, session);
    else if (isWorkerView(worker)) {
      if (this.workers.set(worker) && this.#roomOf(worker)) this.#changed(undefined);
    } else if (found !== undefined) {
      const rules = assignmentRulesSchema.safeParse(found);
      if (rules.success) this.rules = rules.data;
    }
  }

  #keepTask(task: TaskView): boolean {
    if (!keep(this.tasks, task)) return false;
    if (task.status === 'available') this.available.set(task);
    else this.available.delete(task.id);
    return true;
  }

  /** Work may be for it now that was not before. */
  #roomOf({ status, tasks, profile }: WorkerView): boolean {
    return status === 'registered' && tasks.length < (profile?.maxConcurrent ?? 0);
  }

  #newReading(): Promise<void> {
    const reading = this.#read();
    // Whoever asks for it hears of it.
    reading.catch(() => undefined);
    return reading;
  }

  async #read(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const shards = await shardsOf(this.#nc, this.#subjects);
        const source = { nc: this.#nc, subjects: this.#subjects, shards };
        for (const task of await listTasks(source)) this.#keepTask(task);
        for (const session of await listSessions(source)) keep(this.sessions, session);
        for (const worker of await listWorkers(source)) this.workers.set(worker);
        this.rules = (await rulesOf(source)) ?? this.rules;
        this.#changed(undefined);
        return;
      } catch (thrown) {
        // I3.
        if (thrown instanceof FabricError && thrown.code === nodeErrors.api_refused.code) throw thrown;
        // A shard may be on its way to another node.
        this.#logger.warn({ error: (thrown as Error).message }, 'coordinator.unread');
        await new Promise<void>((resolve) => void setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  /** I1. */
  async #followConnection(): Promise<void> {
    for await (const status of this.#nc.status()) {
      if (this.#isClosed) return;
      if (status.type === 'reconnect') this.#reading = this.#newReading();
    }
  }
}

/** I2. */
function keep<T extends { readonly id: string; readonly changedAt: number | null }>(
  views: Map<string, T>,
  view: T,
): boolean {
  const known = views.get(view.id);
  if (known !== undefined && (known.changedAt ?? 0) > (view.changedAt ?? 0)) return false;
  views.set(view.id, view);
  return true;
}
