/** The dependency graph as lines: each task below the last of what it waits for, the others named behind it. */
import { cut } from '#runtime/cli/render/format';
import type { Palette } from '#runtime/cli/render/palette';
import { criticalPath } from '../graph/critical-path.ts';
import type { TaskGraph, TaskNode } from '../graph/graph.ts';
import { type PictureTask, statusColour, statusSign, statusWord, workerName } from './task.ts';

interface Place {
  readonly palette: Palette;
  readonly width: number;
}

/** `path` is the chain to be stressed: that of all tasks, where only some are drawn. */
export function graphLines(
  graph: TaskGraph<PictureTask>,
  place: Place,
  path: readonly string[] = criticalPath(graph).ids,
): string[] {
  const { palette } = place;
  const critical = new Set(path);
  const parents = new Map<string, string | undefined>();
  const children = new Map<string | undefined, string[]>();
  for (const [id, node] of graph.nodes) {
    const parent = graph.inCircle.has(id) ? undefined : parentOf(node, graph);
    parents.set(id, parent);
    const list = children.get(parent);
    if (list === undefined) children.set(parent, [id]);
    else list.push(id);
  }
  const lines: string[] = [];
  // A stack, not calls: a chain may be longer than a call stack.
  const open = (children.get(undefined) ?? []).map((id) => ({ id, lead: '', below: '' })).toReversed();
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const node = graph.nodes.get(at.id);
    if (node === undefined) continue;
    lines.push(line(node, parents.get(at.id), critical.has(at.id), at.lead, place));
    const list = children.get(at.id) ?? [];
    for (const [n, id] of list.entries()) {
      const isLast = n === list.length - 1;
      open.splice(open.length - n, 0, {
        id,
        lead: `${at.below}${isLast ? '└─ ' : '├─ '}`,
        below: `${at.below}${isLast ? '   ' : '│  '}`,
      });
    }
  }
  const circle = circleText(graph);
  if (circle !== undefined) lines.push('', palette.bad(`circle: ${cut(circle, 500)}`));
  return lines;
}

/** One circle from task to task, and the tasks of others; undefined where there is none. */
export function circleText({ cycle, inCircle }: TaskGraph<PictureTask>): string | undefined {
  if (cycle === undefined) return undefined;
  const others = [...inCircle.difference(new Set(cycle))];
  return `${cycle.join(' → ')}${others.length === 0 ? '' : `, and in others ${others.join(', ')}`}`;
}

/** The deepest of what it waits for: all the others stand above it by then. */
function parentOf({ deps }: TaskNode<PictureTask>, graph: TaskGraph<PictureTask>): string | undefined {
  let best: TaskNode<PictureTask> | undefined;
  for (const dep of deps) {
    const node = graph.nodes.get(dep);
    if (node !== undefined && !graph.inCircle.has(dep) && (best === undefined || node.depth > best.depth))
      best = node;
  }
  return best?.task.id;
}

function line(
  { task, deps }: TaskNode<PictureTask>,
  parent: string | undefined,
  isCritical: boolean,
  lead: string,
  { palette, width }: Place,
): string {
  const { title, status, worker, milestone } = task;
  const id = cut(task.id, 60);
  const colour = statusColour(status, palette);
  const others = deps.filter((dep) => dep !== parent);
  const state = status === 'in_progress' ? `${milestone} %` : statusWord(status);
  const tail = [
    ...(status === 'available' || status === 'waiting' ? [] : [state]),
    ...(worker === null ? [] : [cut(workerName(worker), 30)]),
    ...(others.length === 0 ? [] : [`also after ${cut(others.join(', '), 60)}`]),
  ].join('  ');
  const head = `${lead}${statusSign(status)} ${id}`;
  const room = Math.max(10, width - head.length - tail.length - 3);
  const name = isCritical ? palette.strong(id) : id;
  return `${palette.faint(lead)}${colour(statusSign(status))} ${name} ${cut(title, room)}  ${palette.faint(tail)}`.trimEnd();
}
