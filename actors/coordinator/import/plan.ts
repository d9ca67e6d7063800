/**
 * What an import would change. Pure: the board as it is and the files as they are, the difference comes out.
 *
 * P1 What the board and the files agree on is no step: a second import has nothing to do.
 * P2 A task only goes forward: what the board knows of it beyond the file stays.
 * P3 What cannot be done is told with its reason and its place, and stops nothing else.
 */
import type { Place } from '#runtime/supervise/problems';
import { type SessionView, sessionInputSchema } from '#schemas/session';
import type { TaskSpecInput } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import type { StateFact, TaskFact } from './facts.ts';
import type { Wanted } from './read.ts';
import { specOf } from './spec.ts';

/** An event for one actor, in the name of another. */
export interface Step {
  /** Who says it; undefined: whoever imports. */
  readonly as: string | undefined;
  readonly address: string;
  readonly event: { readonly type: string; readonly [field: string]: unknown };
}

/** A line of the difference. */
export interface Change {
  readonly sign: '+' | '~' | '!';
  /** Task or session, as an address. */
  readonly on: string;
  readonly what: string;
  readonly place: Place;
}

export interface ImportPlan {
  readonly add: readonly TaskSpecInput[];
  /** In an order in which each finds what it needs; behind the tasks. */
  readonly steps: readonly Step[];
  readonly changes: readonly Change[];
  /** Tasks and sessions that are as the files say. */
  readonly same: number;
}

/** Who did what a file has done by nobody. */
const NOBODY = 'imported';
const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled']);
const HELD: ReadonlySet<string> = new Set(['claimed', 'in_progress', 'blocked']);

export function planImport(
  wanted: Wanted,
  tasks: readonly TaskView[],
  sessions: readonly SessionView[],
): ImportPlan {
  const known = new Map(tasks.map((task) => [task.id, task]));
  const facts = new Map(wanted.tasks.map((fact) => [fact.id, fact]));
  const add = wanted.tasks.filter(({ id }) => !known.has(id)).map(specOf);
  const plan = new Planner(known, facts);
  for (const fact of wanted.sessions)
    plan.session(
      sessions.find(({ id }) => id === fact.id),
      fact,
    );
  for (const fact of wanted.tasks) plan.task(fact);
  for (const state of inOrder(wanted.states, (id) => facts.get(id)?.deps ?? known.get(id)?.deps ?? []))
    plan.state(state);
  const said = new Set(plan.changes.map(({ on }) => on));
  const all = new Set([
    ...wanted.tasks.map(({ id }) => `task/${id}`),
    ...wanted.sessions.map(({ id }) => `session/${id}`),
    ...wanted.states.map(({ task }) => `task/${task}`),
  ]);
  return {
    add,
    steps: plan.steps,
    changes: plan.changes,
    same: [...all].filter((on) => !said.has(on)).length,
  };
}

/** How a task stands while the plan is made. */
interface Standing {
  readonly status: string;
  readonly worker: string | null;
  readonly milestone: number;
}

class Planner {
  readonly steps: Step[] = [];
  readonly changes: Change[] = [];
  readonly #known: ReadonlyMap<string, TaskView>;
  readonly #facts: ReadonlyMap<string, TaskFact>;
  /** Tasks completed by then. */
  readonly #completed: Set<string>;

