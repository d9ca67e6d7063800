/** Draws: what is spent of a reservation before its end, and what is held for what comes next. */
import type { Amounts, LedgerAction, LedgerReply } from '#schemas/budget';
import { type Change, refuse, type Who, withAccounts } from './change.ts';
import { type LedgerContext, NOTHING, pathOf, type Reservation, type Settled } from './context.ts';
import { degradeOf, dueBy, gone, logOf, notIts, refusal, spend, timerBy, tooBig } from './reserve.ts';
import { held, isExact, least, most, plus, rest, shortageOf, spareOf } from './room.ts';
import { rowOf, withRows } from './table.ts';

type Draw = Extract<LedgerAction, { action: 'draw' }>;
type Answer = Extract<LedgerReply, { readonly drawn: unknown }>;

/**
 * Books what was spent since the last draw, and holds anew. B1: more than was held is held only where all of the path has room
 * for it, and else as much as before. B4: sums and not steps are named, so a draw that comes twice counts once, and one that a
 * later one overtook not at all.
 */
export function draw(context: LedgerContext, action: Draw, who: Who): Change {
  const { id, n, spent, upTo, leaseMs } = action;
  const open = rowOf(context.reservations, id);
  const known = open ?? rowOf(context.expired, id);
  if (known === undefined) return gone(context, id);
  const wrong = notIts(known, who);
  if (wrong !== undefined) return wrong;
  const path = pathOf(context, known.account);
  if (path === undefined) return refuse('unknown_account', `the account ${known.account} was closed`);
  if (n < (known.draws ?? 0)) return { answer: answerOf(known, 'within', null) };

  const before = known.drawn ?? NOTHING;
  const drawn = most(before, spent);
  const fresh = rest(drawn, before);
  const was = open?.amount ?? NOTHING;
  const { books, outcome } = spend(path, was, fresh, who.at);
  if (!books.every(isExact)) return tooBig(id);
  if (open === undefined) return late(context, known, { drawn, fresh, draws: n, outcome, books }, who);

  const kept = least(rest(was, fresh), action.hold);
  const more = rest(action.hold, kept);
  const keeping = books.map((account) => held(account, kept));
  const short = shortageOf(keeping, more, context.currency);
  const hold = short === undefined ? action.hold : kept;
  const sure = short === undefined ? keeping.map((account) => held(account, more)) : keeping;
  const spare = short === undefined ? spareOf(sure, rest(upTo, hold)) : NOTHING;
  const holding = sure.map((account) => held(account, spare));
  if (!holding.every(isExact)) return tooBig(id);
  const reservation: Reservation = {
    ...open,
    amount: plus(hold, spare),
    expiresAt: Math.max(open.expiresAt, who.at + leaseMs),
    drawn,
    draws: n,
  };
  const told = withAccounts(context, holding, 'alert');
  const after = { ...context, accounts: told.accounts };
  const refused =
    short === undefined
      ? undefined
      : refusal(after, pathOf(after, open.account) ?? [], short, { account: open.account, by: who.by });
  return {
    patch: {
      accounts: refused?.change?.accounts ?? told.accounts,
      reservations: withRows(context.reservations, [reservation]),
      ...dueBy(context, reservation.expiresAt),
    },
    mail: [...told.mail, ...(refused?.change?.mail ?? [])],
    ...timerBy(context, reservation.expiresAt, who.at),
    answer: {
      ...answerOf(reservation, outcome, degradeOf(holding)),
      ...(refused !== undefined && {
        refusal: { code: refused.code, reason: refused.reason, shortage: refused.shortage },
      }),
    },
    ...logOf(open, { reserved: was, spent: fresh, outcome, isLate: false }, who),
  };
}

interface Late {
  readonly drawn: Amounts;
  readonly fresh: Amounts;
  readonly draws: number;
  readonly outcome: Answer['outcome'];
  readonly books: ReturnType<typeof spend>['books'];
}

/** B5. */
function late(
  context: LedgerContext,
  known: Reservation | Settled,
  { drawn, fresh, draws, outcome, books }: Late,
  who: Who,
): Change {
  const { accounts, mail } = withAccounts(context, books, 'alert');
  const row = { ...(known as Settled), drawn, draws };
  const isNews = fresh.micros > 0 || fresh.tokens > 0;
  return {
    patch: { accounts, expired: withRows(context.expired, [row]) },
    mail,
    answer: answerOf(row, outcome, degradeOf(books)),
    ...logOf(row, { reserved: NOTHING, spent: fresh, outcome, isLate: isNews }, who),
  };
}

function answerOf(
  row: Reservation | Settled,
  outcome: Answer['outcome'],
  degrade: Answer['degrade'],
): Answer {
  const { id, account, amount, drawn = NOTHING } = row;
  const isOpen = 'expiresAt' in row;
  const view = { id, account, spent: drawn, hold: isOpen ? amount : NOTHING };
  return { accepted: true, drawn: { ...view, expiresAt: isOpen ? row.expiresAt : null }, outcome, degrade };
}
