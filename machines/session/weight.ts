/**
 * Weighted coordination. Pure.
 *
 * W1  A weight never leaves [.1, 2]: at zero a worker could win nothing, and so never rise again.
 */
import { type Profile, WEIGHT_MAX, WEIGHT_MIN } from '#schemas/session';

/** What a result below the threshold, or a failure, costs. */
const PENALTY = 0.2;
/** A late bloomer rose from below `LOW` to above `HIGH` within so many results. */
const RESULTS = 10;
const LOW = 0.3;
const HIGH = 0.7;

export function firstWeight({ baseWeight }: Profile): number {
  return bounded(baseWeight);
}

/** Weight after a result; `confidence` 0–1, undefined for a failure. */
export function nextWeight(profile: Profile, weight: number, confidence: number | undefined): number {
  const isSuccess = confidence !== undefined && confidence * 100 >= profile.successThreshold;
  return bounded(isSuccess ? profile.baseWeight + profile.successBonus : weight - PENALTY);
}

/** Weights after the last results, the newest last. */
export function remembered(weights: readonly number[], before: number, after: number): readonly number[] {
  return [...(weights.length === 0 ? [before] : weights), after].slice(-(RESULTS + 1));
}

export function isLateBloomer(weights: readonly number[]): boolean {
  const now = weights.at(-1) ?? 0;
  return now > HIGH && weights.some((weight) => weight < LOW);
}

function bounded(weight: number): number {
  // Tenths of floats: .3 − .2 is not .1.
  return Math.round(Math.min(WEIGHT_MAX, Math.max(WEIGHT_MIN, weight)) * 1e6) / 1e6;
}
