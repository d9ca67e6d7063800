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
  /** In an order in which each comes behind what it waits for; ties in the order given. */
  readonly nodes: ReadonlyMap<string, TaskNode<T>>;
  /** A circle of dependencies, the first id again at the end; its tasks are in the graph, but wait for ever. */
  readonly cycle: readonly string[] | undefined;
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
  for (const [id, depth] of depths(deps, dependents)) {
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
  return { nodes, cycle, missing: [...missing] };
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

/** Kahn's order, depth by depth; what stands in or behind a circle comes last, in the order given. */
function depths(
  deps: ReadonlyMap<string, readonly string[]>,
  dependents: ReadonlyMap<string, readonly string[]>,
): Map<string, number> {
  const open = new Map<string, number>();
  for (const [id, list] of deps) open.set(id, list.filter((dep) => deps.has(dep)).length);
  const order = new Map<string, number>();
  let level = [...open].filter(([, waits]) => waits === 0).map(([id]) => id);
  let depth = 0;
  while (level.length > 0) {
    const next: string[] = [];
    for (const id of level) order.set(id, depth);
    for (const id of level) {
      for (const dependent of dependents.get(id) ?? []) {
        const waits = (open.get(dependent) ?? 0) - 1;
        open.set(dependent, waits);
        if (waits === 0) next.push(dependent);
      }
    }
    level = next;
    depth += 1;
  }
  for (const id of deps.keys()) if (!order.has(id)) order.set(id, depth);
  return order;
}
