/**
 * Which stretch pays for what.
 *
 * P1  What runs is paid for before it does, by itself or by what runs before it. A stretch may pay for a small one that
 *     may follow, and does not get it back: less than a comparison's worth of fuel, for fewer comparisons.
 * P2  The entry of a function, where it is small, is paid by whoever calls it; one that cannot know whom it calls pays
 *     the most that it can be. Entries from outside are free.
 * P3  On every way that leads back to itself the fuel is compared with zero: at every turn of a loop, at every entry
 *     that pays for itself, and in the other functions wherever they call one that could call them.
 * P4  A function is silent when it does not look at the fuel at all.
 */
import { CALLEE_UNITS_MAX } from './opcodes.ts';
import type { BodyShape, FunctionBody, Stretch } from './stretches.ts';

/** Units that a stretch may pay for what need not follow. */
const AHEAD_MAX = 16;

export interface Payment {
  /** The byte before which it is made. */
  readonly at: number;
  readonly units: number;
  /** Whether the fuel is compared with zero. */
  readonly isChecked: boolean;
}

export interface FunctionPlan {
  readonly shape: BodyShape;
  /** What its callers pay (P2). */
  readonly entryUnits: number;
  readonly paysEntry: boolean;
  /** P4. */
  readonly isSilent: boolean;
  /** Where something may be left to pay, in order. All functions of a module have theirs at the same time: it is kept small. */
  readonly dues: readonly Due[];
}

type Due = Pick<Stretch, 'at' | 'kind' | 'units' | 'callees' | 'callsOthers'>;

/** Decides what each stretch pays, but for the entries of its callees. */
export function planFunction({ shape, stretches }: FunctionBody): FunctionPlan {
  payAhead(stretches);
  const [entry] = stretches;
  const units = entry?.units ?? 0;
  const paysEntry = units > CALLEE_UNITS_MAX; // P2
  if (entry !== undefined && !paysEntry) entry.units = 0;
  const dues = stretches
    .filter((each) => each.units > 0 || each.kind === 'turn' || calls(each))
    .map(({ at, kind, units, callees, callsOthers }) => ({ at, kind, units, callees, callsOthers }));
  const isSilent = dues.length === 0 && !shape.paysByCount;
  return { shape, entryUnits: paysEntry ? 0 : units, paysEntry, isSilent, dues };
}

/** What is left to be paid in the function, in order. `planOf` knows the functions of the module. */
export function paymentsOf(
  { dues, paysEntry }: FunctionPlan,
  planOf: (callee: number) => FunctionPlan | undefined,
): Payment[] {
  const payments: Payment[] = [];
  for (const { at, kind, units, callees, callsOthers } of dues) {
    let sum = units;
    let isChecked = kind === 'turn' || (paysEntry ? kind === 'entry' : callsOthers); // P3
    for (const callee of callees) {
      const plan = planOf(callee);
      sum += plan?.entryUnits ?? 0;
      if (!paysEntry && plan?.isSilent !== true) isChecked = true; // P3
    }
    if (sum > 0 || isChecked) payments.push({ at, units: sum, isChecked });
  }
  return payments;
}

/** P1: the later ones first, so that what moved ahead may move further. */
function payAhead(stretches: readonly Stretch[]): void {
  /** What each pays already for what need not follow. */
  const spent = new Map<Stretch, number>();
  for (let index = stretches.length - 1; index > 0; index -= 1) {
    const later = stretches[index];
    if (later?.after === undefined || later.isInstead) continue;
    if (later.instead === undefined) payMaybe(later, later.after);
    else payEither(later, later.instead, later.after);
  }

  function payMaybe(later: Stretch, before: Stretch): void {
    if (calls(later) || later.units > roomOf(before)) return;
    spend(before, later.units);
    before.units += later.units;
    later.units = 0;
  }

  /** One of the two runs: the lesser is paid in any case, the rest of the greater where it is small. */
  function payEither(one: Stretch, other: Stretch, before: Stretch): void {
    const [lesser, greater] = one.units <= other.units ? [one, other] : [other, one];
    const room = roomOf(before);
    const unitsMax = isSmallEntry(before) ? room : Number.POSITIVE_INFINITY;
    if (calls(lesser) || lesser.units > unitsMax) return;
    const rest = greater.units - lesser.units;
    const isPaid = !calls(greater) && rest <= room && greater.units <= unitsMax;
    if (isPaid) spend(before, rest);
    const paid = isPaid ? greater.units : lesser.units;
    before.units += paid;
    greater.units -= paid;
    lesser.units = 0;
  }

  /** An entry that others pay stays one. */
  function roomOf(before: Stretch): number {
    const left = AHEAD_MAX - (spent.get(before) ?? 0);
    return isSmallEntry(before) ? Math.min(left, CALLEE_UNITS_MAX - before.units) : left;
  }

  function spend(before: Stretch, units: number): void {
    spent.set(before, (spent.get(before) ?? 0) + units);
  }
}

const isSmallEntry = ({ kind, units }: Stretch): boolean => kind === 'entry' && units <= CALLEE_UNITS_MAX;

const calls = ({ callees, callsOthers }: Stretch): boolean => callsOthers || callees.length > 0;
