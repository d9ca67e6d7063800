/**
 * A task: waiting → available → claimed → in_progress → completed | failed | cancelled, with blocked and back. What it
 * decides stands in task/decide.ts. It never ends: a completed task still answers, and a failed one may be ordered anew.
 */
import { TASK_STATUSES } from '#schemas/task';
import { decidedMachine } from './decided.ts';
import { initialTask } from './task/context.ts';
import { decideTask } from './task/decide.ts';

export type { TaskContext } from './task/context.ts';

export const task = {
  name: 'task',
  version: 1,
  machine: decidedMachine({
    id: 'task',
    version: '1',
    statuses: TASK_STATUSES,
    hears: [
      'if.*',
      'task.*',
      ...['stale', 'deadline', 'rewatch', 'check'].map((timer) => `xstate.timer.${timer}`),
      ...['lease', 'match'].flatMap((id) => [`xstate.done.actor.${id}`, `xstate.error.actor.${id}`]),
    ],
    drivers: ['lease', 'match'],
    context: initialTask,
    decide: decideTask,
  }),
};
