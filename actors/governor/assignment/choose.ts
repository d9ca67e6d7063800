/**
 * Who gets a task. Pure.
 *
 * F1  The best score gets it, but for every so-manieth task: that one goes to the candidate that has been idle longest. Which
 *     tasks these are follows from their names, so that every node says the same and nobody keeps count. Whoever is a
 *     candidate gets work, at the latest after as many such turns as there are candidates.
 * F2  A task that waits becomes more urgent: a level of priority for every {@link AGE_STEP_MS}, so that no stream of more
 *     important ones keeps it waiting for ever.
 */
import type { AssignmentRules, Verdict } from '#schemas/assignment';
import type { Ranked } from '../registry/worker-index.ts';

export interface Choice {
  readonly verdict: Verdict;
  /** Why this one: its score, or because it was idle longest and the turn was such a one. */
  readonly turn: 'score' | 'fair';
}

/** An hour of waiting counts like one level of priority. */
export const AGE_STEP_MS = 3_600_000;

/** F1. Undefined where there is no candidate. */
export function choose(
  { candidates: [best], idlest, need }: Pick<Ranked, 'candidates' | 'idlest' | 'need'>,
  { fairEvery }: AssignmentRules,
): Choice | undefined {
  if (best === undefined) return undefined;
  if (idlest !== null && isFairTurn(need.task, fairEvery)) return { verdict: idlest, turn: 'fair' };
  return { verdict: best, turn: 'score' };
}

export function isFairTurn(task: string, fairEvery: number): boolean {
  return fairEvery > 0 && fnv1a(task) % fairEvery === 0;
}

export interface Waiting {
  readonly id: string;
  readonly priority: number;
  /** Since when it could be done, ms since the epoch. */
  readonly since: number;
}

/** F2: the more urgent first; of equals the one that waits longer. */
export function byUrgency(now: number): (a: Waiting, b: Waiting) => number {
  return (a, b) =>
    urgency(b, now) - urgency(a, now) || a.since - b.since || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

export function urgency({ priority, since }: Waiting, now: number): number {
  return priority + Math.max(0, now - since) / AGE_STEP_MS;
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

function fnv1a(text: string): number {
  let hash = FNV_OFFSET;
  for (let n = 0; n < text.length; n += 1) hash = Math.imul(hash ^ text.charCodeAt(n), FNV_PRIME);
  // The low bits of short names differ little.
  return ((hash >>> 16) ^ hash) >>> 0;
}
