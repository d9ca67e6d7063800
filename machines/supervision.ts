/**
 * The rules of a supervisor as a pure function, those of OTP's `supervisor`:
 *
 * S1 Children start one at a time in order, each after the one before has started, and stop in reverse order.
 * S2 permanent: always restarted; transient: after an error only; temporary: never, not even with its siblings.
 * S3 one_for_one restarts the ended child; one_for_all stops all others in reverse and starts all; rest_for_one does
 *    that with the ended child and those after it.
 * S4 More than `intensity` restarts within `periodMs`, or a child that fails during the first start: all children are
 *    stopped in reverse and the supervisor fails, which its own supervisor hears. A failed restart is a restart more.
 * S5 What arrives while a procedure runs waits until it is over; an end of a child that the procedure stopped or
 *    restarted is over with it.
 * S6 A supervisor may name a budget. While that is exhausted all children are stopped, in reverse, and none is started; a
 *    new spec waits in place. When the budget goes on, they start in order, anew; temporary ones and those that had ended for
 *    good stay off.
 *
 * A start or a stop costs one search for its child; only an end, a strategy or a new spec looks at all of them.
 */

import { diffChildren } from '#schemas/spec-diff';
import type { ChildSpec, SupervisorSpec } from '#schemas/supervisor';

export type Mode =
  | 'starting'
  | 'running'
  | 'restarting'
  | 'applying'
  | 'escalating'
  | 'stopping'
  | 'halting'
  | 'halted'
  | 'failed'
  | 'stopped';

/** Part of a procedure: the children of `ids` one after another; `next` is the one that is waited for. */
export interface Phase {
  readonly op: 'start' | 'stop';
  readonly ids: readonly string[];
  readonly next: number;
}

export interface Ended {
  readonly id: string;
  readonly normal: boolean;
  readonly error?: unknown;
}

export interface Supervision {
  readonly spec: SupervisorSpec;
  readonly mode: Mode;
  /** The procedure under way; empty when there is none. */
  readonly phases: readonly Phase[];
  /** Children that ended for good, and how, by id. Everyone else runs when no procedure is under way. */
  readonly off: Readonly<Record<string, 'done' | 'failed' | 'stopped'>>;
  /** Times of the restarts that still count. */
  readonly restarts: readonly number[];
  readonly restartCount: number;
  /** Ends that wait for the procedure to be over (S5). */
  readonly ended: readonly Ended[];
  /** Children of the spec before, until they have stopped. */
  readonly leaving: readonly ChildSpec[];
  /** The newest spec that waits for it. */
  readonly pendingSpec: SupervisorSpec | null;
  /** A stop that waits for it. */
  readonly stopAsked: boolean;
  /** Nested supervisors that have come to their end and are now removed. */
  readonly removing: string | null;
  /** Why it fails; null while it does not. */
  readonly error: unknown;
  /** How far a halt has come (S6); undefined without one. */
  readonly halt?: 'asked' | 'on' | 'ending' | undefined;
}

export type Happening =
  | { readonly kind: 'started'; readonly id: string }
  | { readonly kind: 'stopped'; readonly id: string }
  | ({ readonly kind: 'ended' } & Ended)
  | { readonly kind: 'apply'; readonly spec: SupervisorSpec }
  | { readonly kind: 'stop' }
  | { readonly kind: 'halt' }
  | { readonly kind: 'resume' };

export type Order =
  | { readonly kind: 'start'; readonly child: ChildSpec }
  | { readonly kind: 'stop'; readonly child: ChildSpec }
  /** Asks a nested supervisor to stop its own children in order; it answers by ending. */
  | { readonly kind: 'wind-down'; readonly child: ChildSpec }
  | { readonly kind: 'migrate'; readonly child: ChildSpec }
  | { readonly kind: 'apply'; readonly child: ChildSpec }
  | { readonly kind: 'restarted'; readonly child: ChildSpec; readonly error?: unknown }
  /** Hears from then on how a budget stands; or no longer. */
  | { readonly kind: 'follow'; readonly budget: string }
  | { readonly kind: 'unfollow'; readonly budget: string }
  | { readonly kind: 'fail'; readonly error: unknown };

