/** What a node knows of sessions, for rules that ask: read once, and kept current by their live events. */
import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { listenToEvents } from '#runtime/bus/live-event';
import type { Subjects } from '#runtime/bus/subjects';
import type { Logger } from '#runtime/shard/ports';
import { SESSION_TYPE, type SessionView } from '#schemas/session';
import { isSessionView } from '../../coordinator/is-view.ts';
import { listSessions, shardsOf } from '../../coordinator/views.ts';
import type { SessionFacts } from './request.ts';

/** A read that failed is tried again after this: a shard may be on its way to another node. */
const AGAIN_MS = 500;

export class SessionBook implements AsyncDisposable {
  readonly #views = new Map<string, SessionView>();
  readonly #nc: NatsConnection;
  readonly #subjects: Subjects;
  readonly #logger: Logger;
  readonly #subscription: Subscription;
  #isRead = false;
  #isClosed = false;

  constructor(nc: NatsConnection, subjects: Subjects, logger: Logger) {
    this.#nc = nc;
    this.#subjects = subjects;
    this.#logger = logger;
    this.#subscription = listenToEvents(
      nc,
      subjects.eventsOf(SESSION_TYPE, '*'),
      ({ session }) => {
        if (isSessionView(session)) this.#keep(session);
      },
      (thrown) => logger.error({ error: (thrown as Error).message }, 'policy.event_failed'),
    );
    void this.#read();
    void this.#followConnection();
  }

  /** Undefined until everything was read. */
  get facts(): { get(id: string): SessionFacts | undefined } | undefined {
    return this.#isRead ? this.#views : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#subscription.unsubscribe();
  }

  /** News and pages overlap: of two views the later counts. */
  #keep(view: SessionView): void {
    const known = this.#views.get(view.id);
    if ((known?.changedAt ?? 0) <= (view.changedAt ?? 0)) this.#views.set(view.id, view);
  }

  async #read(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const shards = await shardsOf(this.#nc, this.#subjects);
        for (const view of await listSessions({ nc: this.#nc, subjects: this.#subjects, shards }))
          this.#keep(view);
        this.#isRead = true;
        return;
      } catch (thrown) {
        this.#logger.warn({ error: (thrown as Error).message }, 'policy.sessions_unread');
        await new Promise<void>((resolve) => void setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  /** Events are not stored: after a new connection everything is read anew. */
  async #followConnection(): Promise<void> {
    for await (const status of this.#nc.status()) {
      if (this.#isClosed) return;
      if (status.type === 'reconnect') void this.#read();
    }
  }
}
