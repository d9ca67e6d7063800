/**
 * Tasks that were offered to sessions, until they are nobody's to take any more. Pure.
 *
 * F1  Who took what it was offered is not told: its own task tells it.
 */
import type { TaskView } from '#schemas/task-view';

interface Following {
  readonly task: string;
  readonly session: string;
  readonly gone: () => void;
}

export class Offered {
  readonly #tasks: ReadonlyMap<string, TaskView>;
  readonly #following = new Map<string, Set<Following>>();

  constructor(tasks: ReadonlyMap<string, TaskView>) {
    this.#tasks = tasks;
  }

  /** Tasks that somebody was offered. */
  get size(): number {
    return this.#following.size;
  }

  /** Resolves once the session cannot have the task any more; rejects with the signal's reason where it is aborted first. */
  taken(task: string, session: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#isGone(task, session)) return resolve();
      const abort = (): void => {
        this.#forget(following);
        reject(signal.reason);
      };
      const following: Following = {
        task,
        session,
        gone: () => {
          this.#forget(following);
          signal.removeEventListener('abort', abort);
          resolve();
        },
      };
      signal.addEventListener('abort', abort, { once: true });
      const others = this.#following.get(task) ?? new Set();
      this.#following.set(task, others.add(following));
    });
  }

  /** A task changed, or all may have. */
  changed(task: TaskView | undefined): void {
    const changed = task === undefined ? [...this.#following.values()] : [this.#following.get(task.id) ?? []];
    for (const following of changed.flatMap((each) => [...each]))
      if (this.#isGone(following.task, following.session)) following.gone();
  }

  /** F1. */
  #isGone(id: string, session: string): boolean {
    const task = this.#tasks.get(id);
    return task?.status !== 'available' && task?.worker !== `session/${session}`;
  }

  #forget(following: Following): void {
    const others = this.#following.get(following.task);
    others?.delete(following);
    if (others?.size === 0) this.#following.delete(following.task);
  }
}
