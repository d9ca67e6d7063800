/** Who hears that a task is complete. */
import type { Change } from './change.ts';
import type { TaskContext } from './context.ts';

/** Told in one step: one step has a bound on what it puts out. */
const TOLD_MAX = 500;

/** To those behind `from`; what is left follows in a step of its own. */
export function toDependents(context: TaskContext, from: number): NonNullable<Change['mail']> {
  const { dependents, id } = context;
  const end = Math.min(from + TOLD_MAX, dependents.length);
  const told = dependents.slice(from, end).map((dependent) => completedMail(context, dependent));
  if (end >= dependents.length) return told;
  return [...told, { to: `task/${id}`, event: { type: 'task.tell_on', from: end } }];
}

export function completedMail({ id }: TaskContext, dependent: string) {
  return { to: `task/${dependent}`, event: { type: 'task.dep_completed', task: id } };
}
