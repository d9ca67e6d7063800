/** All that waits, given to all that is free: one choice at a time, so that each sees what the one before took. */
import type { AssignmentRules, Guards, Need } from '#schemas/assignment';
import type { Ranked, WorkerIndex } from '../registry/worker-index.ts';
import { byUrgency, type Choice, choose, type Waiting } from './choose.ts';

export interface WaitingTask extends Waiting {
  readonly need: Need;
}

export interface Assignment extends Choice {
  readonly task: WaitingTask;
  readonly ranking: Ranked;
}

export interface AssignOptions {
  readonly rules: AssignmentRules;
  readonly guards?: Guards;
}

/** Candidates kept with a decision: what a person looks at. */
const KEPT = 5;

/** The caller gives the task to the worker, and tells the index, before it asks for the next choice. */
export function* assign(
  tasks: readonly WaitingTask[],
  index: WorkerIndex,
  now: number,
  { rules, guards }: AssignOptions,
): Generator<Assignment> {
  for (const task of tasks.toSorted(byUrgency(now))) {
    const ranking = index.rank(task.need, now, {
      rules,
      limit: KEPT,
      ...(guards !== undefined && { guards }),
    });
    const choice = choose(ranking, rules);
    if (choice !== undefined) yield { ...choice, task, ranking };
  }
}