  constructor(known: ReadonlyMap<string, TaskView>, facts: ReadonlyMap<string, TaskFact>) {
    this.#known = known;
    this.#facts = facts;
    this.#completed = new Set(
      [...known.values()].filter(({ status }) => status === 'completed').map(({ id }) => id),
    );
  }

  session(
    view: SessionView | undefined,
    { id, capabilities, profile, place }: Wanted['sessions'][number],
  ): void {
    const on = `session/${id}`;
    const has = new Set(view?.capabilities ?? []);
    const isNew = view === undefined;
    const differs =
      capabilities !== undefined &&
      (capabilities.length !== has.size || capabilities.some((one) => !has.has(one)));
    // What is not there must be told once.
    if (!isNew && !differs) return;
    const parsed =
      profile === undefined ? {} : { profile: sessionInputSchema.parse({ id, profile }).profile };
    this.steps.push({
      as: on,
      address: on,
      // A file says what it can do; whether it is there, it says itself.
      event: {
        type: 'session.register',
        keep: true,
        ...(capabilities !== undefined && { capabilities }),
        ...parsed,
      },
    });
    const can =
      capabilities === undefined || capabilities.length === 0 ? '' : ` can ${capabilities.join(', ')}`;
    this.changes.push({ sign: isNew ? '+' : '~', on, what: can.trim(), place });
  }

  task(fact: TaskFact): void {
    const on = `task/${fact.id}`;
    const view = this.#known.get(fact.id);
    if (view === undefined) {
      this.changes.push({ sign: '+', on, what: described(fact), place: fact.place });
      return;
    }
    const amended = {
      ...(fact.title !== undefined && fact.title !== titleOf(view) && { title: fact.title }),
      ...(fact.priority !== undefined && fact.priority !== view.priority && { priority: fact.priority }),
    };
    for (const [field, value] of Object.entries(amended)) {
      const before = JSON.stringify(view[field as 'title' | 'priority']);
      this.#change('~', fact, `${field} ${before} → ${JSON.stringify(value)}`);
    }
    if (Object.keys(amended).length > 0)
      this.steps.push({ as: undefined, address: on, event: { type: 'task.amend', ...amended } });
    // P3: the graph of a board is not changed behind the backs of those who work by it.
    if (fact.deps !== undefined && !isSameSet(fact.deps, view.deps))
      this.#change(
        '!',
        fact,
        `waits for ${listed(view.deps)} on the board, for ${listed(fact.deps)} here: left as it is`,
      );
    if (fact.owner !== undefined && view.owner !== null && fact.owner !== view.owner)
      this.#change(
        '!',
        fact,
        `is meant for ${view.owner} on the board, for ${fact.owner} here: left as it is`,
      );
  }

  state(state: StateFact): void {
    const view = this.#known.get(state.task);
    const now: Standing = view ?? { status: 'available', worker: null, milestone: 0 };
    const refusal = this.#refusal(state, now, view);
    if (refusal !== undefined) {
      if (refusal !== '') this.#changeOf('!', state, refusal);
      return;
    }
    if (state.status === 'cancelled')
      this.#step(undefined, state.task, { type: 'task.cancel', ...because(state) });
    else this.#work(state, now, view);
    if (state.status === 'completed') this.#completed.add(state.task);
  }

  /** Why a state cannot be taken over; empty where there is nothing to take over; undefined where it can. */
  #refusal(state: StateFact, now: Standing, view: TaskView | undefined): string | undefined {
    if (now.status === state.status && ENDED.has(now.status)) return '';
    if (ENDED.has(now.status)) return `is ${now.status} on the board, ${state.status} here: left as it is`;
    if (state.status === 'cancelled') return undefined;
    const worker = workerOf(state);
    if (HELD.has(now.status) && now.worker !== worker)
      return `${now.worker} has it on the board, ${worker} here: left as it is`;
    const { deps, owner } = view ?? this.#facts.get(state.task) ?? {};
    const waits = (deps ?? []).filter((id) => !this.#completed.has(id));
    if (!HELD.has(now.status) && waits.length > 0)
      return `${state.status} here, but it waits for ${waits.join(', ')}: import again once that is done`;
    if (!HELD.has(now.status) && owner !== undefined && owner !== null && worker !== `session/${owner}`)
      return `${worker} has it here, but it is meant for ${owner}: left as it is`;
    return undefined;
  }

  #work(state: StateFact, now: Standing, view: TaskView | undefined): void {
    const as = workerOf(state);
    const said: string[] = [];
    const step = (event: Step['event'], what: string): void => {
      this.#step(as, state.task, event);
      said.push(what);
    };
    if (!HELD.has(now.status)) step({ type: 'task.claim' }, `claimed by ${as}`);
    const { milestone = 0, note, blockedOn, status } = state;
    const isAhead = milestone > now.milestone;
    let isBlocked = now.status === 'blocked';
    const unblock = (): void => {
      if (isBlocked) step({ type: 'task.unblock' }, 'unblocked');
      isBlocked = false;
    };
    if (isAhead || (status === 'in_progress' && now.status !== 'in_progress' && !isBlocked)) {
      const at = Math.max(milestone, now.milestone);
      // A blocked task takes no progress; where the file has it blocked too, it is so again behind it.
      unblock();
      step(
        { type: 'task.progress', milestone: at, ...(note !== undefined && { note }) },
        `${at} %${note === undefined ? '' : `, ${note}`}`,
      );
    }
    if (blockedOn !== undefined && !isBlocked && !this.#completed.has(blockedOn)) {
      const kind = this.#kindOf(blockedOn, view);
      step({ type: 'task.block', on: blockedOn, kind, ...because(state) }, `blocked on ${blockedOn}`);
    }
    if (state.helpWanted === true && view?.helpWanted == null)
      step({ type: 'task.help', ...because(state) }, 'help wanted');
    if (status === 'failed') step({ type: 'task.fail', ...because(state) }, 'failed');
    if (status === 'completed') {
      unblock();
      step({ type: 'task.complete', ...handedIn(state) }, 'completed');
    }
    if (said.length > 0) this.#changeOf('~', state, said.join('; '));
  }

  /** What a task is blocked on: files tell names alone, and the board may know more (P2). */
  #kindOf(name: string, view: TaskView | undefined): 'task' | 'person' | 'resource' {
    if (view?.blockedOn?.on === name) return view.blockedOn.kind;
    return this.#known.has(name) || this.#facts.has(name) ? 'task' : 'resource';
  }

  #step(as: string | undefined, task: string, event: Step['event']): void {
    this.steps.push({ as, address: `task/${task}`, event });
  }

  #change(sign: Change['sign'], { id, place }: TaskFact, what: string): void {
    this.changes.push({ sign, on: `task/${id}`, what, place });
  }

  #changeOf(sign: Change['sign'], { task, place }: StateFact, what: string): void {
    this.changes.push({ sign, on: `task/${task}`, what, place });
  }
}

