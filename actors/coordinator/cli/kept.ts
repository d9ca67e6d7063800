/** What a task that is there already keeps, where it was added again as something else. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { TaskSpec } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';

/** What was said of it. */
export type Given = Partial<
  Pick<TaskSpec, 'title' | 'owner' | 'estimate' | 'priority' | 'deadline' | 'retries' | 'kind' | 'filler'>
> & { readonly requires?: readonly string[]; readonly deliverables?: readonly string[] };

type Value = string | number | boolean | readonly string[] | null;

/** Fields that were given and differ, by the names of their options, each with what the task has and keeps. */
export function keptOf(task: TaskView, given: Given): (readonly [string, Value])[] {
  const both: readonly (readonly [name: string, has: Value, wanted: unknown])[] = [
    ['title', task.title, given.title],
    ['requires', task.requires, given.requires],
    ['owner', task.owner, given.owner],
    ['hours', task.estimate.hours, given.estimate?.hours],
    ['priority', task.priority, given.priority],
    [
      'deadline',
      task.deadline === null ? null : new Date(task.deadline).toISOString(),
      dated(given.deadline),
    ],
    ['deliverable', task.deliverables, given.deliverables],
    ['retries', task.retries, given.retries],
    ['kind', task.kind, given.kind],
    ['filler', task.filler, given.filler],
  ];
  return both
    .filter(([, has, wanted]) => wanted !== undefined && !isDeepStrictEqual(has, wanted))
    .map(([name, has]) => [name, has]);
}

export function wordOf(value: Value): string {
  const text = typeof value === 'object' && value !== null ? value.join(', ') : String(value ?? '');
  return text === '' ? 'none' : text;
}

function dated(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString();
}
