/** Who blocks whom, however many tasks stand between. */
import { type GraphTask, isDone, isOver, type TaskGraph } from './graph.ts';

export interface Blocker {
  readonly id: string;
  /** Open tasks that cannot be done before it. */
  readonly blocks: readonly string[];
}

/** Everything not completed that a task waits for, nearest first; ids no task has are among them. */
export function waitsFor<T extends GraphTask>(graph: TaskGraph<T>, id: string): string[] {
  return reach(graph, id, (at) => graph.nodes.get(at)?.deps ?? []).filter((dep) => {
    const node = graph.nodes.get(dep);
    return node === undefined || !isDone(node.task);
  });
}

/** Open tasks that wait for this one, nearest first; none where it is completed. */
export function blocks<T extends GraphTask>(graph: TaskGraph<T>, id: string): string[] {
  const node = graph.nodes.get(id);
  if (node !== undefined && isDone(node.task)) return [];
  const dependents = graph.missing.includes(id) ? dependentsOfMissing(graph, id) : undefined;
  return reach(graph, id, (at) =>
    at === id && dependents !== undefined ? dependents : (graph.nodes.get(at)?.dependents ?? []),
  ).filter((dependent) => {
    const found = graph.nodes.get(dependent);
    return found !== undefined && !isOver(found.task);
  });
}

/** What others wait for and what waits for nothing itself: there an hour of help frees most. Worst first. */
export function blockers<T extends GraphTask>(graph: TaskGraph<T>): Blocker[] {
  const ends = [...graph.nodes.values()]
    .filter(({ task, deps }) => !isDone(task) && deps.every((dep) => isDoneId(graph, dep)))
    .map(({ task }) => task.id);
  return [...ends, ...graph.missing]
    .map((id) => ({ id, blocks: blocks(graph, id) }))
    .filter((blocker) => blocker.blocks.length > 0)
    .toSorted((a, b) => b.blocks.length - a.blocks.length);
}

function isDoneId<T extends GraphTask>(graph: TaskGraph<T>, id: string): boolean {
  const node = graph.nodes.get(id);
  return node !== undefined && isDone(node.task);
}

function dependentsOfMissing<T extends GraphTask>(graph: TaskGraph<T>, id: string): string[] {
  return [...graph.nodes.values()].filter(({ deps }) => deps.includes(id)).map(({ task }) => task.id);
}

/** Breadth first from `id`, without it. A completed task passes nothing on: what stands behind it is not its matter. */
function reach<T extends GraphTask>(
  graph: TaskGraph<T>,
  id: string,
  next: (id: string) => readonly string[],
): string[] {
  const seen = new Set([id]);
  const order: string[] = [];
  let level: readonly string[] = [id];
  while (level.length > 0) {
    const below: string[] = [];
    for (const at of level) {
      for (const to of next(at)) {
        if (seen.has(to)) continue;
        seen.add(to);
        order.push(to);
        if (!isDoneId(graph, to)) below.push(to);
      }
    }
    level = below;
  }
  return order;
}