export interface Outcome {
  readonly state: Supervision;
  readonly orders: readonly Order[];
}

/** The first state, and the order to start the first child. */
export function begin(spec: SupervisorSpec): Outcome {
  const state: Supervision = {
    spec,
    mode: 'starting',
    phases: [],
    off: {},
    restarts: [],
    restartCount: 0,
    ended: [],
    leaving: [],
    pendingSpec: null,
    stopAsked: false,
    removing: null,
    error: null,
  };
  const orders: Order[] = spec.budget === undefined ? [] : [{ kind: 'follow', budget: spec.budget }];
  return run(state, 'starting', [phase('start', spec.children)], 0, orders);
}

/** What a happening makes of a supervisor. `atMs` is the time of the commit. */
export function supervise(state: Supervision, happening: Happening, atMs: number): Outcome {
  if (state.mode === 'failed' || state.mode === 'stopped') return { state, orders: [] };
  switch (happening.kind) {
    case 'started':
      if (!isAwaited(state, 'start', happening.id)) return { state, orders: [] };
      // Ends that wait are of the one before: its shard told of them first.
      return advance({ ...state, ended: state.ended.filter(({ id }) => id !== happening.id) }, atMs, []);
    case 'stopped':
      if (isAwaited(state, 'stop', happening.id)) return advance(state, atMs, []);
      // The end of the one before, told while its successor is being started.
      if (isAwaited(state, 'start', happening.id)) return { state, orders: [] };
      return ended(state, { id: happening.id, normal: true }, atMs);
    case 'ended':
      return ended(state, happening, atMs);
    case 'apply':
      if (state.mode === 'escalating' || state.mode === 'stopping') return { state, orders: [] };
      return settle({ ...state, pendingSpec: happening.spec }, atMs, []);
    case 'stop':
      if (state.mode === 'escalating' || state.mode === 'stopping') return { state, orders: [] };
      return settle({ ...state, stopAsked: true }, atMs, []);
    case 'halt':
      if (state.halt === 'ending') return { state: { ...state, halt: 'on' }, orders: [] };
      return state.halt === undefined ? settle({ ...state, halt: 'asked' }, atMs, []) : { state, orders: [] };
    case 'resume':
      if (state.halt === 'asked') return { state: unhalted(state), orders: [] };
      return state.halt === 'on' ? settle({ ...state, halt: 'ending' }, atMs, []) : { state, orders: [] };
  }
}

/** Ids of the children that run, whatever is under way. */
export function running(state: Supervision): ReadonlySet<string> {
  const alive = new Set<string>();
  if (!isHalted(state))
    for (const { id } of state.spec.children) if (!Object.hasOwn(state.off, id)) alive.add(id);
  const toStop = new Set<string>();
  for (const { op, ids, next } of state.phases) {
    for (const [n, id] of ids.entries()) {
      if (op === 'stop') {
        if (n < next) alive.delete(id);
        else toStop.add(id);
      } else if (n < next) alive.add(id);
      else alive.delete(id);
    }
  }
  for (const id of toStop) alive.add(id);
  for (const { id } of state.ended) alive.delete(id);
  return alive;
}

function ended(state: Supervision, end: Ended, atMs: number): Outcome {
  const awaited = current(state);
  if (awaited?.id === end.id) {
    if (awaited.op === 'start') return endedAtStart(state, end, atMs);
    const child = childOf(state, end.id, 'stop');
    // A nested supervisor that wound down still has its address: it is removed before going on.
    if (child?.supervisor === undefined || state.removing === end.id) return { state, orders: [] };
    return { state: { ...state, removing: end.id }, orders: [{ kind: 'stop', child }] };
  }
  if (state.ended.some(({ id }) => id === end.id)) return { state, orders: [] };
  return settle({ ...state, ended: [...state.ended, end] }, atMs, []);
}

