/**
 * Waste: what was spent on work that failed, was done again, or went to a worker that matches too little; beside what was spent
 * in all. Pure.
 *
 * W1  A record belongs to the attempt at its task that was under way when it was used; of a worker other than the record's, none.
 * W2  It is wasted for one reason, the first that holds: failed, cancelled, redone, mismatch. What is still under way is not
 *     judged, but for its match.
 */
import { MATCH_MIN_DEFAULT } from '#schemas/assignment';
import type { CostRecord } from '#schemas/cost';
import { SESSION_TYPE } from '#schemas/session';
import type { Attempt, Attempts } from './attempts.ts';
import { type Sum, type SumRow, sumsOf } from './sums.ts';

export const WASTE_REASONS = ['failed', 'cancelled', 'redone', 'mismatch'] as const;
export type WasteReason = (typeof WASTE_REASONS)[number];

export interface WasteReport {
  readonly total: Sum;
  readonly wasted: Sum;
  /** Of the total, for each currency; 0–1. */
  readonly share: Readonly<Record<string, number>>;
  readonly byReason: Readonly<Record<WasteReason, Sum>>;
  /** Tasks on which something was wasted, the dearest first. */
  readonly tasks: readonly (SumRow & { readonly reasons: readonly WasteReason[] })[];
  /** Names no task: nobody can tell. */
  readonly unattributed: Sum;
}

export function wasteOf(records: readonly CostRecord[], attempts: Attempts): WasteReport {
  const reasons = new Map(records.map((record) => [record, reasonOf(record, attempts)]));
  const wasted = records.filter((record) => reasons.get(record) !== undefined);
  const because = (reason: WasteReason): Sum =>
    sumsOf(
      wasted.filter((record) => reasons.get(record) === reason),
      [],
    ).total;
  const all = sumsOf(records, []).total;
  const { rows, total } = sumsOf(wasted, ['task']);
  return {
    total: all,
    wasted: total,
    share: Object.fromEntries(
      Object.entries(all.amounts).map(([currency, micros]) => [
        currency,
        micros === 0 ? 0 : (total.amounts[currency] ?? 0) / micros,
      ]),
    ),
    byReason: {
      failed: because('failed'),
      cancelled: because('cancelled'),
      redone: because('redone'),
      mismatch: because('mismatch'),
    },
    tasks: rows.map((row) => ({
      ...row,
      reasons: WASTE_REASONS.filter((reason) =>
        wasted.some((record) => record.task === row.key['task'] && reasons.get(record) === reason),
      ),
    })),
    unattributed: sumsOf(
      records.filter(({ task }) => task === null),
      [],
    ).total,
  };
}

/** W2. */
function reasonOf(record: CostRecord, attempts: Attempts): WasteReason | undefined {
  if (record.task === null) return undefined;
  const all = attempts.of(record.task);
  const attempt = all.findLast((one) => isOf(record, one));
  if (attempt === undefined) return undefined;
  const isLast = all.at(-1) === attempt;
  if (attempt.end === 'failed' || attempt.end === 'cancelled') return attempt.end;
  if (!isLast || attempt.end === 'given back') return 'redone';
  return attempt.match !== undefined && attempt.match < MATCH_MIN_DEFAULT ? 'mismatch' : undefined;
}

/** W1. What is used in the moment of the end is told a little later. */
function isOf({ at, session }: CostRecord, { from, worker }: Attempt): boolean {
  return at >= from && (session === null || worker === `${SESSION_TYPE}/${session}`);
}
