/** Ways to give work to workers: at random, and the governor with one factor after the other left out. */
import { assign, type WaitingTask } from '#actors/governor/assignment/assign';
import type { WorkerIndex } from '#actors/governor/registry/worker-index';
import { matchOf } from '#machines/registry/match';
import { seededRandom } from '#runtime/testing/seeded-random';
import { type AssignmentRules, assignmentRulesSchema, MATCH_MIN_DEFAULT } from '#schemas/assignment';
import { chanceOf } from './chance.ts';
import type { SimTask, Workload } from './workload.ts';

/** Gives tasks away: the world does so before the next is asked for. */
export type Policy = (
  tasks: readonly WaitingTask[],
  index: WorkerIndex,
  now: number,
  /** Nothing else has changed since the last question: this worker got room. */
  freed: string | undefined,
) => Iterable<{ readonly task: WaitingTask; readonly worker: string }>;

export const POLICIES = {
  'random assignment': randomPolicy,
  governor: () => governed({}),
  'governor without match': () => governed({ match: false }),
  'governor without reputation': () => governed({ reputation: false }),
  'governor without bloom fit': () => governed({ bloom: false }),
  'governor without price': () => governed({ cost: false }),
  'governor without load': () => governed({ load: false }),
  'governor without fair turns': () => governed({}, 0),
  'who knows the truth': truthful,
} as const satisfies Readonly<Record<string, (seed: number, workload: Workload) => Policy>>;

function governed(factors: Partial<AssignmentRules['factors']>, fairEvery?: number): Policy {
  const rules = assignmentRulesSchema.parse({ factors, ...(fairEvery !== undefined && { fairEvery }) });
  return function* (tasks, index, now, freed) {
    const canDo = ({ need }: WaitingTask): boolean =>
      freed === undefined || index.verdict(freed, need, now, { rules })?.refusals.length === 0;
    for (const { task, verdict } of assign(tasks.filter(canDo), index, now, { rules })) {
      yield { task, worker: verdict.worker };
      if (freed !== undefined && verdict.worker === freed) return;
    }
  };
}

/** Anyone who has room, whatever it can do. */
function randomPolicy(seed: number): Policy {
  const random = seededRandom(seed ^ 0x5eed);
  return function* (tasks, index) {
    for (const task of tasks) {
      const free = [...index.all()].filter(
        ({ tasks: held, profile }) => held.length < (profile?.maxConcurrent ?? 0),
      );
      const worker = free[Math.floor(random.next() * free.length)];
      if (worker !== undefined) yield { task, worker: worker.id };
    }
  };
}

/** The free worker that is really the likeliest to succeed: what no governor can know, and none can go below by much. */
function truthful(_seed: number, { workers, tasks }: Workload): Policy {
  const truth = new Map(tasks.map((task) => [task.need.task, task]));
  return function* (waiting, index) {
    for (const task of waiting) {
      let best: { readonly id: string; readonly chance: number } | undefined;
      for (const worker of workers) {
        const { id, maxConcurrent } = worker.profile;
        const isMatch = matchOf(task.need.requires, worker.trueSkills) >= MATCH_MIN_DEFAULT;
        if (!isMatch || (index.get(id)?.tasks.length ?? 0) >= maxConcurrent) continue;
        const chance = chanceOf(truth.get(task.id) as SimTask, worker, 0);
        if (best === undefined || chance > best.chance) best = { id, chance };
      }
      if (best !== undefined) yield { task, worker: best.id };
    }
  };
}
