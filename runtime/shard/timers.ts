/** Timers by due time. Cancelled ones stay in the heap until they surface or the heap is rebuilt. */
import TinyQueue from 'tinyqueue';
import type { PendingTimer } from './table.ts';

/** A heap with more dead entries than this, and than live ones, is rebuilt. */
const DEAD_ENTRIES_MAX = 4096;

export class TimerQueue {
  #heap = new TinyQueue<PendingTimer>([], (a, b) => a.dueAt - b.dueAt);
  #live = new Set<PendingTimer>();

  /** Pending timers. */
  get size(): number {
    return this.#live.size;
  }

  add(timer: PendingTimer): void {
    this.#live.add(timer);
    this.#heap.push(timer);
  }

  cancel(timer: PendingTimer): void {
    this.#live.delete(timer);
    const dead = this.#heap.length - this.#live.size;
    if (dead > DEAD_ENTRIES_MAX && dead > this.#live.size) {
      this.#heap = new TinyQueue([...this.#live], (a, b) => a.dueAt - b.dueAt);
    }
  }

  nextDueAt(): number | undefined {
    for (;;) {
      const top = this.#heap.peek();
      if (top === undefined || this.#live.has(top)) return top?.dueAt;
      this.#heap.pop();
    }
  }

  /** Takes the earliest timer due at `now`; it is no longer pending afterwards. */
  takeDue(now: number): PendingTimer | undefined {
    const dueAt = this.nextDueAt();
    if (dueAt === undefined || dueAt > now) return undefined;
    const timer = this.#heap.pop();
    if (timer !== undefined) this.#live.delete(timer);
    return timer;
  }
}
