/** Timers by due time, and by age where that is the same (P5). Cancelled ones stay in the heap until they surface or the heap is rebuilt. */
import TinyQueue from 'tinyqueue';
import type { PendingTimer } from './table.ts';

/** A heap with more dead entries than this, and than live ones, is rebuilt. */
const DEAD_ENTRIES_MAX = 4096;

interface Queued {
  readonly timer: PendingTimer;
  readonly order: number;
}

export class TimerQueue {
  #heap = new TinyQueue<Queued>([], earlier);
  /** Pending timers, oldest first. */
  readonly #live = new Set<PendingTimer>();
  #order = 0;

  /** Pending timers. */
  get size(): number {
    return this.#live.size;
  }

  add(timer: PendingTimer): void {
    this.#live.add(timer);
    this.#heap.push({ timer, order: this.#order++ });
  }

  cancel(timer: PendingTimer): void {
    this.#live.delete(timer);
    const dead = this.#heap.length - this.#live.size;
    if (dead > DEAD_ENTRIES_MAX && dead > this.#live.size) {
      const live = [...this.#live].map((pending) => ({ timer: pending, order: this.#order++ }));
      this.#heap = new TinyQueue(live, earlier);
    }
  }

  clear(): void {
    this.#live.clear();
    this.#heap = new TinyQueue<Queued>([], earlier);
  }

  nextDueAt(): number | undefined {
    for (;;) {
      const top = this.#heap.peek();
      if (top === undefined || this.#live.has(top.timer)) return top?.timer.dueAt;
      this.#heap.pop();
    }
  }

  /** Takes the earliest timer due at `now`; it is no longer pending afterwards. */
  takeDue(now: number): PendingTimer | undefined {
    const dueAt = this.nextDueAt();
    if (dueAt === undefined || dueAt > now) return undefined;
    const timer = this.#heap.pop()?.timer;
    if (timer !== undefined) this.#live.delete(timer);
    return timer;
  }
}

function earlier(a: Queued, b: Queued): number {
  return a.timer.dueAt - b.timer.dueAt || a.order - b.order;
}
