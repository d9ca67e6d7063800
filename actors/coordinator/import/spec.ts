import type { TaskSpecInput } from '#schemas/task';
import type { TaskFact } from './facts.ts';

/** What a board is given of a task that files name. */
export function specOf(fact: TaskFact): TaskSpecInput {
  const { id, title, owner, deps, requires, deliverables, model, kind, priority, filler, hours, cost } = fact;
  return {
    id,
    ...(title !== undefined && { title }),
    ...(owner !== undefined && { owner }),
    ...(deps !== undefined && { deps: [...deps] }),
    ...(requires !== undefined && { requires: [...requires] }),
    ...(deliverables !== undefined && { deliverables: [...deliverables] }),
    ...(model !== undefined && { model }),
    ...(kind !== undefined && { kind }),
    ...(priority !== undefined && { priority }),
    ...(filler !== undefined && { filler }),
    ...((hours !== undefined || cost !== undefined) && {
      estimate: { ...(hours !== undefined && { hours }), ...(cost !== undefined && { cost }) },
    }),
  };
}
