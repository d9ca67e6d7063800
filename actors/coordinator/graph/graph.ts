/**
 * Tasks and what they wait for, as a graph to ask. Pure: everything here is computed from what the tasks say.
 *
 * G1 What is over (completed, failed, cancelled) needs no more time; only what is completed holds nobody up.
 * G2 A dependency that no task has is kept and named: whoever waits for it waits.
 * G3 A task that is blocked on a task waits for it as for a dependency.
 */
import { findCycle } from '#machines/graph';

/** What the graph needs to know of a task. */
export interface GraphTask {
  readonly id: string;
  readonly deps: readonly string[];
  readonly status: string;
  /** 0–100. */
  readonly milestone: number;
  readonly estimate?: { readonly hours?: number | null | undefined } | null | undefined;
  readonly blockedOn?: { readonly on: string; readonly kind: string } | null | undefined;
}

export interface TaskNode<T extends GraphTask = GraphTask> {
  readonly task: T;
  /** What it waits for, completed or not. */
  readonly deps: readonly string[];
  /** Who waits for it. */
  readonly dependents: readonly string[];
  /** Longest chain of tasks above it; 0 where it waits for nothing. */
  readonly depth: number;
  /** Work left, by estimate and milestone. */
  readonly hoursLeft: number;
}

export interface TaskGraph<T extends GraphTask = GraphTask> {
  /** In an order in which each comes behind what it waits for, circles apart; ties in the order given. */
  readonly nodes: ReadonlyMap<string, TaskNode<T>>;
  /** A circle of dependencies, the first id again at the end; its tasks are in the graph, but wait for ever. */
  readonly cycle: readonly string[] | undefined;
  /** Every task that stands in a circle, this one or another, or between two: it waits for itself, or for who waits so. */
  readonly inCircle: ReadonlySet<string>;
  /** Dependencies that no task has (G2). */
  readonly missing: readonly string[];
}

/** What a task without an estimate is taken for. */
export const HOURS_DEFAULT = 1;

const OVER: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled']);

/** True where nothing more will be done about a task. */
export function isOver({ status }: Pick<GraphTask, 'status'>): boolean {
  return OVER.has(status);
}

/** True where a task holds nobody up. */
export function isDone({ status }: Pick<GraphTask, 'status'>): boolean {
  return status === 'completed';
}

export function taskGraph<T extends GraphTask>(
  tasks: Iterable<T>,
  { hoursDefault = HOURS_DEFAULT }: { readonly hoursDefault?: number } = {},
): TaskGraph<T> {
  const given = new Map<string, T>();
  for (const task of tasks) given.set(task.id, task);
  const deps = new Map<string, readonly string[]>();
  const dependents = new Map<string, string[]>([...given.keys()].map((id) => [id, []]));
  const missing = new Set<string>();
  for (const task of given.values()) {
    const waits = waitsOn(task);
    deps.set(task.id, waits);
    for (const dep of waits) {
      const list = dependents.get(dep);
      if (list === undefined) missing.add(dep);
      else list.push(task.id);
    }
  }
  const nodes = new Map<string, TaskNode<T>>();
  const { depths, inCircle } = ordered(deps, dependents);
  for (const [id, depth] of depths) {
    const task = given.get(id);
    if (task === undefined) continue;
    nodes.set(id, {
      task,
      deps: deps.get(id) ?? [],
      dependents: dependents.get(id) ?? [],
      depth,
      hoursLeft: hoursLeft(task, hoursDefault),
    });
  }
  const cycle = findCycle(deps.keys(), (id) => deps.get(id) ?? []);
  return { nodes, cycle, inCircle, missing: [...missing] };
}

/**
 * Some of its tasks as a picture of their own. What they wait for beside these is left out, for it is no missing one (G2);
 * the circles stay those of all tasks.
 */
export function partOf<T extends GraphTask>(
  graph: TaskGraph<T>,
  chosen: Iterable<Pick<GraphTask, 'id'>>,
): TaskGraph<T> {
  const ids = new Set(Array.from(chosen, ({ id }) => id));
  const missing = new Set(graph.missing);
  const nodes = new Map(
    [...graph.nodes]
      .filter(([id]) => ids.has(id))
      .map(([id, node]) => [
        id,
        {
          ...node,
          deps: node.deps.filter((dep) => ids.has(dep) || missing.has(dep)),
          dependents: node.dependents.filter((dependent) => ids.has(dependent)),
        },
      ]),
  );
  const named = new Set([...nodes.values()].flatMap(({ deps }) => deps));
  return { ...graph, nodes, missing: graph.missing.filter((id) => named.has(id)) };
}

/** G3. A task cannot wait for itself twice, however often it is named. */
function waitsOn({ deps, blockedOn }: GraphTask): readonly string[] {
  const on = blockedOn?.kind === 'task' ? [blockedOn.on.replace(/^task\//, '')] : [];
  return [...new Set([...deps, ...on])];
}

function hoursLeft(task: GraphTask, hoursDefault: number): number {
  if (isOver(task)) return 0;
  const hours = task.estimate?.hours ?? hoursDefault;
  return (hours * (100 - Math.min(100, Math.max(0, task.milestone)))) / 100;
}

/** Depths in the order of the graph: what stands behind a circle comes behind it, in the order of its own waiting. */
function ordered(
  deps: ReadonlyMap<string, readonly string[]>,
  dependents: ReadonlyMap<string, readonly string[]>,
): { readonly depths: ReadonlyMap<string, number>; readonly inCircle: ReadonlySet<string> } {
  const depths = layers(deps, dependents);
  const rest = [...deps.keys()].filter((id) => !depths.has(id));
  // What waits for ever, taken away from its other end as well: what is left then are the circles.
  const behind = layers(new Map(rest.map((id) => [id, dependents.get(id) ?? []])), deps);
  const inCircle = new Set(rest.filter((id) => !behind.has(id)));
  const first = depths.values().reduce((most, depth) => Math.max(most, depth + 1), 0);
  const last = behind.values().reduce((most, layer) => Math.max(most, layer), 0);
  for (const id of inCircle) depths.set(id, first);
  for (const id of rest.filter((one) => behind.has(one)).toSorted((a, b) => at(b) - at(a)))
    depths.set(id, first + 1 + last - at(id));
  return { depths, inCircle };

  function at(id: string): number {
    return behind.get(id) ?? 0;
  }
}

/** Kahn's order of what stands in `before`, layer by layer; what stands in or behind a circle is in none. */
function layers(
  before: ReadonlyMap<string, readonly string[]>,
  next: ReadonlyMap<string, readonly string[]>,
): Map<string, number> {
  const open = new Map<string, number>();
  for (const [id, list] of before) open.set(id, list.filter((one) => before.has(one)).length);
  const order = new Map<string, number>();
  let level = [...open].filter(([, waits]) => waits === 0).map(([id]) => id);
  let layer = 0;
  while (level.length > 0) {
    const following: string[] = [];
    for (const id of level) order.set(id, layer);
    for (const id of level) {
      for (const one of next.get(id) ?? []) {
        const waits = (open.get(one) ?? 0) - 1;
        open.set(one, waits);
        if (waits === 0) following.push(one);
      }
    }
    level = following;
    layer += 1;
  }
  return order;
}
