/**
 * How far a component is trusted, by how it keeps its promises. Pure.
 *
 * P1  clamp01((1 − min(2·shortfall, .3) − min(.2·(p99/target − 1), .2) − availability penalty) × success rate), where the
 *     shortfall is what the success rate lacks, and the availability penalty is min(2·what the availability lacks, .3).
 * P2  It begins at .70. The first {@link WARM_RUNS} runs move it from there to what they say: one lucky run proves nothing.
 * P3  While nothing runs it decays to .70 as any worker's does.
 */
import { REPUTATION_START } from '#machines/registry/reputation';
import type { Slo, SloReport } from '#schemas/service-contract';

export const WARM_RUNS = 20;
const SUCCESS_PENALTY_MAX = 0.3;
const LATENCY_PENALTY_MAX = 0.2;
const AVAILABILITY_PENALTY_MAX = 0.3;

export function reputationOf({ runs, p99Ms, successRate, availability }: SloReport, slo: Slo): number {
  const success = successRate ?? 0;
  const shortfall = Math.max(0, slo.successRate - success);
  const late = Math.max(0, (p99Ms ?? 0) / slo.p99Ms - 1);
  const absent = Math.max(0, slo.availability - (availability ?? 1));
  const kept =
    1 -
    Math.min(2 * shortfall, SUCCESS_PENALTY_MAX) -
    Math.min(LATENCY_PENALTY_MAX * late, LATENCY_PENALTY_MAX) -
    Math.min(2 * absent, AVAILABILITY_PENALTY_MAX);
  const score = Math.min(1, Math.max(0, kept * success)); // P1.
  const weight = Math.min(1, runs / WARM_RUNS); // P2.
  return Math.round((REPUTATION_START + (score - REPUTATION_START) * weight) * 1e6) / 1e6;
}