/** S4: the first start is all or nothing; a failed restart counts as one more. */
function endedAtStart(state: Supervision, end: Ended, atMs: number): Outcome {
  const waiting = { ...state, ended: [...state.ended.filter(({ id }) => id !== end.id), end] };
  if (end.normal || state.mode === 'applying') return advance(waiting, atMs, []);
  if (state.mode === 'starting') {
    return wind(
      { ...waiting, error: { message: `child ${end.id} failed to start`, cause: end.error ?? null } },
      'escalating',
      atMs,
      [],
    );
  }
  const child = childOf(state, end.id, 'start');
  if (child === undefined) return advance(state, atMs, []);
  const dropped = { ...state, off: offWithout(waiting), phases: [] };
  return restart(dropped, child, end, atMs, [], startingAfter(state, end.id));
}

/** Whose turn to start comes after that child's. */
function startingAfter({ phases, spec }: Supervision, id: string): readonly ChildSpec[] {
  const ids = phases.flatMap((one) => (one.op === 'start' ? one.ids.slice(one.next) : []));
  return spec.children.filter((child) => child.id !== id && ids.includes(child.id));
}

/** Takes up what waits, once no procedure is under way (S5). */
function settle(state: Supervision, atMs: number, orders: readonly Order[]): Outcome {
  if (state.phases.length > 0) return { state, orders };
  if (state.stopAsked) return wind(state, 'stopping', atMs, orders);
  if (state.halt !== undefined) return halted(state, atMs, orders);
  const [first, ...rest] = state.ended;
  if (first !== undefined) {
    const next = { ...state, ended: rest };
    const child = childOf(state, first.id, 'start');
    if (child === undefined || Object.hasOwn(state.off, first.id)) return settle(next, atMs, orders);
    if (isRestarted(child, first)) return restart(next, child, first, atMs, orders);
    return settle(
      { ...next, off: { ...state.off, [first.id]: first.normal ? 'done' : 'failed' } },
      atMs,
      orders,
    );
  }
  if (state.pendingSpec !== null) return apply(state, state.pendingSpec, atMs, orders);
  return { state: state.mode === 'running' ? state : { ...state, mode: 'running' }, orders };
}

/** S6, with no procedure under way. */
function halted(state: Supervision, atMs: number, orders: readonly Order[]): Outcome {
  if (state.halt === 'asked') {
    const alive = running(state);
    const everyone = state.spec.children.filter(({ id }) => alive.has(id)).toReversed();
    return run(
      { ...state, halt: 'on', off: offWithEnded(state), ended: [] },
      'halting',
      [phase('stop', everyone)],
      atMs,
      orders,
    );
  }
  if (state.pendingSpec !== null) {
    const { state: next, orders: more } = respecified(state, state.pendingSpec, orders);
    return halted(next, atMs, more);
  }
  if (state.halt === 'on') return { state: { ...state, mode: 'halted', ended: [] }, orders };
  const off = { ...state.off };
  for (const { id, restart: rule } of state.spec.children) if (rule === 'temporary') off[id] ??= 'stopped';
  const starting = state.spec.children.filter(({ id }) => !Object.hasOwn(off, id));
  return run({ ...unhalted(state), off, ended: [] }, 'restarting', [phase('start', starting)], atMs, orders);
}

/** Another spec while nobody runs: whoever is new or changed starts with the others. */
function respecified(state: Supervision, spec: SupervisorSpec, orders: readonly Order[]): Outcome {
  const off = { ...state.off };
  for (const { change, before } of diffChildren(state.spec, spec))
    if (before !== undefined && (change === 'stop' || change === 'restart')) delete off[before.id];
  const next: Supervision = { ...state, spec, off, pendingSpec: null };
  const changed = followOrders(state.spec, spec);
  // Another budget may have room: it says so itself, and only where it has none.
  const halt = changed.length > 0 && state.halt === 'on' ? ('ending' as const) : state.halt;
  return { state: { ...next, ...(halt !== undefined && { halt }) }, orders: [...orders, ...changed] };
}

function followOrders(before: SupervisorSpec, after: SupervisorSpec): readonly Order[] {
  if (before.budget === after.budget) return [];
  return [
    ...(before.budget === undefined ? [] : [{ kind: 'unfollow', budget: before.budget } as const]),
    ...(after.budget === undefined ? [] : [{ kind: 'follow', budget: after.budget } as const]),
  ];
}

function isHalted({ halt }: Supervision): boolean {
  return halt === 'on' || halt === 'ending';
}

