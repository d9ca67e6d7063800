/**
 * Tasks that can be claimed. Those that ask for the same lie together: whether a worker can do them is found once for all of
 * them, and the first is its best. What a look costs grows with the kinds of tasks, not with their number; governed ones apart.
 */
import type { TaskView } from '#schemas/task-view';
import { candidates, type Governor, orderFor, type Worker } from './matching.ts';
import type { Candidate } from './types.ts';

export class FreeTasks {
  readonly #tasks = new Map<string, TaskView>();
  /** Never empty; each in the order of {@link compare}. */
  readonly #groups = new Map<string, TaskView[]>();

  constructor(tasks: Iterable<TaskView> = []) {
    for (const task of tasks) this.set(task);
  }

  has(id: string): boolean {
    return this.#tasks.has(id);
  }

  get(id: string): TaskView | undefined {
    return this.#tasks.get(id);
  }

  values(): MapIterator<TaskView> {
    return this.#tasks.values();
  }

  set(task: TaskView): void {
    this.delete(task.id);
    this.#tasks.set(task.id, task);
    const key = keyOf(task);
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, [task]);
    else group.splice(placeOf(task, group), 0, task);
  }

  delete(id: string): void {
    const task = this.#tasks.get(id);
    if (task === undefined) return;
    this.#tasks.delete(id);
    const key = keyOf(task);
    const group = this.#groups.get(key) ?? [];
    if (group.length === 1) this.#groups.delete(key);
    else group.splice(placeOf(task, group), 1);
  }

  /** The first in the worker's order of those that it `mayHave`. */
  best(worker: Worker, mayHave: (task: TaskView) => boolean, governor?: Governor): Candidate | undefined {
    const order = orderFor(worker, governor);
    const anyOne = { ...worker, declined: new Set<string>() };
    let best: Candidate | undefined;
    for (const group of this.#groups.values()) {
      const isGoverned = group[0]?.governed === true;
      if (!isGoverned && candidates(anyOne, group.slice(0, 1)).next().done === true) continue;
      for (const found of candidates(worker, group.values().filter(mayHave), governor)) {
        if (best === undefined || order(found, best) < 0) best = found;
        // Of governed tasks the governor says of each what it is worth.
        if (!isGoverned) break;
      }
    }
    return best;
  }
}

function keyOf({ requires, owner, filler, governed }: TaskView): string {
  return JSON.stringify([requires, owner, filler, governed]);
}

/** Where the task is in its group, or would be. */
function placeOf(task: TaskView, group: readonly TaskView[]): number {
  let [low, high] = [0, group.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(group[middle] as TaskView, task) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What {@link orderFor} says of tasks that ask for the same and are not governed. */
function compare(a: TaskView, b: TaskView): number {
  if (a.id === b.id) return 0;
  return b.priority - a.priority || (a.id < b.id ? -1 : 1);
}
