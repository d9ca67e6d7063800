/**
 * The presence of one session: a lease on it, whose name it is told.
 *
 * P1  A process that slept past the lease finds its session gone when it renews: it registers it again under the same
 *     lease, and then puts the key back. Where another process of the session is present by then, or it was sent away, it
 *     changes nothing.
 * P2  Who leaves names its lease: the end of a process says nothing of its successor's presence.
 */
import type { SessionInput, SessionView } from '#schemas/session';
import type { Asking } from './asking.ts';
import type { Leases } from './leases.ts';

export class Presence {
  readonly #as: string;
  readonly #asking: Asking;
  readonly #leases: Leases;
  readonly #leaseMs: number;
  /** Name of the lease under which it is, or was, present. */
  #lease: string | undefined;
  #isOpen = false;

  /** Of the session `as`. */
  constructor(as: string, asking: Asking, leases: Leases, leaseMs: number) {
    this.#as = as;
    this.#asking = asking;
    this.#leases = leases;
    this.#leaseMs = leaseMs;
  }

  /** Undefined where the realm does not show the session. */
  async begin(session: Partial<Omit<SessionInput, 'id'>>): Promise<SessionView | undefined> {
    const lease = await this.#leases.take(this.#as, () => this.#isPresent());
    this.#lease = lease?.nonce;
    this.#isOpen = true;
    return await this.#register(session);
  }

  /** False where it was lost, or is not known to be renewed. */
  async renew(): Promise<boolean> {
    return await this.#leases.renew(this.#as);
  }

  async end(): Promise<void> {
    this.#isOpen = false;
    // P2.
    await this.#asking.session(this.#as, {
      action: 'leave',
      ...(this.#lease !== undefined && { lease: this.#lease }),
    });
    if (this.#lease !== undefined) await this.#leases.release(this.#as, this.#lease);
  }

  /** P1: asked where the key has gone. */
  async #isPresent(): Promise<boolean> {
    const view = await this.#asking.sessionView(this.#as);
    if (!this.#isOpen) return false;
    const now = view?.status === 'gone' ? await this.#register({ back: true }) : view;
    return now?.status !== 'gone';
  }

  async #register(
    session: Partial<Omit<SessionInput, 'id'>> & { readonly back?: boolean },
  ): Promise<SessionView | undefined> {
    const reply = await this.#asking.session<{ readonly session?: SessionView }>(this.#as, {
      action: 'register',
      ...session,
      ...(this.#lease !== undefined && { lease: this.#lease, leaseMs: this.#leaseMs }),
    });
    return reply.session;
  }
}
