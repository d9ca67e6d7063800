/**
 * Ten thousand workers by what they can do, kept current one change at a time. Pure but for its own state.
 *
 * X1  It says what asking every worker one by one would say: the same candidates in the same order, the same figures, the
 *     same counts of refusals.
 * X2  Of two views of one worker the later counts.
 */
import { byScore, estimateMicros, evaluate, type Figures } from '#machines/registry/evaluate';
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
    this.#slots[at] = { view, capabilities: isSame ? before.capabilities : new Set(names) };
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
    let [judged, candidateCount] = [0, 0];
    let idlest: { readonly verdict: Verdict; readonly since: number } | null = null;
    for (const slot of this.#matching(need, rules)) {
      if (except.has(slot.view.id)) continue;
      const figures = figuresIn(slot, need, now, guards);
      if (figures === undefined) continue;
      const verdict = evaluate(need, figures, rules);
      judged += 1;
      const [first] = verdict.refusals;
      if (first !== undefined) {
        refused[first.filter] = (refused[first.filter] ?? 0) + 1;
        continue;
      }
      candidateCount += 1;
      keepBest(best, verdict, limit);
      idlest = longerIdle(idlest, verdict, slot.view.idleSince);
    }
    // Who shares too few capabilities was not looked at: the match refuses them.
    if (asked > judged) refused.match = (refused.match ?? 0) + asked - judged;
    const counts = { candidateCount, refused, refusedCount: asked - candidateCount };
    return { need, at: now, candidates: best, ...counts, idlest: idlest?.verdict ?? null };
  }

  /** Everyone whose match can reach the bound. */
  *#matching({ requires }: Need, { factors, matchMin }: AssignmentRules): Generator<Slot> {
    const wanted = new Set(requires);
    if (wanted.size === 0 || !factors.match || matchMin === 0) {
      for (const slot of this.#slots) if (slot !== undefined) yield slot;
      return;
    }
    const met = this.#met;
    const touched: number[] = [];
    for (const name of wanted) {
      for (const at of this.#having.get(name) ?? []) {
        if (met[at] === 0) touched.push(at);
        met[at] = (met[at] ?? 0) + 1;
      }
    }
    const found: Slot[] = [];
    for (const at of touched) {
      const slot = this.#slots[at];
      if ((met[at] ?? 0) / wanted.size >= matchMin && slot !== undefined) found.push(slot);
      met[at] = 0;
    }
    yield* found;
  }

  #unlist(at: number, capabilities: ReadonlySet<string>): void {
    for (const name of capabilities) {
      const having = this.#having.get(name);
      having?.delete(at);
      if (having?.size === 0) this.#having.delete(name);
    }
  }
}

const NOBODY: ReadonlySet<string> = new Set();

function figuresIn(
  { view, capabilities }: Slot,
  need: Need,
  now: number,
  guards: Guards | undefined,
): Figures | undefined {
  const own = figuresOf(view, now);
  if (own === undefined) return undefined;
  if (guards === undefined) return { ...own, capabilities };
  const budgetLeftMicros = guards.budgetLeft(own.id, estimateMicros(need, own.pricePerHourMicros));
  return { ...own, capabilities, budgetLeftMicros, breaker: guards.breaker(own.id) };
}

/** Keeps the list sorted and within its bound. */
function keepBest(best: Verdict[], verdict: Verdict, limit: number): void {
  const last = best.at(-1);
  if (best.length >= limit && (last === undefined || byScore(last, verdict) <= 0)) return;
  const at = best.findIndex((other) => byScore(verdict, other) < 0);
  best.splice(at === -1 ? best.length : at, 0, verdict);
  if (best.length > limit) best.pop();
}

type Idlest = { readonly verdict: Verdict; readonly since: number } | null;

function longerIdle(idlest: Idlest, verdict: Verdict, since: number | null): Idlest {
  if (since === null) return idlest;
  const isLonger =
    idlest === null ||
    since < idlest.since ||
    (since === idlest.since && verdict.worker < idlest.verdict.worker);
  return isLonger ? { verdict, since } : idlest;
}

function isRegistered(view: WorkerView | undefined): boolean {
  return view?.status === 'registered' && view.profile !== null;
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, n) => name === b[n]);
}
