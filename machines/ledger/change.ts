/** What a decision of a ledger is made of. */
import type { Outcome } from '#machines/decided';
import { faceOf, type LedgerRefusal, type LedgerReply, type Shortage } from '#schemas/budget';
import type { Account, LedgerContext } from './context.ts';
import { accountView } from './context.ts';
import { levelOf } from './room.ts';
import { withRows } from './table.ts';

export interface Who {
  /** Address, where it is one. */
  readonly by: string;
  readonly at: number;
}

export type Change = Outcome<LedgerContext> & { readonly answer?: LedgerReply };

/** Types of actors whose word counts about limits. */
const STEERING: ReadonlySet<string> = new Set(['operator', 'person', 'governor', 'council', 'supervisor']);

export function steers(by: string): boolean {
  return STEERING.has(by.slice(0, Math.max(0, by.indexOf('/'))));
}

export function refuse(code: LedgerRefusal, reason: string, shortage?: Shortage): Change {
  return { answer: { accepted: false, code, reason, ...(shortage !== undefined && { shortage }) } };
}

/** Why an account told its face of another level. */
export type News = 'alert' | 'refused' | 'given' | 'turned' | 'set';

type Mail = NonNullable<Outcome<LedgerContext>['mail']>;

/**
 * Puts accounts back, each at the level that it has come to. Within a period levels only rise, so that each alert is
 * raised once; `isAnew` lets them fall: another limit, another period.
 */
export function withAccounts(
  context: LedgerContext,
  changed: readonly Account[],
  why: News,
  options: { readonly isAnew?: boolean; readonly usedUp?: string } = {},
): { readonly accounts: LedgerContext['accounts']; readonly mail: Mail } {
  const moved: Account[] = [];
  const mail: Mail[number][] = [];
  for (const account of changed) {
    const reached = account.id === options.usedUp ? 100 : levelOf(account);
    const level = options.isAnew === true || reached > account.level ? reached : account.level;
    const next = level === account.level ? account : { ...account, level };
    if (level !== account.level || options.isAnew === true) mail.push(newsOf(context, next, why));
    moved.push(next);
  }
  return { accounts: withRows(context.accounts, moved), mail };
}

/** What a face hears. */
function newsOf(context: LedgerContext, account: Account, why: News): Mail[number] {
  return {
    to: faceOf(context.tree, account.id),
    event: { type: 'budget.level', level: account.level, why, account: accountView(context, account) },
  };
}
