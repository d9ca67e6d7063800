/** Reservations: made, extended, committed, refunded, expired. */
import {
  type Amounts,
  type Degrade,
  type LedgerAction,
  type LedgerReply,
  type Outcome,
  RESERVATIONS_MAX,
  type Shortage,
} from '#schemas/budget';
import { formatMoney } from '#schemas/money';
import { type Change, refuse, steers, type Who, withAccounts } from './change.ts';
import {
  type Account,
  type LedgerContext,
  NOTHING,
  pathOf,
  type Reservation,
  type Settled,
} from './context.ts';
import { booked, held, isExact, isFilled, most, rest, shortageOf } from './room.ts';
import { rowOf, rowsOf, withNewest, withoutRow, withRows } from './table.ts';

export const LEASE = 'lease';
/** Ends that are remembered, in each of the 16 parts of the table: a hundred, for repeated asks. */
const SETTLED_PART_MAX = 8;
/** Those that expired may be paid for late: even if all that can be open expire at once, none is forgotten (B5). */
const EXPIRED_PART_MAX = 1_000;
/** From so many open reservations on, who holds a share of the places gets no more: one holder does not keep out all others. */
const SHARED_FROM = RESERVATIONS_MAX / 2;
const SHARE_MAX = RESERVATIONS_MAX / 8;

type Of<Name extends LedgerAction['action']> = Extract<LedgerAction, { action: Name }>;

/** B1, B3. */
export function reserve(context: LedgerContext, action: Of<'reserve'>, who: Who): Change {
  const { id, account, amount, leaseMs } = action;
  const open = rowOf(context.reservations, id);
  if (open !== undefined) return again(context, open, action, who);
  const ended = rowOf(context.settled, id) ?? rowOf(context.expired, id);
  if (ended !== undefined) return refuse('reservation_settled', `${id} was ${ended.how} before`);
  const path = pathOf(context, account);
  if (path === undefined)
    return refuse('unknown_account', `there is no account ${account} in ${context.tree}`);
  if (context.reservationCount >= RESERVATIONS_MAX)
    return refuse('too_many_reservations', `${RESERVATIONS_MAX} reservations are open`);
  if (context.reservationCount >= SHARED_FROM && heldBy(context, who.by) >= SHARE_MAX)
    return refuse(
      'too_many_reservations',
      `${context.reservationCount} reservations are open, ${SHARE_MAX} of ${who.by}`,
    );
  const short = shortageOf(path, amount, context.currency);
  if (short !== undefined) {
    const { code, reason, shortage, change } = refusal(context, path, short, { account, by: who.by });
    const no = refuse(code, reason, shortage);
    return change === undefined ? no : { ...no, patch: { accounts: change.accounts }, mail: change.mail };
  }
  const reservation: Reservation = { id, account, amount, by: who.by, expiresAt: who.at + leaseMs };
  const holding = path.map((one) => held(one, amount));
  if (!holding.every(isExact)) return tooBig(id);
  return {
    patch: {
      accounts: withRows(context.accounts, holding),
      reservations: withRows(context.reservations, [reservation]),
      reservationCount: context.reservationCount + 1,
      ...dueBy(context, reservation.expiresAt),
    },
    ...timerBy(context, reservation.expiresAt, who.at),
    answer: granted(reservation, degradeOf(holding)),
  };
}

/** B4: its answer was lost. */
function again(
  context: LedgerContext,
  open: Reservation,
  { account, amount }: Of<'reserve'>,
  { by }: Who,
): Change {
  const { micros, tokens } = open.amount;
  const isSame = open.account === account && micros === amount.micros && tokens === amount.tokens;
  if (open.by !== by || !isSame)
    return refuse('reservation_differs', `${open.id} is ${open.by}’s, of ${open.account}: take another id`);
  return { answer: granted(open, degradeOf(pathOf(context, open.account) ?? [])) };
}

export function extend(context: LedgerContext, action: Of<'extend'>, who: Who): Change {
  const open = rowOf(context.reservations, action.id);
  const wrong = open === undefined ? gone(context, action.id) : notIts(open, who);
  if (open === undefined || wrong !== undefined) return wrong ?? gone(context, action.id);
  const reservation = { ...open, expiresAt: Math.max(open.expiresAt, who.at + action.leaseMs) };
  return {
    patch: { reservations: withRows(context.reservations, [reservation]) },
    answer: granted(reservation, null),
  };
}

