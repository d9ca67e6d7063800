/**
 * Ten thousand workers by what they can do, kept current one change at a time. Pure but for its own state.
 *
 * X1  It says what asking every worker one by one would say: the same candidates in the same order, the same figures, the
 *     same counts of refusals.
 * X2  Of two views of one worker the later counts.
 */
import {
  bloomFit,
  byScore,
  estimateMicros,
  evaluate,
  type Figures,
  firstRefusal,
  type Measured,
  scoreOf,
} from '#machines/registry/evaluate';
import { reputationAt } from '#machines/registry/reputation';
import { figuresOf } from '#machines/worker/context';
import {
  type AssignmentRules,
  assignmentRulesSchema,
  type Filter,
  type Guards,
  type Need,
  type Ranking,
  type Verdict,
} from '#schemas/assignment';
import type { WorkerView } from '#schemas/worker';

export interface RankOptions {
  readonly rules?: AssignmentRules;
  /** Candidates wanted. */
  readonly limit?: number;
  /** Instead of what the workers' own entries say. */
  readonly guards?: Guards;
  readonly except?: ReadonlySet<string>;
}

export interface Ranked extends Ranking {
  /** The candidate that has been idle longest; null where none is idle. */
  readonly idlest: Verdict | null;
}

const DEFAULT_RULES = assignmentRulesSchema.parse({});
const LIMIT_DEFAULT = 10;

interface Slot {
  readonly view: WorkerView;
  /** Of the profile, made once. */
  readonly capabilities: ReadonlySet<string>;
  /** As of the view's time; undefined where it is not registered. */
  readonly figures: Figures | undefined;
}

export class WorkerIndex {
  readonly #slots: (Slot | undefined)[] = [];
  readonly #byId = new Map<string, number>();
  readonly #free: number[] = [];
  /** Capability → slots of who has it. */
  readonly #having = new Map<string, Set<number>>();
  /** How many required capabilities each slot meets; all zero between two questions. */
  #met = new Uint16Array(1_024);
  #registered = 0;

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): WorkerView | undefined {
    const slot = this.#byId.get(id);
    return slot === undefined ? undefined : this.#slots[slot]?.view;
  }

  *all(): Generator<WorkerView> {
    for (const slot of this.#slots) if (slot !== undefined) yield slot.view;
  }

  /** False where a later view is known (X2). */
  set(view: WorkerView): boolean {
    const known = this.#byId.get(view.id);
    const before = known === undefined ? undefined : this.#slots[known];
    if (before !== undefined && (before.view.changedAt ?? 0) > (view.changedAt ?? 0)) return false;
    const at = known ?? this.#free.pop() ?? this.#slots.length;
    const names = view.profile?.capabilities ?? [];
    const isSame = before !== undefined && isSameList(before.view.profile?.capabilities ?? [], names);
    if (!isSame) {
      if (before !== undefined) this.#unlist(at, before.capabilities);
      for (const name of new Set(names)) {
        const having = this.#having.get(name);
        if (having === undefined) this.#having.set(name, new Set([at]));
        else having.add(at);
      }
    }
    this.#registered += Number(isRegistered(view)) - Number(isRegistered(before?.view));
    const capabilities = isSame ? before.capabilities : new Set(names);
    const figures = figuresOf(view, view.reputation.at);
    this.#slots[at] = { view, capabilities, figures: figures && { ...figures, capabilities } };
    this.#byId.set(view.id, at);
    if (at >= this.#met.length) this.#met = new Uint16Array(this.#met.length * 2);
    return true;
  }

  delete(id: string): void {
    const at = this.#byId.get(id);
    if (at === undefined) return;
    const slot = this.#slots[at];
    this.#registered -= Number(isRegistered(slot?.view));
    this.#unlist(at, slot?.capabilities ?? NOBODY);
    this.#slots[at] = undefined;
    this.#byId.delete(id);
    this.#free.push(at);
  }

  /** One worker; undefined where it is not registered. */
  verdict(id: string, need: Need, now: number, { rules = DEFAULT_RULES, guards }: RankOptions = {}) {
    const at = this.#byId.get(id);
    const slot = at === undefined ? undefined : this.#slots[at];
    const figures = slot === undefined ? undefined : figuresIn(slot, need, now, guards);
    return figures === undefined ? undefined : evaluate(need, figures, rules);
  }

  /** Everyone, one by one: who is refused, by what, and with which figures. */
  explain(need: Need, now: number, options: RankOptions = {}): Verdict[] {
    const verdicts = [...this.#byId.keys()]
      .filter((id) => options.except?.has(id) !== true)
      .map((id) => this.verdict(id, need, now, options))
      .filter((verdict) => verdict !== undefined);
    return verdicts.sort((a, b) => a.refusals.length - b.refusals.length || byScore(a, b));
  }

  /** The best candidates, and how many were refused by what. */
  rank(need: Need, now: number, options: RankOptions = {}): Ranked {
    const { rules = DEFAULT_RULES, limit = LIMIT_DEFAULT, guards, except = NOBODY } = options;
    const best: Verdict[] = [];
    const refused: Partial<Record<Filter, number>> = {};
    const asked = this.#registered - [...except].filter((id) => isRegistered(this.get(id))).length;
    let [judged, candidateCount, longest] = [0, 0, Number.POSITIVE_INFINITY];
    let idlest: Verdict | null = null;
    const measured = unmeasured();
    const { slots, matches } = this.#matching(need, rules);
    for (const [n, slot] of slots.entries()) {
      const match = matches[n] ?? 0;
      const { view } = slot;
      if (except.size > 0 && except.has(view.id)) continue;
      const { figures } = slot;
      if (figures === undefined) continue;
      judged += 1;
      measure(measured, slot, match, need, now, guards);
      const first = firstRefusal(measured, rules);
      if (first !== undefined) {
        refused[first] = (refused[first] ?? 0) + 1;
        continue;
      }
      candidateCount += 1;
      const fit = bloomFit(figures.bloom, need.contextTokens);
      const score = scoreOf(match, measured.reputation, fit, figures.pricePerHourMicros, rules);
      const since = view.idleSince ?? Number.POSITIVE_INFINITY;
      const isIdlest = since < longest || (since === longest && view.id < (idlest?.worker ?? ''));
      const last = best.length < limit ? undefined : best.at(-1);
      if (!isIdlest && last !== undefined && score < (last.factors?.score ?? 0)) continue;
      const { pricePerHourMicros } = figures;
      const factors = { ...measured, pricePerHourMicros, bloomFit: fit, score };
      const verdict: Verdict = { worker: view.id, factors, refusals: [] };
      keepBest(best, verdict, limit);
      if (isIdlest) [idlest, longest] = [verdict, since];
    }
    // Who shares too few capabilities was not looked at: the match refuses them.
    if (asked > judged) refused.match = (refused.match ?? 0) + asked - judged;
    const counts = { candidateCount, refused, refusedCount: asked - candidateCount };
    return { need, at: now, candidates: best, ...counts, idlest };
  }

  /** The same of some only: those who wait for work. */
  among(ids: ReadonlySet<string>, need: Need, now: number, options: RankOptions = {}) {
    const candidates = [...ids]
      .map((id) => this.verdict(id, need, now, options))
      .filter((verdict): verdict is Verdict => verdict !== undefined && verdict.refusals.length === 0)
      .sort(byScore);
    let [idlest, longest]: [Verdict | null, number] = [null, Number.POSITIVE_INFINITY];
    for (const verdict of candidates) {
      const since = this.get(verdict.worker)?.idleSince ?? Number.POSITIVE_INFINITY;
      if (since < longest) [idlest, longest] = [verdict, since];
    }
    return { need, candidates, idlest };
  }

  /** Everyone whose match can reach the bound, with the match. */
  #matching({ requires }: Need, { factors, matchMin }: AssignmentRules): Matching {
    const wanted = new Set(requires);
    const met = this.#met;
    const touched: number[] = [];
    for (const name of wanted) {
      for (const at of this.#having.get(name) ?? []) {
        if (met[at] === 0) touched.push(at);
        met[at] = (met[at] ?? 0) + 1;
      }
    }
    const isAll = wanted.size === 0 || !factors.match || matchMin === 0;
    const found: Matching = { slots: [], matches: [] };
    const count = isAll ? this.#slots.length : touched.length;
    for (let n = 0; n < count; n += 1) {
      const at = isAll ? n : (touched[n] ?? 0);
      const slot = this.#slots[at];
      const match = wanted.size === 0 ? 1 : (met[at] ?? 0) / wanted.size;
      if (slot === undefined || !(isAll || match >= matchMin)) continue;
      found.slots.push(slot);
      found.matches.push(match);
    }
    for (const at of touched) met[at] = 0;
    return found;
  }

  #unlist(at: number, capabilities: ReadonlySet<string>): void {
    for (const name of capabilities) {
      const having = this.#having.get(name);
      having?.delete(at);
      if (having?.size === 0) this.#having.delete(name);
    }
  }
}

