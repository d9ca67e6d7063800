/**
 * One worker for one task: every factor, and every filter that refuses it. Pure.
 *
 * E1  Never only "no": all filters are asked, and each that refuses says what it found and what it wanted.
 * E2  The bounds are inclusive: a match of exactly .70 and a reputation of exactly .60 are candidates.
 * E3  A half-open breaker lets one task through: whoever has none.
 */
import type {
  AssignmentRules,
  BreakerState,
  Factors,
  Filter,
  Need,
  Refusal,
  Verdict,
} from '#schemas/assignment';
import type { Bloom } from '#schemas/worker';
import { matchOf } from './match.ts';

/** A worker, in the figures that count. */
export interface Figures {
  readonly id: string;
  readonly capabilities: readonly string[] | ReadonlySet<string>;
  /** Of the moment. */
  readonly reputation: number;
  readonly pricePerHourMicros: number;
  readonly bloom: Bloom | null;
  readonly load: number;
  readonly maxConcurrent: number;
  readonly breaker: BreakerState;
  readonly budgetLeftMicros: number | null;
}

/** Each doubling of the distance to the range costs so much of the fit. */
const FIT_STEP = 0.2;
const FIT_MIN = 0.4;
const MICROS = 1e6;

export function evaluate(need: Need, worker: Figures, rules: AssignmentRules): Verdict {
  const match = matchOf(need.requires, worker.capabilities);
  const factors = factorsOf(need, worker, match, rules);
  return { worker: worker.id, factors, refusals: refusalsOf(factors, rules) };
}

export function factorsOf(need: Need, worker: Figures, match: number, rules: AssignmentRules): Factors {
  const { reputation, pricePerHourMicros, load, maxConcurrent, breaker, budgetLeftMicros } = worker;
  const fit = bloomFit(worker.bloom, need.contextTokens);
  return {
    match,
    reputation,
    bloomFit: fit,
    pricePerHourMicros,
    estimateMicros: estimateMicros(need, pricePerHourMicros),
    score: scoreOf(match, reputation, fit, pricePerHourMicros, rules),
    load,
    maxConcurrent,
    budgetLeftMicros,
    breaker,
  };
}

/** match × reputation × bloom fit ÷ price. */
export function scoreOf(
  match: number,
  reputation: number,
  fit: number,
  pricePerHourMicros: number,
  { factors, priceFloorMicros }: AssignmentRules,
): number {
  const worth =
    (factors.match ? match : 1) * (factors.reputation ? reputation : 1) * (factors.bloom ? fit : 1);
  return factors.cost ? (worth * MICROS) / Math.max(pricePerHourMicros, priceFloorMicros) : worth;
}

/** What filters look at. */
export type Measured = Omit<Factors, 'bloomFit' | 'score' | 'pricePerHourMicros'>;

type Asks = (factors: Measured, rules: AssignmentRules) => boolean;

/** E2, E3: whether a filter refuses. */
const lacksMatch: Asks = ({ match }, { factors, matchMin }) => factors.match && match < matchMin;
const lacksReputation: Asks = ({ reputation }, { factors, reputationMin }) =>
  factors.reputation && reputation < reputationMin;
const isBroken: Asks = ({ breaker, load }) => breaker === 'open' || (breaker === 'half-open' && load > 0);
const lacksBudget: Asks = ({ budgetLeftMicros, estimateMicros: estimate }) =>
  budgetLeftMicros !== null && (budgetLeftMicros <= 0 || budgetLeftMicros < estimate);
const lacksRoom: Asks = ({ load, maxConcurrent }, { factors }) => factors.load && load >= maxConcurrent;

/** Undefined for a candidate. Asked of ten thousand workers at a time. */
export function firstRefusal(factors: Measured, rules: AssignmentRules): Filter | undefined {
  if (lacksMatch(factors, rules)) return 'match';
  if (lacksReputation(factors, rules)) return 'reputation';
  if (isBroken(factors, rules)) return 'breaker';
  if (lacksBudget(factors, rules)) return 'budget';
  return lacksRoom(factors, rules) ? 'load' : undefined;
}

const REFUSES: readonly (readonly [Filter, Asks])[] = [
  ['match', lacksMatch],
  ['reputation', lacksReputation],
  ['breaker', isBroken],
  ['budget', lacksBudget],
  ['load', lacksRoom],
];

/** E1. */
function refusalsOf(factors: Factors, rules: AssignmentRules): Refusal[] {
  return REFUSES.filter(([, refuses]) => refuses(factors, rules)).map(([filter]) => ({
    filter,
    ...figuresFor(filter, factors, rules),
  }));
}

function figuresFor(filter: Filter, factors: Factors, rules: AssignmentRules): Pick<Refusal, 'is' | 'wants'> {
  switch (filter) {
    case 'match':
      return { is: factors.match, wants: rules.matchMin };
    case 'reputation':
      return { is: factors.reputation, wants: rules.reputationMin };
    case 'breaker':
      return { is: factors.breaker, wants: 'closed' };
    case 'budget':
      return { is: factors.budgetLeftMicros, wants: factors.estimateMicros };
    case 'load':
      return { is: factors.load, wants: `below ${factors.maxConcurrent}` };
    case 'registered':
      return { is: null, wants: 'a registered worker' };
  }
}

/** Whole millionths, rounded up: an estimate must not come out too small. */
export function estimateMicros({ hours }: Pick<Need, 'hours'>, pricePerHourMicros: number): number {
  return Math.ceil(hours * pricePerHourMicros);
}

/** 1 within the range where it is at its best, .2 less for each doubling away from it, never below .4. */
export function bloomFit(bloom: Bloom | null, contextTokens: number | null): number {
  if (bloom === null || contextTokens === null) return 1;
  const { fromTokens, toTokens } = bloom;
  if (contextTokens >= fromTokens && contextTokens <= toTokens) return 1;
  const ratio =
    contextTokens < fromTokens
      ? fromTokens / Math.max(contextTokens, 1)
      : contextTokens / Math.max(toTokens, 1);
  return Math.max(FIT_MIN, Math.round((1 - FIT_STEP * Math.log2(ratio)) * 1e6) / 1e6);
}

/** The better of two candidates first: by score, then by name, so that every node says the same. */
export function byScore(a: Verdict, b: Verdict): number {
  const [one, other] = [a.factors?.score ?? 0, b.factors?.score ?? 0];
  return other - one || (a.worker < b.worker ? -1 : a.worker > b.worker ? 1 : 0);
}

/** Nobody registered it. */
export function unregistered(worker: string): Verdict {
  return {
    worker,
    factors: null,
    refusals: [{ filter: 'registered', is: null, wants: 'a registered worker' }],
  };
}
