/**
 * How many hours until all is done. With enough workers that is the critical path; with those there are, tasks are dealt
 * out as a board does it: whoever is free takes what it can do and what most work waits behind.
 */
import { hoursBehind } from './critical-path.ts';
import { type GraphTask, isDone, isOver, type TaskGraph, type TaskNode } from './graph.ts';

export interface EtaWorker {
  readonly id: string;
}

export interface Eta {
  /** Hours from now until the last task that can be done is done. */
  readonly hours: number;
  /** When each open task is done, in hours from now. */
  readonly doneAt: ReadonlyMap<string, number>;
  /** Open tasks that never get done as things stand: nobody can do them, or what they wait for is never completed. */
  readonly never: readonly string[];
}

interface Running {
  readonly id: string;
  readonly worker: string;
  readonly until: number;
}

/** With as many workers as help. */
export function etaUnlimited<T extends GraphTask>(graph: TaskGraph<T>): Eta {
  const doneAt = new Map<string, number>();
  const never: string[] = [];
  for (const [id, node] of graph.nodes) {
    if (isOver(node.task)) continue;
    const starts = node.deps.map((dep) => startAfter(dep, graph, doneAt));
    if (graph.inCircle.has(id) || starts.includes(undefined)) never.push(id);
    else doneAt.set(id, Math.max(0, ...starts.map((at) => at ?? 0)) + node.hoursLeft);
  }
  return { hours: latest(doneAt), doneAt, never };
}

/**
 * With these workers, one task at a time each. `canDo` says who may take what; a task already in work stays with
 * `holderOf` it.
 */
export function etaWith<T extends GraphTask, W extends EtaWorker>(
  graph: TaskGraph<T>,
  workers: readonly W[],
  canDo: (worker: W, task: T) => boolean,
  holderOf: (task: T) => string | undefined = () => undefined,
): Eta {
  const tails = hoursBehind(graph);
  const rank = (node: TaskNode<T>): number => tails.get(node.task.id) ?? 0;
  const isHeld = (node: TaskNode<T>): number => (holderOf(node.task) === undefined ? 0 : 1);
  const open = new Map([...graph.nodes].filter(([, { task }]) => !isOver(task)));
  const waits = new Map([...open].map(([id, node]) => [id, unmet(node, graph)]));
  const doneAt = new Map<string, number>();
  const free = new Map(workers.map((worker) => [worker.id, worker]));
  const known = new Map(free);
  let ready = [...open.values()].filter(({ task }) => waits.get(task.id) === 0);
  let running: Running[] = [];
  for (let now = 0; ; ) {
    // What is in work first, then what most work waits behind.
    const still: TaskNode<T>[] = [];
    for (const node of ready.toSorted((a, b) => isHeld(b) - isHeld(a) || rank(b) - rank(a))) {
      const worker = free.size === 0 ? undefined : takerOf(node.task, free, canDo, holderOf);
      if (worker === undefined) still.push(node);
      else {
        free.delete(worker.id);
        running.push({ id: node.task.id, worker: worker.id, until: now + node.hoursLeft });
      }
    }
    if (running.length === 0) break;
    now = Math.min(...running.map(({ until }) => until));
    ready = still;
    for (const { id, worker, until } of running) {
      if (until > now) continue;
      doneAt.set(id, until);
      const freed = known.get(worker);
      if (freed !== undefined) free.set(worker, freed);
      for (const dependent of graph.nodes.get(id)?.dependents ?? []) {
        const left = (waits.get(dependent) ?? 0) - 1;
        waits.set(dependent, left);
        const node = open.get(dependent);
        if (left === 0 && node !== undefined) ready.push(node);
      }
    }
    running = running.filter(({ until }) => until > now);
  }
  const never = [...open.keys()].filter((id) => !doneAt.has(id));
  return { hours: latest(doneAt), doneAt, never };
}

function takerOf<T extends GraphTask, W extends EtaWorker>(
  task: T,
  free: ReadonlyMap<string, W>,
  canDo: (worker: W, task: T) => boolean,
  holderOf: (task: T) => string | undefined,
): W | undefined {
  const holder = holderOf(task);
  if (holder !== undefined) return free.get(holder);
  return free.values().find((worker) => canDo(worker, task));
}

/** Dependencies that are not completed. */
function unmet<T extends GraphTask>({ deps }: TaskNode<T>, graph: TaskGraph<T>): number {
  return deps.filter((dep) => {
    const node = graph.nodes.get(dep);
    return node === undefined || !isDone(node.task);
  }).length;
}

/** When who waits for `dep` may begin; undefined for never. */
function startAfter<T extends GraphTask>(
  dep: string,
  graph: TaskGraph<T>,
  doneAt: ReadonlyMap<string, number>,
): number | undefined {
  const node = graph.nodes.get(dep);
  return node !== undefined && isDone(node.task) ? 0 : doneAt.get(dep);
}

function latest(doneAt: ReadonlyMap<string, number>): number {
  return doneAt.values().reduce((last, at) => Math.max(last, at), 0);
}
