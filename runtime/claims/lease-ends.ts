/**
 * When leases of workers on actors end. Told the rows of the bucket as they change, it says of each lease that somebody
 * waits for when it is over.
 *
 * E1  A lease whose row was seen ends when the row goes.
 * E2  A lease whose row is not there has one lease time to come (back): the rows are told later than they are written, and
 *     a bucket that was lost is filled again by those who hold leases.
 * E3  A row of another lease is no proof for {@link SETTLE_MS}: the news may be of the time before.
 * E4  More news of the same kind prolong nothing: who renews a lease that counts no more keeps nobody waiting.
 */
import type { Clock } from '#runtime/shard/ports';

/** Why a lease is over. */
export type LeaseEnd = 'ended' | 'absent' | 'replaced';

/** News travel in milliseconds; a server or client that stood still needs longer. */
const SETTLE_MS = 1_000;

interface Waiter {
  readonly lease: string;
  readonly ms: number;
  readonly over: (end: LeaseEnd) => void;
  timer: unknown;
  /** What it will be over for when the timer fires. */
  due: LeaseEnd | undefined;
}

export class LeaseEnds {
  readonly #clock: Clock;
  /** Key → the lease that its row names. */
  readonly #rows = new Map<string, string>();
  readonly #waiters = new Map<string, Set<Waiter>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Leases that somebody waits for. */
  get size(): number {
    let size = 0;
    for (const waiters of this.#waiters.values()) size += waiters.size;
    return size;
  }

  /** Resolves when the lease is over; rejects with the signal's reason where it is aborted first. */
  wait(key: string, lease: string, ms: number, signal: AbortSignal): Promise<LeaseEnd> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        lease,
        ms,
        timer: undefined,
        due: undefined,
        over: (end) => {
          this.#forget(key, waiter);
          signal.removeEventListener('abort', abort);
          resolve(end);
        },
      };
      const abort = (): void => {
        this.#forget(key, waiter);
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      const waiters = this.#waiters.get(key) ?? new Set();
      this.#waiters.set(key, waiters.add(waiter));
      this.#judge(key, waiter);
    });
  }

  /** A row changed; undefined where it went. */
  hear(key: string, lease: string | undefined): void {
    const before = this.#rows.get(key);
    if (lease === undefined) this.#rows.delete(key);
    else this.#rows.set(key, lease);
    for (const waiter of this.#waiters.get(key) ?? []) {
      // E1.
      if (lease === undefined && before === waiter.lease) waiter.over('ended');
      else this.#judge(key, waiter);
    }
  }

  /** The bucket is another, or lost its end: what its rows said counts no more. */
  forgetRows(): void {
    this.#rows.clear();
    for (const [key, waiters] of this.#waiters) for (const waiter of waiters) this.#judge(key, waiter);
  }

  #judge(key: string, waiter: Waiter): void {
    const due = dueOf(this.#rows.get(key), waiter);
    // E4.
    if (due === waiter.due) return;
    waiter.due = due;
    this.#clock.clearTimer(waiter.timer);
    waiter.timer = undefined;
    if (due === undefined) return;
    waiter.timer = this.#clock.setTimer(() => waiter.over(due), due === 'absent' ? waiter.ms : SETTLE_MS);
  }

  #forget(key: string, waiter: Waiter): void {
    this.#clock.clearTimer(waiter.timer);
    const waiters = this.#waiters.get(key);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiters.delete(key);
  }
}

/** E2, E3; undefined where the row is its own. */
function dueOf(row: string | undefined, { lease }: Waiter): 'absent' | 'replaced' | undefined {
  if (row === undefined) return 'absent';
  return row === lease ? undefined : 'replaced';
}
