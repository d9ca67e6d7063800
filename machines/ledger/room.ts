/** How much room an account has, and what a change of its books makes of it. Whole numbers only. */
import { ALERTS, type Alert, type Amounts, type Shortage } from '#schemas/budget';
import type { Account } from './context.ts';

export const MEASURES = ['micros', 'tokens'] as const;
export type Measure = (typeof MEASURES)[number];

/** Totals are kept at most this often, and for an hour: what a forecast looks back on. */
const MARK_EVERY_MS = 300_000;
const MARKS_MAX = 13;
/** From this percentage on a request that finds no room means that the budget is used up. */
const NEARLY = 95;

/** What the limit and its override allow; null: no bound. */
export function allowed({ limit, extra }: Account, measure: Measure): number | null {
  const bound = limit[measure];
  return bound === null ? null : bound + extra[measure];
}

/** What may still be reserved; infinite without a bound. */
export function roomOf(account: Account, measure: Measure): number {
  const bound = allowed(account, measure);
  if (bound === null) return Number.POSITIVE_INFINITY;
  return Math.max(0, bound - account.spent[measure] - account.over[measure] - account.reserved[measure]);
}

/** The first account from below that has no room; undefined where all have. */
export function shortageOf(
  path: readonly Account[],
  asked: Amounts,
  currency: string,
): (Shortage & { readonly isFinal: boolean; readonly isTooSmall: boolean }) | undefined {
  for (const account of path) {
    for (const measure of MEASURES) {
      const left = roomOf(account, measure);
      if (asked[measure] <= left) continue;
      const limit = allowed(account, measure) ?? 0;
      const used = account.spent[measure] + account.over[measure];
      return {
        account: account.id,
        measure,
        asked: asked[measure],
        left,
        limit,
        currency,
        resetsAt: account.until,
        degrade: account.degrade,
        // Nothing that comes back would make room.
        isFinal: limit - used < asked[measure] && reaches(used, limit, NEARLY),
        isTooSmall: asked[measure] > limit,
      };
    }
  }
  return undefined;
}

export function held(account: Account, amounts: Amounts): Account {
  return { ...account, reserved: plus(account.reserved, amounts) };
}

/**
 * Takes a reservation back and books what was spent. What was reserved has its place; what goes beyond takes what room
 * there is, and the rest is `over`.
 */
export function booked(account: Account, reserved: Amounts, spent: Amounts, at: number): Account {
  const freed: Account = { ...account, reserved: minus(account.reserved, reserved) };
  const within = least(reserved, spent);
  const beyond = minus(spent, within);
  const kept: Account = { ...freed, spent: plus(freed.spent, within) };
  const fits: Amounts = {
    micros: Math.min(beyond.micros, roomOf(kept, 'micros')),
    tokens: Math.min(beyond.tokens, roomOf(kept, 'tokens')),
  };
  const total = plus(kept.total, spent);
  return {
    ...kept,
    spent: plus(kept.spent, fits),
    over: plus(kept.over, minus(beyond, fits)),
    total,
    marks: marked(account, at),
  };
}

/** Percent of the limit that is spent, of the fuller measure; 0 without a limit. */
export function percentOf(account: Account): number {
  return Math.max(
    ...MEASURES.map((measure) => {
      const bound = allowed(account, measure);
      if (bound === null) return 0;
      const used = account.spent[measure] + account.over[measure];
      // Nothing is allowed: all of it is used.
      return bound === 0 ? 100 : Math.min(100, Math.floor((used * 100) / bound));
    }),
  );
}

function reaches(used: number, limit: number, percent: number): boolean {
  return used * 100 >= limit * percent;
}

/** Percent that is spent or held. */
export function loadOf(account: Account): number {
  return percentOf({ ...account, spent: plus(account.spent, account.reserved) });
}

export function levelOf(account: Account): 0 | Alert {
  const percent = percentOf(account);
  return ALERTS.findLast((alert) => percent >= alert) ?? 0;
}

export function plus(a: Amounts, b: Amounts): Amounts {
  return { micros: a.micros + b.micros, tokens: a.tokens + b.tokens };
}

export function minus(a: Amounts, b: Amounts): Amounts {
  return { micros: a.micros - b.micros, tokens: a.tokens - b.tokens };
}

function least(a: Amounts, b: Amounts): Amounts {
  return { micros: Math.min(a.micros, b.micros), tokens: Math.min(a.tokens, b.tokens) };
}

function marked({ marks, total }: Account, at: number): Account['marks'] {
  const last = marks.at(-1);
  if (last !== undefined && at - last[0] < MARK_EVERY_MS) return marks;
  return [...marks, [at, total.micros, total.tokens] as const].slice(-MARKS_MAX);
}
