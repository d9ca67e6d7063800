/** How much room an account has, and what a change of its books makes of it. Whole numbers only. */
import { ALERTS, type Alert, type Amounts, type Shortage } from '#schemas/budget';
import type { Account } from './context.ts';

export const MEASURES = ['micros', 'tokens'] as const;
export type Measure = (typeof MEASURES)[number];

/** Totals are kept at most this often, and for an hour: what a forecast looks back on. */
const MARK_EVERY_MS = 300_000;
const MARKS_MAX = 13;
/** A hundred times as much is still exact. */
const EXACT_PERCENT_MAX = Math.floor(Number.MAX_SAFE_INTEGER / 100);
/** From this percentage on a request that finds no room means that the budget is used up. */
const NEARLY = 95;
/** What is held ahead of need is at most this share of the room, so that it is there for others… */
const AHEAD_SHARE = 1 / 16;
/** …and nothing of this last part of a limit: there each amount is reserved when it is needed. */
const AHEAD_KEPT = 1 / 5;

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

/** What may be held ahead of need on all of a path: a small share of the room, and never of the last part of a limit. */
export function spareOf(path: readonly Account[], wanted: Amounts): Amounts {
  let [micros, tokens] = [wanted.micros, wanted.tokens];
  for (const account of path) {
    micros = Math.min(micros, ample(account, 'micros'));
    tokens = Math.min(tokens, ample(account, 'tokens'));
  }
  return { micros, tokens };
}

function ample(account: Account, measure: Measure): number {
  const bound = allowed(account, measure);
  if (bound === null) return Number.POSITIVE_INFINITY;
  return Math.max(0, Math.floor((roomOf(account, measure) - bound * AHEAD_KEPT) * AHEAD_SHARE));
}

export function held(account: Account, amounts: Amounts): Account {
  return { ...account, reserved: plus(account.reserved, amounts) };
}

/**
 * Takes a reservation back and books what was spent. What was reserved has its place; what goes beyond takes what room
 * there is, and the rest is `over`.
 */
export function booked(account: Account, reserved: Amounts, spent: Amounts, at: number): Account {
  const micros = split(account, 'micros', reserved.micros, spent.micros);
  const tokens = split(account, 'tokens', reserved.tokens, spent.tokens);
  const total = plus(account.total, spent);
  return {
    ...account,
    reserved: minus(account.reserved, reserved),
    spent: plus(account.spent, { micros: micros.fits, tokens: tokens.fits }),
    over: plus(account.over, { micros: micros.over, tokens: tokens.over }),
    total,
    marks: total === account.total ? account.marks : marked(account, at),
  };
}

/** What of it has its place or finds room, and what does not. */
function split(
  account: Account,
  measure: Measure,
  reserved: number,
  spent: number,
): { readonly fits: number; readonly over: number } {
  if (spent <= reserved) return { fits: spent, over: 0 };
  // What it takes beyond its own reservation, it takes from what nobody holds.
  const fits = reserved + Math.min(spent - reserved, roomOf(account, measure));
  return { fits, over: spent - fits };
}

/** Whether all its sums are still numbers that are exact. */
export function isExact({ spent, over, reserved, total, limit, extra }: Account): boolean {
  for (const measure of MEASURES) {
    if (!Number.isSafeInteger(spent[measure] + over[measure] + reserved[measure])) return false;
    if (!Number.isSafeInteger(total[measure])) return false;
    if (!Number.isSafeInteger((limit[measure] ?? 0) + extra[measure])) return false;
  }
  return true;
}

/** The alert that an account has come to by what is spent. */
export function levelOf(account: Account): 0 | Alert {
  let level: 0 | Alert = 0;
  for (const alert of ALERTS) {
    if (!hasReached(account, alert, 0)) break;
    level = alert;
  }
  return level;
}

/** Whether so much of the limit, of the fuller measure, is spent or held. */
export function isFilled(account: Account, percent: number): boolean {
  return hasReached(account, percent, 1);
}

function hasReached(account: Account, percent: number, heldShare: 0 | 1): boolean {
  for (const measure of MEASURES) {
    const bound = allowed(account, measure);
    if (bound === null) continue;
    const used = account.spent[measure] + account.over[measure] + heldShare * account.reserved[measure];
    if (reaches(used, bound, percent)) return true;
  }
  return false;
}

function reaches(used: number, limit: number, percent: number): boolean {
  if (used <= EXACT_PERCENT_MAX && limit <= EXACT_PERCENT_MAX) return used * 100 >= limit * percent;
  return BigInt(used) * 100n >= BigInt(limit) * BigInt(percent);
}

/** The same where nothing is added: what did not change is not looked at again. */
export function plus(a: Amounts, b: Amounts): Amounts {
  if (b.micros === 0 && b.tokens === 0) return a;
  return { micros: a.micros + b.micros, tokens: a.tokens + b.tokens };
}

/** Of each measure the greater. */
export function most(a: Amounts, b: Amounts): Amounts {
  return { micros: Math.max(a.micros, b.micros), tokens: Math.max(a.tokens, b.tokens) };
}

/** Of each measure the smaller. */
export function least(a: Amounts, b: Amounts): Amounts {
  return { micros: Math.min(a.micros, b.micros), tokens: Math.min(a.tokens, b.tokens) };
}

/** What is left of it, never below nothing. */
export function rest(a: Amounts, taken: Amounts): Amounts {
  return { micros: Math.max(0, a.micros - taken.micros), tokens: Math.max(0, a.tokens - taken.tokens) };
}

function minus(a: Amounts, b: Amounts): Amounts {
  if (b.micros === 0 && b.tokens === 0) return a;
  return { micros: a.micros - b.micros, tokens: a.tokens - b.tokens };
}

function marked({ marks, total }: Account, at: number): Account['marks'] {
  const last = marks.at(-1);
  if (last !== undefined && at - last[0] < MARK_EVERY_MS) return marks;
  return [...marks, [at, total.micros, total.tokens] as const].slice(-MARKS_MAX);
}