/** B2, B4, B5. */
export function commit(context: LedgerContext, action: Of<'commit'>, who: Who): Change {
  const { id, amount } = action;
  const open = rowOf(context.reservations, id);
  const expired = open === undefined ? rowOf(context.expired, id) : undefined;
  const held = open ?? expired;
  if (held === undefined) {
    const ended = rowOf(context.settled, id);
    const isSame = ended?.amount.micros === amount.micros && ended.amount.tokens === amount.tokens;
    if (ended?.how === 'committed' && ended.by === who.by && isSame)
      return { answer: { accepted: true, settled: viewOf(ended) } };
    return gone(context, id);
  }
  const wrong = notIts(held, who);
  if (wrong !== undefined) return wrong;
  const path = pathOf(context, held.account);
  // An account closes only when nothing of it is open, and what expired moves up.
  if (path === undefined) return refuse('unknown_account', `the account ${held.account} was closed`);
  const before = held.drawn ?? NOTHING;
  const spent = rest(amount, before);
  const reserved = open?.amount ?? NOTHING;
  const { books, outcome } = spend(path, reserved, spent, who.at);
  if (!books.every(isExact)) return tooBig(id);
  const { accounts, mail } = withAccounts(context, books, 'alert');
  const settled: Settled = {
    id,
    account: held.account,
    how: 'committed',
    amount: held.drawn === undefined ? amount : most(amount, before),
    by: held.by,
    n: context.ends + 1,
  };
  return {
    patch: {
      accounts,
      ...closing(context, open, settled),
      ...(expired !== undefined && { expired: withoutRow(context.expired, id) }),
    },
    mail,
    answer: {
      accepted: true,
      settled: viewOf(settled),
      outcome,
      ...(expired !== undefined && { late: true }),
    },
    ...logOf(held, { reserved, spent, outcome, isLate: expired !== undefined }, who),
  };
}

/** The books of a path after so much was spent, of which `reserved` has its place. */
export function spend(
  path: readonly Account[],
  reserved: Amounts,
  spent: Amounts,
  at: number,
): { readonly books: readonly Account[]; readonly outcome: Outcome } {
  const books = path.map((account) => booked(account, reserved, spent, at));
  const isOver = books.some((account, n) => {
    const before = path[n]?.over ?? NOTHING;
    return account.over.micros > before.micros || account.over.tokens > before.tokens;
  });
  const isWithin = spent.micros <= reserved.micros && spent.tokens <= reserved.tokens;
  return { books, outcome: isWithin ? 'within' : isOver ? 'over' : 'more' };
}

interface Spending {
  readonly reserved: Amounts;
  readonly spent: Amounts;
  readonly outcome: Outcome;
  readonly isLate: boolean;
}

/** B2, B5: what is told of it. */
export function logOf(
  { id, account }: Reservation | Settled,
  { reserved, spent, outcome, isLate }: Spending,
  { by }: Who,
): Pick<Change, 'log'> {
  const isOver = outcome === 'over';
  if (!isOver && !isLate) return {};
  const type = isOver ? 'budget_overrun' : 'late_commit';
  return {
    log: {
      severity: isOver ? 'HIGH' : 'WARN',
      message: { type, reservation: id, account, by, reserved, spent },
    },
  };
}

/** B4. */
export function refund(context: LedgerContext, action: Of<'refund'>, who: Who): Change {
  const { id } = action;
  const open = rowOf(context.reservations, id);
  if (open === undefined) {
    const ended = rowOf(context.settled, id) ?? rowOf(context.expired, id);
    if (ended !== undefined && ended.how !== 'committed' && ended.by === who.by)
      return { answer: { accepted: true, settled: viewOf(ended) } };
    return gone(context, id);
  }
  const wrong = notIts(open, who);
  if (wrong !== undefined) return wrong;
  const settled: Settled = {
    id,
    account: open.account,
    how: 'refunded',
    amount: open.amount,
    by: open.by,
    n: context.ends + 1,
  };
  return {
    patch: { ...released(context, [open], who.at), ...closing(context, open, settled) },
    answer: { accepted: true, settled: viewOf(settled) },
  };
}

/** B6: leases that have run out. */
export function expire(context: LedgerContext, at: number): Change {
  const all = rowsOf(context.reservations);
  const due = all.filter(({ expiresAt }) => expiresAt <= at);
  let { reservations, expired, ends } = context;
  for (const open of due) {
    reservations = withoutRow(reservations, open.id);
    const { expiresAt: _, ...kept } = open;
    ends += 1;
    expired = withNewest(expired, { ...kept, how: 'expired', n: ends } as const, EXPIRED_PART_MAX);
  }
  const next = all.reduce<number | null>(
    (soonest, { expiresAt }) =>
      expiresAt > at && (soonest === null || expiresAt < soonest) ? expiresAt : soonest,
    null,
  );
  return {
    patch: {
      ...released(context, due, at),
      reservations,
      reservationCount: context.reservationCount - due.length,
      ends,
      expired,
      leaseDue: next,
    },
    ...(next !== null && { timers: [{ id: LEASE, delayMs: next - at }] }),
    ...(due.length > 0 && {
      log: {
        severity: 'WARN',
        message: {
          type: 'reservations_expired',
          count: due.length,
          first: due.slice(0, 20).map(({ id, account, by, amount }) => ({ id, account, by, ...amount })),
        },
      },
    }),
  };
}

