/**
 * Sessions that wait for work, and which task is offered to whom. Pure but for the clock it is given.
 *
 * O1  A task is offered to one waiting session at a time; one that does not take it within {@link OFFER_MS} makes way.
 */
import { choose } from '#actors/governor/assignment/choose';
import type { WorkerIndex } from '#actors/governor/registry/worker-index';
import { matchOf } from '#machines/registry/match';
import type { Clock } from '#runtime/shard/ports';
import type { AssignmentRules, Verdict } from '#schemas/assignment';
import type { TaskView } from '#schemas/task-view';
import type { FreeTasks } from './free-tasks.ts';
import { type Governor, needOf, tasksFor, type Worker } from './matching.ts';
import type { Candidate } from './types.ts';

/** A worker that is told of a task answers within milliseconds; an agent may think before. */
const OFFER_MS = 10_000;

export interface Offer {
  readonly task: string;
  readonly match: number;
  readonly filler: boolean;
  /** Of a governed task: the factors of the decision, kept in the log with the offer. */
  readonly verdict?: Verdict;
}

interface Chosen extends Candidate {
  readonly waiting: Waiting;
}

interface Waiting {
  readonly worker: Worker;
  readonly offer: (offer: Offer) => void;
}

export class WaitingRoom {
  readonly #tasks: FreeTasks;
  readonly #clock: Clock;
  readonly #registry: { readonly workers: WorkerIndex; readonly rules: AssignmentRules } | undefined;
  readonly #waiting = new Set<Waiting>();
  /** Task → until when it is somebody's to take. */
  readonly #offered = new Map<string, { readonly worker: string; readonly until: number }>();
  #timer: unknown;

  constructor(
    tasks: FreeTasks,
    clock: Clock,
    registry?: { readonly workers: WorkerIndex; readonly rules: AssignmentRules },
  ) {
    this.#tasks = tasks;
    this.#registry = registry;
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves with the first offer; rejects with the signal's reason where it is aborted first. */
  wait(worker: Worker, signal: AbortSignal): Promise<Offer> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const abort = (): void => {
        this.#waiting.delete(waiting);
        reject(signal.reason);
      };
      const waiting: Waiting = {
        worker,
        offer: (offer) => {
          this.#waiting.delete(waiting);
          signal.removeEventListener('abort', abort);
          resolve(offer);
        },
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.add(waiting);
      this.#passOn(worker);
      this.#serve(waiting);
      this.#lookAgain();
    });
  }

  /** An offer, where there is one at this moment. */
  offerNow(worker: Worker): Offer | undefined {
    const best = this.#best(worker);
    return best && this.#reserve(worker, best);
  }

  /** A task changed, or all may have. */
  changed(task: TaskView | undefined): void {
    if (task === undefined) {
      for (const id of this.#offered.keys()) if (!this.#tasks.has(id)) this.#offered.delete(id);
      for (const waiting of [...this.#waiting]) this.#serve(waiting);
      return;
    }
    if (task.status !== 'available') {
      this.#offered.delete(task.id);
      return;
    }
    const best = task.governed ? this.#chosenFor(task) : this.#bestFor(task);
    if (best !== undefined) this.#offer(best.waiting, best);
  }

  /** What it said no to is the next one's at once. */
  #passOn({ id, declined = new Set() }: Worker): void {
    for (const name of declined) {
      if (this.#offered.get(name)?.worker !== id) continue;
      this.#offered.delete(name);
      const task = this.#tasks.get(name);
      if (task !== undefined) this.changed(task);
    }
  }

  close(): void {
    this.#clock.clearTimer(this.#timer);
  }

  #serve(waiting: Waiting): void {
    const best = this.#best(waiting.worker);
    if (best !== undefined) this.#offer(waiting, best);
  }

  #best(worker: Worker): Candidate | undefined {
    return this.#tasks.best(worker, (task) => this.#mayHave(task, worker), this.#governor());
  }

  /** Of those who wait, whom the governor chooses. */
  #chosenFor(task: TaskView): Chosen | undefined {
    const governor = this.#governor();
    if (governor === undefined) return undefined;
    const able = [...this.#waiting].flatMap((waiting) => {
      const [found] = this.#mayHave(task, waiting.worker) ? tasksFor(waiting.worker, [task], governor) : [];
      return found === undefined ? [] : [{ waiting, ...found }];
    });
    const ranking = governor.index.among(
      new Set(able.map(({ waiting }) => waiting.worker.id)),
      needOf(task),
      governor.now,
      governor,
    );
    const choice = choose(ranking, governor.rules);
    return able.find(({ waiting }) => waiting.worker.id === choice?.verdict.worker);
  }

  #governor(): Governor | undefined {
    const { workers, rules } = this.#registry ?? {};
    return workers === undefined || rules === undefined
      ? undefined
      : { index: workers, rules, now: this.#clock.now() };
  }

  #bestFor(task: TaskView): Chosen | undefined {
    let best: Chosen | undefined;
    let score = -1;
    for (const waiting of this.#waiting) {
      if (!this.#mayHave(task, waiting.worker) || tasksFor(waiting.worker, [task]).length === 0) continue;
      const match =
        matchOf(task.requires, waiting.worker.capabilities) + (task.owner === waiting.worker.id ? 1 : 0);
      if (match > score) [best, score] = [{ waiting, task, match }, match];
    }
    return best;
  }

  /** O1. */
  #mayHave({ id, status }: TaskView, worker: Worker): boolean {
    const offered = this.#offered.get(id);
    const isOthers =
      offered !== undefined && offered.worker !== worker.id && offered.until > this.#clock.now();
    return status === 'available' && !isOthers;
  }

  #offer(waiting: Waiting, candidate: Candidate): void {
    waiting.offer(this.#reserve(waiting.worker, candidate));
  }

  /** O1. */
  #reserve(worker: Worker, { task, verdict }: Candidate): Offer {
    const { id, requires, filler } = task;
    this.#offered.set(id, { worker: worker.id, until: this.#clock.now() + OFFER_MS });
    const match = verdict?.factors?.match ?? matchOf(requires, worker.capabilities);
    this.#arm();
    return { task: id, match, filler, ...(verdict !== undefined && { verdict }) };
  }

  /** Who waits is served again when an offer has run out. */
  #arm(): void {
    if (this.#timer !== undefined) return;
    const next = this.#offered.values().reduce((least, { until }) => Math.min(least, until), Infinity);
    if (next === Infinity) return;
    this.#timer = this.#clock.setTimer(() => this.#runOut(), Math.max(0, next - this.#clock.now()));
  }

  #runOut(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const [task, { until }] of this.#offered) if (until <= now) this.#offered.delete(task);
    this.changed(undefined);
    this.#lookAgain();
  }

  /** What was passed over may be free later; the timer has stopped where nobody waited for that. */
  #lookAgain(): void {
    if (this.#waiting.size > 0) this.#arm();
  }
}
