/** Accounts and their limits: opened, changed, overridden, closed. */
import { ACCOUNTS_MAX, DEPTH_MAX, type LedgerAction, type Limit } from '#schemas/budget';
import { type Change, refuse, steers, type Who, withAccounts } from './change.ts';
import { type Account, accountView, type LedgerContext, NO_ZONE, NOTHING, pathOf } from './context.ts';
import { awaited, periodAt } from './periods.ts';
import { isExact, plus } from './room.ts';
import { rowOf, rowsOf, withoutRow, withRows } from './table.ts';

type Of<Name extends LedgerAction['action']> = Extract<LedgerAction, { action: Name }>;

const NO_LIMIT: Limit = { micros: null, tokens: null };

export function set(context: LedgerContext, action: Of<'set'>, who: Who): Change {
  // A swarm opens and changes the account of its own name, and no other.
  const isOwn = who.by.startsWith('swarm/') && who.by.replace('/', ':') === action.account;
  if (!steers(who.by) && !isOwn)
    return refuse('budget_not_permitted', `${who.by} may not set budget ${action.account}`);
  const known = rowOf(context.accounts, action.account);
  const wrong = known === undefined ? whyNotNew(context, action) : whyNotChanged(context, known, action);
  // By mail nobody hears the answer.
  if (wrong !== undefined)
    return {
      ...wrong,
      log: {
        severity: 'WARN',
        message: { type: 'budget_not_set', account: action.account, by: who.by, answer: wrong.answer },
      },
    };
  const { limit, period, zone, degrade } = action;
  const currency = context.currency === '' ? (action.currency ?? '') : context.currency;
  const base = known ?? opened(action, who.at);
  const hasNewPeriod =
    (period !== undefined && period !== base.period) || (zone !== undefined && zone !== base.zone);
  const account: Account = {
    ...base,
    ...(limit !== undefined && { limit }),
    ...(period !== undefined && { period }),
    ...(zone !== undefined && { zone }),
    ...(degrade !== undefined && { degrade }),
  };
  const begun =
    known === undefined || hasNewPeriod
      ? { ...account, until: null, ...periodAt(context.calendars, account, who.at) }
      : account;
  const opening = { ...context, status: 'open' as const, currency };
  const { accounts, mail } = withAccounts(opening, [begun], 'set', { isAnew: true });
  const next: LedgerContext = {
    ...opening,
    accounts,
    accountCount: context.accountCount + (known === undefined ? 1 : 0),
  };
  const then = awaited(next, who.at);
  return {
    ...then,
    patch: {
      status: 'open',
      currency,
      accounts,
      accountCount: next.accountCount,
      ...then.patch,
    },
    mail,
    answer: shown(next, begun.id),
    log: {
      severity: 'WARN',
      message: {
        type: known === undefined ? 'budget_opened' : 'budget_changed',
        account: begun.id,
        by: who.by,
        reason: action.reason ?? null,
        before: known?.limit ?? null,
        limit: begun.limit,
        period: begun.period,
        zone: begun.zone,
      },
    },
  };
}

