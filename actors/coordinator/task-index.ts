/**
 * What tasks and sessions there are, kept current by their live events.
 *
 * I1  Events are not stored: after a new connection everything is read anew.
 * I2  News and pages overlap: of two views of one task or session the later counts.
 */
import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import type { Logger } from '#runtime/shard/ports';
import { SESSION_TYPE, type SessionView } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { listSessions, listTasks, shardsOf } from './views.ts';

/** A read that failed is tried again after this. */
const AGAIN_MS = 500;

export class TaskIndex implements AsyncDisposable {
  readonly tasks = new Map<string, TaskView>();
  readonly sessions = new Map<string, SessionView>();
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
      nc.subscribe(subjects.eventsOf(type, '*'), {
        callback: (error, m) => {
          if (error === null) this.#hear(m);
        },
      });
    this.#subscriptions = [follow(TASK_TYPE), follow(SESSION_TYPE)];
    this.#reading = this.#read();
    void this.#followConnection();
  }

  /** Resolves once everything was read. */
  async ready(): Promise<void> {
    await this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #hear(m: Msg): void {
    const body = m.json<{ readonly task?: unknown; readonly session?: unknown }>();
    // Others' machines may emit what they like.
    if (isView<TaskView>(body.task)) {
      if (!keep(this.tasks, body.task)) return;
      this.#changed(body.task);
    } else if (isView<SessionView>(body.session)) keep(this.sessions, body.session);
  }

  async #read(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const shards = await shardsOf(this.#nc, this.#subjects);
        const source = { nc: this.#nc, subjects: this.#subjects, shards };
        for (const task of await listTasks(source)) keep(this.tasks, task);
        for (const session of await listSessions(source)) keep(this.sessions, session);
        this.#changed(undefined);
        return;
      } catch (thrown) {
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
      if (status.type === 'reconnect') this.#reading = this.#read();
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

function isView<T extends { readonly id: string }>(value: unknown): value is T {
  return typeof value === 'object' && value !== null && 'id' in value && 'status' in value;
}