/** Accounts without what these reservations held. Nothing is spent by it, so nobody is alerted. */
function released(
  context: LedgerContext,
  reservations: readonly Reservation[],
  at: number,
): Pick<LedgerContext, 'accounts'> {
  let { accounts } = context;
  for (const { account, amount } of reservations) {
    const path = pathOf({ ...context, accounts }, account) ?? [];
    accounts = withRows(
      accounts,
      path.map((one) => booked(one, amount, NOTHING, at)),
    );
  }
  return { accounts };
}

function heldBy({ reservations }: LedgerContext, by: string): number {
  return rowsOf(reservations).filter((open) => open.by === by).length;
}

/** B9. */
export function tooBig(id: string): Change {
  return refuse('sum_too_big', `with ${id} the sums of its accounts would no longer be exact`);
}

function closing(context: LedgerContext, open: Reservation | undefined, settled: Settled) {
  return {
    ends: settled.n,
    settled: withNewest(context.settled, settled, SETTLED_PART_MAX),
    ...(open !== undefined && {
      reservations: withoutRow(context.reservations, open.id),
      reservationCount: context.reservationCount - 1,
    }),
  };
}

export function gone(context: LedgerContext, id: string): Change {
  const ended = rowOf(context.settled, id) ?? rowOf(context.expired, id);
  if (ended === undefined)
    return refuse('unknown_reservation', `${context.tree} knows no reservation ${id}, or no longer`);
  return refuse('reservation_settled', `${id} was ${ended.how} before, with ${text(ended.amount, context)}`);
}

export function notIts({ id, by }: Reservation | Settled, who: Who): Change | undefined {
  if (by === who.by || steers(who.by)) return undefined;
  return refuse('budget_not_permitted', `${id} is a reservation of ${by}, not of ${who.by}`);
}

/** What is said where there is no room, and what becomes of the account that has none. */
export function refusal(
  context: LedgerContext,
  path: readonly Account[],
  { isFinal, isTooSmall, ...shortage }: NonNullable<ReturnType<typeof shortageOf>>,
  { account, by }: { readonly account: string; readonly by: string },
) {
  const empty = path.find(({ id }) => id === shortage.account);
  const isUsedUp = isFinal && !isTooSmall && empty !== undefined && empty.level < 100;
  const code = isTooSmall ? ('budget_too_small' as const) : ('budget_exhausted' as const);
  return {
    code,
    reason: words(shortage, account, by),
    shortage,
    change: isUsedUp ? withAccounts(context, [empty], 'refused', { usedUp: empty.id }) : undefined,
  };
}

function words({ account, measure, asked, left, limit, currency }: Shortage, of: string, by: string): string {
  const unit = (n: number): string =>
    measure === 'micros' ? `${formatMoney(n)} ${currency}` : `${n} tokens`;
  const where = account === of ? `budget ${account}` : `budget ${account}, above ${of},`;
  return `${by} asks for ${unit(asked)} of ${of}: ${where} has ${unit(left)} left of ${unit(limit)}`;
}

function text({ micros, tokens }: Amounts, { currency }: LedgerContext): string {
  return `${formatMoney(micros)} ${currency} and ${tokens} tokens`;
}

/** The advice of the lowest account that is full enough to give one. */
export function degradeOf(path: readonly Account[]): Degrade | null {
  return (
    path.find((account) => account.degrade !== null && isFilled(account, account.degrade.at))?.degrade ?? null
  );
}

function granted({ by: _, ...reservation }: Reservation, degrade: Degrade | null): LedgerReply {
  return { accepted: true, reservation, degrade };
}

function viewOf({ by: _, n: __, ...settled }: Settled) {
  return settled;
}

/** One timer for all leases: set where this one ends before it. */
export function dueBy({ leaseDue }: LedgerContext, expiresAt: number): Partial<LedgerContext> {
  return leaseDue === null || expiresAt < leaseDue ? { leaseDue: expiresAt } : {};
}

export function timerBy({ leaseDue }: LedgerContext, expiresAt: number, at: number): Pick<Change, 'timers'> {
  if (leaseDue !== null && leaseDue <= expiresAt) return {};
  return { timers: [{ id: LEASE, delayMs: expiresAt - at }] };
}