export function override(context: LedgerContext, action: Of<'override'>, who: Who): Change {
  const { account: name, extra, reason } = action;
  if (!/^(?:operator|person)\//.test(who.by))
    return refuse('budget_not_permitted', `only an operator or a person overrides a limit, not ${who.by}`);
  const known = rowOf(context.accounts, name);
  if (known === undefined) return refuse('unknown_account', `there is no account ${name} in ${context.tree}`);
  const account = { ...known, extra: plus(known.extra, extra) };
  if (!isExact(account)) return refuse('sum_too_big', `${name} would have more extra than is exact`);
  const { accounts, mail } = withAccounts(context, [account], 'given', { isAnew: true });
  return {
    patch: { accounts },
    mail,
    answer: shown({ ...context, accounts }, name),
    log: {
      severity: 'HIGH',
      message: { type: 'budget_overridden', account: name, by: who.by, reason, extra, until: known.until },
    },
  };
}

/** What it spent stays in the accounts above. */
export function close(context: LedgerContext, { account: name, reason }: Of<'close'>, who: Who): Change {
  if (!steers(who.by)) return refuse('budget_not_permitted', `${who.by} may not close budget ${name}`);
  const known = rowOf(context.accounts, name);
  if (known === undefined) return refuse('unknown_account', `there is no account ${name} in ${context.tree}`);
  const below = rowsOf(context.accounts).filter(({ parent }) => parent === name);
  // One of nothing is open too: what is spent under it has to find its account.
  const isHeld = rowsOf(context.reservations).some(({ account }) => account === name);
  const { parent } = known;
  if (below.length > 0 || isHeld || parent === null) {
    const why =
      parent === null
        ? 'it is the top of its tree'
        : below.length > 0
          ? `${below.length} accounts are below it`
          : 'reservations of it are open';
    return refuse('account_in_use', `${name} cannot be closed: ${why}`);
  }
  // B5: what comes late for it counts in the account above.
  const late = rowsOf(context.expired).flatMap((row) =>
    row.account === name ? [{ ...row, account: parent }] : [],
  );
  return {
    patch: {
      accounts: withoutRow(context.accounts, name),
      accountCount: context.accountCount - 1,
      expired: withRows(context.expired, late),
    },
    mail: [{ to: `budget/${context.tree}:${name}`, event: { type: 'budget.closed', by: who.by } }],
    answer: { accepted: true, closed: name },
    log: {
      severity: 'WARN',
      message: {
        type: 'budget_closed',
        account: name,
        by: who.by,
        reason: reason ?? null,
        total: known.total,
      },
    },
  };
}

export function shown(context: LedgerContext, name: string): NonNullable<Change['answer']> {
  const [account, ...above] = (pathOf(context, name) ?? []).map((one) => accountView(context, one));
  if (account === undefined)
    return {
      accepted: false,
      code: 'unknown_account',
      reason: `there is no account ${name} in ${context.tree}`,
    };
  return { accepted: true, account, path: above };
}

function whyNotNew(context: LedgerContext, { account, parent, currency }: Of<'set'>): Change | undefined {
  if (context.accountCount === 0) {
    if (parent !== undefined)
      return refuse(
        'unknown_account',
        `tree ${context.tree} has no accounts yet: open its top without a parent`,
      );
    return currency === undefined
      ? refuse('currency_differs', `the first account of tree ${context.tree} names the currency`)
      : undefined;
  }
  if (parent === undefined)
    return refuse('parent_differs', `${account} is new: name the account above it; a tree has one top`);
  const path = pathOf(context, parent);
  if (path === undefined)
    return refuse('unknown_account', `there is no account ${parent} in ${context.tree}`);
  if (path.length >= DEPTH_MAX) return refuse('too_deep', `${parent} is ${path.length} levels deep already`);
  if (context.accountCount >= ACCOUNTS_MAX)
    return refuse('too_many_accounts', `tree ${context.tree} has ${ACCOUNTS_MAX} accounts`);
  return otherCurrency(context, currency);
}

function whyNotChanged(
  context: LedgerContext,
  known: Account,
  { parent, currency }: Of<'set'>,
): Change | undefined {
  if (parent !== undefined && parent !== known.parent)
    return refuse('parent_differs', `${known.id} stands below ${known.parent ?? 'nothing'} and stays there`);
  return otherCurrency(context, currency);
}

function otherCurrency(context: LedgerContext, currency: string | undefined): Change | undefined {
  if (currency === undefined || currency === context.currency) return undefined;
  return refuse('currency_differs', `tree ${context.tree} counts in ${context.currency}, not in ${currency}`);
}

function opened({ account, parent }: Of<'set'>, at: number): Account {
  return {
    id: account,
    parent: parent ?? null,
    limit: NO_LIMIT,
    extra: NOTHING,
    period: 'total',
    zone: NO_ZONE,
    degrade: null,
    since: at,
    until: null,
    spent: NOTHING,
    over: NOTHING,
    reserved: NOTHING,
    total: NOTHING,
    level: 0,
    marks: [],
  };
}