/** Each behind what it waits for, so that what is completed has made its dependents available by then. */
function inOrder(states: readonly StateFact[], depsOf: (id: string) => readonly string[]): StateFact[] {
  const left = new Map(states.map((state) => [state.task, state]));
  const order: StateFact[] = [];
  while (left.size > 0) {
    const ready = [...left.values()].filter(({ task }) => !depsOf(task).some((dep) => left.has(dep)));
    // A circle was refused when the files were read.
    for (const state of ready.length > 0 ? ready : left.values()) {
      order.push(state);
      left.delete(state.task);
    }
  }
  return order;
}

function described({ title = '', owner, deps = [], filler }: TaskFact): string {
  return [
    title,
    ...(filler === true ? ['filler'] : []),
    ...(owner === undefined ? [] : [`for ${owner}`]),
    ...(deps.length === 0 ? [] : [`after ${deps.join(', ')}`]),
  ]
    .filter((text) => text !== '')
    .join(' · ');
}

function handedIn({ deliverable, testsPass, cost }: StateFact): Record<string, unknown> {
  return {
    ...(deliverable !== undefined && { deliverable }),
    ...(testsPass !== undefined && { testsPass }),
    ...(cost !== undefined && { costMicros: Math.round(cost * 1e6) }),
  };
}

function because({ reason }: StateFact): { readonly reason?: string } {
  return reason === undefined ? {} : { reason };
}

function workerOf({ session = NOBODY }: StateFact): string {
  return `session/${session}`;
}

/** What files call a task that has no title. */
function titleOf({ id, title }: TaskView): string {
  return title === '' ? id : title;
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item));
}

function listed(ids: readonly string[]): string {
  return ids.length === 0 ? 'nothing' : ids.join(', ');
}
