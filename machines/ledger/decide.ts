/**
 * What a ledger decides. Pure. It keeps the books of a whole budget tree: one log, one writer, so a reservation holds on an
 * account and on all above it in one step, or on none.
 *
 * B1  No overshoot: a reservation is granted only where it fits into what every account of its path has left. So
 *     spent + reserved ≤ limit + extra in every account after every step, unless somebody lowered a limit; then it does
 *     not grow until it is below again.
 *     A draw that wants more than there is room for books what was spent, and holds what was held.
 * B2  Nothing spent is denied: what a commit names beyond its reservation takes the room there is; the rest is kept as
 *     `over`, apart from `spent`, counts against the room, and is a HIGH entry.
 * B3  No false refusal: what is open or spent is all in the books that the refusal was decided on; nothing is held back.
 *     What is held ahead of need is a small share of the room, and none of the last fifth of a limit.
 * B4  Once: a reservation is known by its id. Asked again with the same words the answer is the same; with others it is
 *     refused. Ends are remembered for a while, and by the message id of the client for longer.
 * B5  A commit after the lease ran out counts like one without a reservation (B2): told, never lost.
 * B6  Nobody's money is held for ever: a reservation has a lease, watched by one durable timer.
 * B7  A period ends at an edge that the log names. What is spent counts in the period of its commit; what is held stays
 *     held over the edge.
 * B8  The books of an account are the sum of its own commits and those of the accounts below it, to the millionth.
 * B9  Sums are exact or refused: nothing is added that would carry one past 2^53 − 1.
 */
import type { Heard, Outcome } from '#machines/decided';
import { TIMER_EVENT } from '#machines/decided';
import type { LedgerAction } from '#schemas/budget';
import { type Change, refuse, type Who } from './change.ts';
import { accountView, type LedgerContext, pathOf } from './context.ts';
import { draw } from './draw.ts';
import { close, override, set, shown } from './limits.ts';
import { awaited, CALENDAR, learnt, TURN, turn, unanswered } from './periods.ts';
import { readAction } from './read.ts';
import { commit, expire, extend, LEASE, refund, reserve } from './reserve.ts';
import { rowOf, rowsOf } from './table.ts';

export function decideLedger(context: LedgerContext, { event, at, from }: Heard): Outcome<LedgerContext> {
  switch (event.type) {
    case `xstate.done.actor.${CALENDAR}`:
      return then(context, all(context, at), (next) => learnt(next, event['output'], at));
    case `xstate.error.actor.${CALENDAR}`:
      return unanswered(context);
    case `${TIMER_EVENT}${LEASE}`:
      return expire(context, at);
    case `${TIMER_EVENT}${TURN}`:
      return then({ ...context, turnDue: null }, all(context, at), (next) => awaited(next, at));
  }
  const action = readAction(event);
  if (action === undefined) return answered(refuse('bad_ledger_action', 'this is not an action of a ledger'));
  const path = pathOf(context, accountOf(context, action)) ?? [];
  return then(context, turn(context, path, at), (next) => act(next, action, { by: from ?? '', at }));
}

function act(context: LedgerContext, action: LedgerAction, who: Who): Change {
  switch (action.action) {
    case 'reserve':
      return reserve(context, action, who);
    case 'draw':
      return draw(context, action, who);
    case 'commit':
      return commit(context, action, who);
    case 'refund':
      return refund(context, action, who);
    case 'extend':
      return extend(context, action, who);
    case 'set':
      return set(context, action, who);
    case 'override':
      return override(context, action, who);
    case 'close':
      return close(context, action, who);
    case 'get':
      return { answer: shown(context, action.account) };
    case 'list':
      return { answer: listed(context, action) };
  }
}

/** The account whose path an action touches. */
function accountOf(context: LedgerContext, action: LedgerAction): string {
  if ('account' in action) return action.account;
  if (!('id' in action)) return '';
  return (rowOf(context.reservations, action.id) ?? rowOf(context.expired, action.id))?.account ?? '';
}

function all(context: LedgerContext, at: number): Change {
  return turn(context, rowsOf(context.accounts), at);
}

/** One change after another, in one step. */
function then(
  context: LedgerContext,
  first: Change,
  second: (next: LedgerContext) => Change,
): Outcome<LedgerContext> {
  if (first.patch === undefined) return answered(second(context));
  const change = second({ ...context, ...first.patch });
  return answered({
    ...change,
    patch: { ...first.patch, ...change.patch },
    mail: [...(first.mail ?? []), ...(change.mail ?? [])],
  });
}

function answered({ answer, ...change }: Change): Outcome<LedgerContext> {
  return answer === undefined ? change : { ...change, reply: answer };
}

function listed(
  context: LedgerContext,
  { after, limit }: Extract<LedgerAction, { action: 'list' }>,
): NonNullable<Change['answer']> {
  const rows = rowsOf(context.accounts)
    .filter(({ id }) => after === undefined || id > after)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const page = rows.slice(0, limit);
  return {
    accepted: true,
    accounts: page.map((account) => accountView(context, account)),
    next: rows.length > limit ? (page.at(-1)?.id ?? null) : null,
  };
}