/** Said, not left out: a machine's context keeps what a change does not name. */
function unhalted(state: Supervision): Supervision {
  return { ...state, halt: undefined };
}

/** S2. */
function isRestarted(child: ChildSpec, end: Ended): boolean {
  return child.restart === 'permanent' || (child.restart === 'transient' && !end.normal);
}

/** S3 and S4, with no procedure under way; `later` were to start behind the child. */
function restart(
  state: Supervision,
  child: ChildSpec,
  end: Ended,
  atMs: number,
  orders: readonly Order[],
  later: readonly ChildSpec[] = [],
): Outcome {
  const { spec } = state;
  const restarts = [...state.restarts.filter((time) => atMs - time <= spec.periodMs), atMs];
  const counted = { ...state, restarts, restartCount: state.restartCount + 1 };
  const alive = new Set(running(state));
  alive.delete(child.id);
  if (restarts.length > spec.intensity) {
    const message = `more than ${spec.intensity} restarts in ${spec.periodMs} ms`;
    const off: Supervision['off'] = { ...state.off, [child.id]: 'failed' };
    return wind(
      { ...counted, off, error: { message, child: child.id, cause: end.error ?? null } },
      'escalating',
      atMs,
      orders,
    );
  }
  const group = groupOf(spec, child);
  const ids = new Set(group.map(idOf));
  const off = { ...state.off };
  for (const { id } of later) delete off[id];
  for (const one of group) {
    if (one.restart !== 'temporary') delete off[one.id];
    else off[one.id] ??= 'stopped';
  }
  const phases = [
    phase('stop', group.filter(({ id }) => alive.has(id)).toReversed()),
    phase(
      'start',
      group.filter((one) => one.restart !== 'temporary'),
    ),
    phase(
      'start',
      later.filter(({ id }) => !ids.has(id)),
    ),
  ];
  // Ends of the group before now are over with this restart (S5).
  const waiting = counted.ended.filter(({ id }) => !ids.has(id));
  const order: Order = { kind: 'restarted', child, ...(end.error !== undefined && { error: end.error }) };
  return run({ ...counted, off, ended: waiting }, 'restarting', phases, atMs, [...orders, order]);
}

function groupOf(spec: SupervisorSpec, child: ChildSpec): readonly ChildSpec[] {
  if (spec.strategy === 'one_for_one') return [child];
  return spec.strategy === 'one_for_all' ? spec.children : spec.children.slice(spec.children.indexOf(child));
}

/** Stops every running child in reverse, then comes to its own end. */
function wind(
  state: Supervision,
  mode: 'escalating' | 'stopping',
  atMs: number,
  orders: readonly Order[],
): Outcome {
  const alive = running(state);
  const gone = state.leaving.filter(({ id }) => !state.spec.children.some((child) => child.id === id));
  const everyone = [...state.spec.children, ...gone].filter(({ id }) => alive.has(id));
  return run(
    { ...state, ended: [], removing: null },
    mode,
    [phase('stop', everyone.toReversed())],
    atMs,
    orders,
  );
}

function apply(state: Supervision, spec: SupervisorSpec, atMs: number, orders: readonly Order[]): Outcome {
  const off = { ...state.off };
  const leaving = new Set<ChildSpec>();
  const starting: ChildSpec[] = [];
  const made: Order[] = [];
  for (const { change, before, after } of diffChildren(state.spec, spec)) {
    const runs = before !== undefined && !Object.hasOwn(off, before.id);
    if (before !== undefined && (change === 'stop' || change === 'restart')) {
      if (runs) leaving.add(before);
      // One that ended still has its address; nobody waits for its removal.
      else made.push({ kind: 'stop', child: before });
      delete off[before.id];
    }
    if (after === undefined) continue;
    if (change === 'restart' || change === 'start') starting.push(after);
    if (change === 'migrate' && runs) made.push({ kind: 'migrate', child: after });
    if (change === 'nested' && runs) made.push({ kind: 'apply', child: after });
  }
  const stopping = state.spec.children.filter((child) => leaving.has(child)).toReversed();
  const next: Supervision = { ...state, spec, off, leaving: stopping, pendingSpec: null };
  return run(next, 'applying', [phase('stop', stopping), phase('start', starting)], atMs, [
    ...orders,
    ...followOrders(state.spec, spec),
    ...made,
  ]);
}

