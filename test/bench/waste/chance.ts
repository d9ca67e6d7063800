/** How likely an attempt is to succeed, by what is true of the worker. */
import { bloomFit } from '#machines/registry/evaluate';
import { matchOf } from '#machines/registry/match';
import type { SimTask, SimWorker } from './workload.ts';

/** Out of its best range, so much of what the fit lacks is lost. */
const BLOOM_WEIGHT = 0.3;
/** Each task above its bound costs a worker so much of its success. */
const OVERLOAD = 0.85;

/** `load`: tasks it has besides. */
export function chanceOf({ need }: SimTask, worker: SimWorker, load: number): number {
  const { profile, trueReliability, trueSkills } = worker;
  const fit = bloomFit(profile.bloom ?? null, need.contextTokens);
  const excess = Math.max(0, load + 1 - profile.maxConcurrent);
  return (
    trueReliability * matchOf(need.requires, trueSkills) * (1 - BLOOM_WEIGHT * (1 - fit)) * OVERLOAD ** excess
  );
}
