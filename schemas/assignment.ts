/** Who is given which work, and why: rules, factors and decisions. Every decision is kept with all of its figures. */
import { z } from 'zod';

/** Below it a worker is no candidate; reached, it is one. */
export const MATCH_MIN_DEFAULT = 0.7;
export const REPUTATION_MIN_DEFAULT = 0.6;
/** The score divides by the price: what costs nothing counts as this much an hour, or it would beat everything. */
export const PRICE_FLOOR_MICROS = 10_000;
/** The worker itself and three helpers. */
export const WORKERS_PER_TASK_DEFAULT = 4;
/** Every so many tasks one goes to the candidate that has been idle longest. */
export const FAIR_EVERY_DEFAULT = 20;

const factor = z.boolean().default(true);

/** What counts, and from where on. */
export const assignmentRulesSchema = z
  .strictObject({
    matchMin: z.number().min(0).max(1).default(MATCH_MIN_DEFAULT),
    reputationMin: z.number().min(0).max(1).default(REPUTATION_MIN_DEFAULT),
    priceFloorMicros: z.int().min(1).default(PRICE_FLOOR_MICROS),
    fairEvery: z
      .int()
      .min(0)
      .default(FAIR_EVERY_DEFAULT)
      .describe('Each so-manieth task goes to the candidate idle longest; 0: none does.'),
    maxWorkersPerTask: z.int().min(1).max(20).default(WORKERS_PER_TASK_DEFAULT),
    breakers: z
      .boolean()
      .default(false)
      .describe('Results are reported to `breaker/session:<worker>`, which opens and closes by them.'),
    budgets: z
      .boolean()
      .default(false)
      .describe('Nobody is given work whose account `session:<worker>` of the tree main is exhausted.'),
    factors: z
      .strictObject({ match: factor, reputation: factor, bloom: factor, cost: factor, load: factor })
      .prefault({})
      .describe('A factor that is off counts as 1, and its filter lets everyone through.'),
  })
  .describe('How work is given to workers.');
export type AssignmentRules = z.infer<typeof assignmentRulesSchema>;

/** In the order in which they are told. */
export const FILTERS = ['registered', 'match', 'reputation', 'breaker', 'budget', 'load'] as const;
export type Filter = (typeof FILTERS)[number];

export const breakerStateSchema = z.enum(['closed', 'half-open', 'open']);
export type BreakerState = z.infer<typeof breakerStateSchema>;

/** What the governor knows besides the registry; budgets and breakers answer it. */
export interface Guards {
  /** What this worker may still spend, millionths, where `estimateMicros` are wanted; null: no limit. */
  readonly budgetLeft: (worker: string, estimateMicros: number) => number | null;
  readonly breaker: (worker: string) => BreakerState;
}

/** What a task needs of who does it. */
export const needSchema = z.object({
  task: z.string().max(200),
  requires: z.array(z.string().max(200)).max(100),
  /** Estimate; unknown: an hour. */
  hours: z.number().min(0).default(1),
  /** Tokens of context it needs; null: not known, and the bloom fit is 1. */
  contextTokens: z.int().min(0).nullable().default(null),
});
export type Need = z.infer<typeof needSchema>;

/** All that a score is made of. */
export const factorsSchema = z.strictObject({
  match: z.number().describe('|required ∩ has| / |required|; 1 where nothing is required.'),
  reputation: z.number().describe('0–1, of the moment of the decision.'),
  bloomFit: z.number().describe('0–1: how near the task’s context is to where the worker is at its best.'),
  pricePerHourMicros: z.int(),
  estimateMicros: z.int().describe('Price × estimated hours.'),
  score: z
    .number()
    .describe('match × reputation × bloom fit ÷ price an hour, in whole units of the currency.'),
  load: z.int(),
  maxConcurrent: z.int(),
  budgetLeftMicros: z.int().nullable().describe('Null: no limit.'),
  breaker: breakerStateSchema,
});
export type Factors = z.infer<typeof factorsSchema>;

const refusalSchema = z.strictObject({
  filter: z.enum(FILTERS),
  /** The figure that was found, and the one that was needed. */
  is: z.union([z.number(), z.string(), z.null()]),
  wants: z.union([z.number(), z.string()]),
});
export type Refusal = z.infer<typeof refusalSchema>;

/** One worker for one task: a candidate where nothing refuses it. */
export const verdictSchema = z.strictObject({
  worker: z.string(),
  factors: factorsSchema.nullable().describe('Null where nobody registered it.'),
  refusals: z
    .array(refusalSchema)
    .describe('Every filter that refuses it, with the figures; empty: a candidate.'),
});
export type Verdict = z.infer<typeof verdictSchema>;

/** The answer to "who should do it". */
export interface Ranking {
  readonly need: Need;
  /** ms since the epoch. */
  readonly at: number;
  /** The best first, as many as were asked for. */
  readonly candidates: readonly Verdict[];
  readonly candidateCount: number;
  /** How many each filter refused; a worker counts with every filter that refuses it. */
  readonly refused: Readonly<Partial<Record<Filter, number>>>;
  readonly refusedCount: number;
}
