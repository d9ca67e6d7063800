/**
 * What comes of it: tasks arrive, are given away, take their time, succeed or fail, and are done again. All money is in
 * whole millionths.
 *
 * W1  Whoever gives work away sees profiles, loads and reputations, which move by results alone; what is true of a worker
 *     only shows in what comes of its work.
 * W2  Chance is the same for every policy: what decides an attempt follows from seed, task and number of the attempt.
 */

import TinyQueue from 'tinyqueue';
import type { WaitingTask } from '#actors/governor/assignment/assign';
import { WorkerIndex } from '#actors/governor/registry/worker-index';
import { matchOf } from '#machines/registry/match';
import { afterResult, firstReputation } from '#machines/registry/reputation';
import { seededRandom } from '#runtime/testing/seeded-random';
import { MATCH_MIN_DEFAULT } from '#schemas/assignment';
import type { WorkerView } from '#schemas/worker';
import { chanceOf } from './chance.ts';
import type { Policy } from './policies.ts';
import { HOUR_MS, type SimTask, type SimWorker, type Workload } from './workload.ts';

/** Then a person has to look. */
const ATTEMPTS_MAX = 6;
/** Attempts of workers that vanish half-way. */
const CRASHES = 0.01;

export interface Result {
  readonly costMicros: number;
  readonly failedMicros: number;
  /** To a worker that really matches less than seven tenths, whatever came of it. */
  readonly mismatchedMicros: number;
  readonly wastedMicros: number;
  readonly completed: number;
  readonly givenUp: number;
  readonly attempts: number;
  /** From arrival to the first hand that takes it, sorted. */
  readonly waitsMs: Float64Array;
  /** Workers that got any work. */
  readonly workersUsed: number;
}

type Open = WaitingTask & { readonly task: SimTask };

interface Event {
  readonly at: number;
  readonly end?: { readonly task: SimTask; readonly worker: string; readonly isSuccess: boolean };
  readonly arrival?: SimTask;
}

export function run({ workers, tasks }: Workload, policy: Policy, seed: number): Result {
  const truth = new Map(workers.map((worker) => [worker.profile.id, worker]));
  const index = new WorkerIndex();
  for (const { profile } of workers) index.set(viewOf(profile));
  const events = new TinyQueue<Event>([], (a, b) => a.at - b.at);
  for (const arrival of tasks) events.push({ at: arrival.arrivesAt, arrival });
  const waiting = new Map<string, Open>();
  const attempts = new Map<string, number>();
  const used = new Set<string>();
  const waits: number[] = [];
  const sums = {
    costMicros: 0,
    failedMicros: 0,
    mismatchedMicros: 0,
    wastedMicros: 0,
    completed: 0,
    givenUp: 0,
  };
  let count = 0;

  const begin = (task: SimTask, id: string, now: number): void => {
    const worker = truth.get(id) as SimWorker;
    const view = index.get(id) as WorkerView;
    const attempt = (attempts.get(task.need.task) ?? 0) + 1;
    attempts.set(task.need.task, attempt);
    if (attempt === 1) waits.push(now - task.arrivesAt);
    waiting.delete(task.need.task);
    used.add(id);
    count += 1;
    const { isSuccess, hours } = outcomeOf(task, worker, view.tasks.length, seed, attempt);
    const cost = Math.round(hours * worker.profile.costPerHour.micros);
    const isMismatch = matchOf(task.need.requires, worker.trueSkills) < MATCH_MIN_DEFAULT;
    sums.costMicros += cost;
    if (!isSuccess) sums.failedMicros += cost;
    if (isMismatch) sums.mismatchedMicros += cost;
    if (!isSuccess || isMismatch) sums.wastedMicros += cost;
    index.set({ ...view, tasks: [...view.tasks, task.need.task], idleSince: null });
    events.push({ at: now + hours * HOUR_MS, end: { task, worker: id, isSuccess } });
  };

  for (let event = events.pop(); event !== undefined; event = events.pop()) {
    const { at, arrival, end } = event;
    if (arrival !== undefined) wait(arrival, at);
    if (end !== undefined) {
      const view = index.get(end.worker) as WorkerView;
      const held = view.tasks.filter((id) => id !== end.task.need.task);
      const reputation = afterResult(view.reputation, end.isSuccess, at);
      index.set({ ...view, tasks: held, reputation, idleSince: held.length === 0 ? at : view.idleSince });
      if (end.isSuccess) sums.completed += 1;
      else if ((attempts.get(end.task.need.task) ?? 0) >= ATTEMPTS_MAX) sums.givenUp += 1;
      else wait(end.task, at);
    }
    // Where somebody new came, nothing changed for the others that wait.
    const asking = arrival === undefined ? [...waiting.values()] : [waiting.get(arrival.need.task) as Open];
    for (const { task, worker } of policy(asking, index, at, end?.worker))
      begin((task as Open).task, worker, at);
  }
  if (waiting.size > 0) sums.givenUp += waiting.size;
  return { ...sums, attempts: count, waitsMs: Float64Array.from(waits).sort(), workersUsed: used.size };

  function wait(task: SimTask, since: number): void {
    const { need, priority } = task;
    waiting.set(need.task, { id: need.task, priority, since, need, task });
  }
}

/** W2. */
function outcomeOf(task: SimTask, worker: SimWorker, load: number, seed: number, attempt: number) {
  const random = seededRandom(hashOf(`${seed}/${task.need.task}/${attempt}`));
  const [crash, luck, part] = [random.next(), random.next(), random.next()];
  const chance = chanceOf(task, worker, load);
  const hours = task.need.hours * worker.truePace;
  return crash < CRASHES ? { isSuccess: false, hours: hours * part } : { isSuccess: luck < chance, hours };
}

function viewOf(profile: SimWorker['profile']): WorkerView {
  return {
    id: profile.id,
    status: 'registered',
    profile,
    taxonomyVersion: 1,
    reputation: firstReputation(0),
    completed: 0,
    failed: 0,
    tasks: [],
    idleSince: 0,
    breaker: 'closed',
    budgetLeftMicros: null,
    last: null,
    changedAt: null,
  };
}

function hashOf(text: string): number {
  let hash = 0;
  for (let n = 0; n < text.length; n += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(n)) | 0;
  return hash >>> 0;
}