/** Two lists side by side: ten thousand pairs a question would cost more than the rest. */
interface Matching {
  readonly slots: Slot[];
  readonly matches: number[];
}

const NOBODY: ReadonlySet<string> = new Set();

/** A worker at a moment. */
function figuresIn(
  { view, figures }: Slot,
  need: Need,
  now: number,
  guards: Guards | undefined,
): Figures | undefined {
  if (figures === undefined) return undefined;
  const own = { ...figures, reputation: reputationAt(view.reputation, now) };
  if (guards === undefined) return own;
  const budgetLeftMicros = guards.budgetLeft(own.id, estimateMicros(need, own.pricePerHourMicros));
  return { ...own, budgetLeftMicros, breaker: guards.breaker(own.id) };
}

type Writable<T> = { -readonly [Field in keyof T]: T[Field] };

/** The same into an object that is there: ten thousand of them a question would be the most of its time. */
function measure(
  into: Writable<Measured>,
  { view, figures }: Slot,
  match: number,
  need: Need,
  now: number,
  guards: Guards | undefined,
): void {
  if (figures === undefined) return;
  into.match = match;
  into.reputation = reputationAt(view.reputation, now);
  into.estimateMicros = estimateMicros(need, figures.pricePerHourMicros);
  into.load = figures.load;
  into.maxConcurrent = figures.maxConcurrent;
  into.breaker = guards === undefined ? figures.breaker : guards.breaker(figures.id);
  into.budgetLeftMicros =
    guards === undefined ? figures.budgetLeftMicros : guards.budgetLeft(figures.id, into.estimateMicros);
}

function unmeasured(): Writable<Measured> {
  return {
    match: 0,
    reputation: 0,
    estimateMicros: 0,
    load: 0,
    maxConcurrent: 0,
    breaker: 'closed',
    budgetLeftMicros: null,
  };
}

/** Keeps the list sorted and within its bound. */
function keepBest(best: Verdict[], verdict: Verdict, limit: number): void {
  const last = best.at(-1);
  if (best.length >= limit && (last === undefined || byScore(last, verdict) <= 0)) return;
  const at = best.findIndex((other) => byScore(verdict, other) < 0);
  best.splice(at === -1 ? best.length : at, 0, verdict);
  if (best.length > limit) best.pop();
}

function isRegistered(view: WorkerView | undefined): boolean {
  return view?.status === 'registered' && view.profile !== null;
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, n) => name === b[n]);
}
