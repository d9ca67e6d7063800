/** The chain of work that decides how long everything takes, however many help. */
import { type GraphTask, isOver, type TaskGraph } from './graph.ts';

export interface CriticalPath {
  /** Tasks still open, each waiting for the one before it. */
  readonly ids: readonly string[];
  /** Work left along it. */
  readonly hours: number;
}

/** The longest chain of open tasks by hours left; empty where all is over. In a circle nothing is ever done: no path. */
export function criticalPath<T extends GraphTask>(graph: TaskGraph<T>): CriticalPath {
  const tails = hoursBehind(graph);
  let start: string | undefined;
  for (const [id, hours] of tails) {
    if (hours > (start === undefined ? -1 : (tails.get(start) ?? -1))) start = id;
  }
  if (start === undefined) return { ids: [], hours: 0 };
  const ids: string[] = [];
  // Nothing twice: a chain is never longer than there are tasks on it.
  for (let at: string | undefined = start; at !== undefined && ids.length < tails.size; ) {
    ids.push(at);
    let next: string | undefined;
    for (const id of graph.nodes.get(at)?.dependents ?? []) {
      const hours = tails.get(id);
      if (hours !== undefined && (next === undefined || hours > (tails.get(next) ?? 0))) next = id;
    }
    at = next;
  }
  return { ids, hours: tails.get(start) ?? 0 };
}

/** For each open task, the hours left from its own start to the end of the longest chain behind it. */
export function hoursBehind<T extends GraphTask>(graph: TaskGraph<T>): ReadonlyMap<string, number> {
  const tails = new Map<string, number>();
  for (const [id, node] of [...graph.nodes].toReversed()) {
    if (isOver(node.task) || graph.inCircle.has(id)) continue;
    const behind = node.dependents.reduce((most, next) => Math.max(most, tails.get(next) ?? 0), 0);
    tails.set(id, node.hoursLeft + behind);
  }
  return tails;
}
