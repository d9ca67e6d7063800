/**
 * The last runs of a component, and how it keeps its promises over them. Pure.
 *
 * W1  All three promises are judged over the same runs: the last {@link WINDOW_RUNS}.
 * W2  Only what was answered has a latency and can succeed; only what was not answered lowers the availability.
 */
import type { RunOutcome } from '#schemas/sandbox';
import { type Slo, type SloReport, WINDOW_RUNS } from '#schemas/service-contract';

/** Runs from the oldest on. It is hashed with each entry of its actor, so a run takes a number and a letter. */
export interface RunWindow {
  readonly ms: readonly number[];
  /** A letter each: `g`ood, `b`ad, `n`one. */
  readonly outcomes: string;
}

export const EMPTY_WINDOW: RunWindow = { ms: [], outcomes: '' };

export function withRun({ ms, outcomes }: RunWindow, took: number, outcome: RunOutcome): RunWindow {
  return {
    ms: [...ms, Math.round(took * 100) / 100].slice(-WINDOW_RUNS),
    outcomes: `${outcomes}${outcome.charAt(0)}`.slice(-WINDOW_RUNS),
  };
}

export function reportOf({ ms, outcomes }: RunWindow, slo: Slo): SloReport {
  const runs = outcomes.length;
  // W2.
  const answered = ms.filter((_, at) => outcomes.charAt(at) !== 'n').sort((a, b) => a - b);
  const good = outcomes.split('g').length - 1;
  const p99Ms = answered[Math.ceil(answered.length * 0.99) - 1] ?? null;
  const successRate = answered.length === 0 ? null : good / answered.length;
  const availability = runs === 0 ? null : answered.length / runs;
  const broken: (keyof Slo)[] = [];
  if (p99Ms !== null && p99Ms > slo.p99Ms) broken.push('p99Ms');
  if (successRate !== null && successRate < slo.successRate) broken.push('successRate');
  if (availability !== null && availability < slo.availability) broken.push('availability');
  return { runs, p99Ms, successRate, availability, broken };
}
