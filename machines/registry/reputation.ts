/**
 * How much a worker's word of what it can do is worth, by what became of its work. Pure.
 *
 * A success moves it by {@link RISE} of what is missing to 1, a failure by {@link FALL} of what is there: who succeeds
 * in a share p of its tasks settles at p·RISE / (p·RISE + (1 − p)·FALL): who stands at the threshold of .60 succeeds in
 * eight of nine, and wastes no more than the tenth or so that a governor may waste in all.
 *
 * P1  It begins at .70: above the threshold, so that a new worker gets work. One failure alone does not bring it below
 *     .60, two do.
 * P2  What lies long ago counts less: the distance to .70 halves every {@link HALF_LIFE_MS}, so that nobody is shut out,
 *     or trusted, for ever.
 * P3  It never leaves [0, 1].
 */
import type { Reputation } from '#schemas/worker';

export const REPUTATION_START = 0.7;
const RISE = 0.015;
/** More than five times a success: what fails is paid for, and paid for again by who does it anew. */
const FALL = 0.08;
export const HALF_LIFE_MS = 14 * 86_400_000;
const DECAY_PER_MS = Math.LN2 / HALF_LIFE_MS;

export function firstReputation(at: number): Reputation {
  return { value: REPUTATION_START, at };
}

/** P2. */
export function reputationAt({ value, at }: Reputation, now: number): number {
  const aged =
    REPUTATION_START + (value - REPUTATION_START) * Math.exp(-Math.max(0, now - at) * DECAY_PER_MS);
  return rounded(aged);
}

export function afterResult(reputation: Reputation, isSuccess: boolean, now: number): Reputation {
  const value = reputationAt(reputation, now);
  const moved = isSuccess ? value + RISE * (1 - value) : value * (1 - FALL);
  return { value: rounded(Math.min(1, Math.max(0, moved))), at: now };
}

/** A power may differ in its last digit from one engine to the next: a log has to fold to the same everywhere. */
function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