/** Begins a procedure. */
function run(
  state: Supervision,
  mode: Mode,
  phases: readonly Phase[],
  atMs: number,
  orders: readonly Order[],
): Outcome {
  return proceed({ ...state, mode, phases: phases.filter(({ ids }) => ids.length > 0) }, atMs, orders);
}

/** The awaited child has started or stopped. */
function advance(state: Supervision, atMs: number, orders: readonly Order[]): Outcome {
  const [first, ...rest] = state.phases;
  if (first === undefined) return settle(state, atMs, orders);
  const id = first.ids[first.next];
  const stepped = { ...first, next: first.next + 1 };
  const phases = stepped.next < stepped.ids.length ? [stepped, ...rest] : rest;
  if (first.op === 'start') return proceed({ ...state, phases }, atMs, orders);
  const leaving = state.leaving.filter((child) => child.id !== id);
  const waiting = state.ended.filter((end) => end.id !== id);
  const off = state.mode === 'halting' ? offWithEnded(state) : state.off;
  const stopped = { ...state, leaving, off, ended: waiting, removing: null };
  return proceed({ ...stopped, phases }, atMs, orders);
}

/** Gives the order for the child whose turn it is, or ends the procedure. */
function proceed(state: Supervision, atMs: number, orders: readonly Order[]): Outcome {
  const awaited = current(state);
  if (awaited === undefined) return finish({ ...state, phases: [] }, atMs, orders);
  const child = childOf(state, awaited.id, awaited.op);
  if (child === undefined) return advance(state, atMs, orders);
  if (awaited.op === 'start') return { state, orders: [...orders, { kind: 'start', child }] };
  if (state.ended.some(({ id }) => id === awaited.id)) return advance(state, atMs, orders);
  const kind = child.supervisor === undefined ? 'stop' : 'wind-down';
  return { state, orders: [...orders, { kind, child }] };
}

function finish(state: Supervision, atMs: number, orders: readonly Order[]): Outcome {
  if (state.mode === 'stopping') return { state: { ...state, mode: 'stopped' }, orders };
  if (state.mode !== 'escalating') return settle(state, atMs, orders);
  return { state: { ...state, mode: 'failed' }, orders: [...orders, { kind: 'fail', error: state.error }] };
}

/** `off` with those that ended for good and were not looked at yet: who waits for a budget does not begin them anew (S6). */
function offWithEnded(state: Supervision): Supervision['off'] {
  const off = { ...state.off };
  for (const end of state.ended) {
    const child = childOf(state, end.id, 'start');
    if (child !== undefined && !isRestarted(child, end)) off[end.id] ??= end.normal ? 'done' : 'failed';
  }
  return off;
}

/** `off` as it is when the procedure under way is dropped: whoever does not run by now is off. */
function offWithout(state: Supervision): Supervision['off'] {
  const alive = running(state);
  const waiting = new Set(state.ended.map(({ id }) => id));
  const off = { ...state.off };
  for (const { id } of state.spec.children) if (!alive.has(id) && !waiting.has(id)) off[id] ??= 'stopped';
  return off;
}

function current(state: Supervision): { readonly op: Phase['op']; readonly id: string } | undefined {
  const [first] = state.phases;
  const id = first?.ids[first.next];
  return first === undefined || id === undefined ? undefined : { op: first.op, id };
}

function isAwaited(state: Supervision, op: Phase['op'], id: string): boolean {
  const awaited = current(state);
  return awaited?.op === op && awaited.id === id;
}

function childOf(state: Supervision, id: string, op: Phase['op']): ChildSpec | undefined {
  const leaving = op === 'stop' ? state.leaving.find((child) => child.id === id) : undefined;
  return leaving ?? state.spec.children.find((child) => child.id === id);
}

function phase(op: Phase['op'], children: readonly ChildSpec[]): Phase {
  return { op, ids: children.map(idOf), next: 0 };
}

function idOf({ id }: ChildSpec): string {
  return id;
}
