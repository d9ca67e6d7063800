/**
 * The face of an account: what others follow. It enters a state at each alert, so that webhooks and watchers hear of it, and
 * tells its followers; the books are the ledger's.
 *
 * F1  Only the ledger of its tree says how an account stands.
 * F2  An alert is raised once: a level that was reached is not told again before another limit or period.
 * F3  Whoever follows an exhausted budget hears so at once, and again when it goes on: also when it was closed and is opened
 *     anew. A breaker hears that it is closed: nothing that is gone holds it open.
 */
import { z } from 'zod';
import { BREAKER_TYPE } from '#schemas/breaker';
import {
  type AccountView,
  ALERTS,
  BUDGET_STATUSES,
  type BudgetStatus,
  budgetActionSchema,
  FOLLOWERS_MAX,
  LEDGER_TYPE,
} from '#schemas/budget';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import type { IFMessage } from '#schemas/if-message';
import { formatMoney } from '#schemas/money';
import { decidedMachine, type Heard, type Outcome } from './decided.ts';
import { heardNotice, noticeOf } from './notice.ts';

export const budgetErrors = errorKinds({
  unknown_budget: {
    retryable: false,
    help: 'Open its account first: `infrafabric budget set`; `infrafabric budget tree` shows all there are.',
  },
});

export interface BudgetContext {
  readonly id: string;
  readonly tree: string;
  readonly status: BudgetStatus;
  readonly account: AccountView | null;
  readonly followers: readonly string[];
  /** Messages it has sent. */
  readonly seq: number;
}

export const budget = {
  name: 'budget',
  version: 1,
  machine: decidedMachine<BudgetContext>({
    id: 'budget',
    version: '1',
    statuses: BUDGET_STATUSES,
    hears: ['budget.*'],
    drivers: [],
    context: (_input, self) => {
      const id = self.slice(self.indexOf('/') + 1);
      return {
        id,
        tree: id.slice(0, Math.max(0, id.indexOf(':'))),
        status: 'absent',
        account: null,
        followers: [],
        seq: 0,
      };
    },
    decide,
  }),
};

const levelSchema = z.object({
  level: z.union([z.literal(0), ...ALERTS.map((alert) => z.literal(alert))]),
  why: z.enum(['alert', 'refused', 'given', 'turned', 'set']),
  // The ledger is trusted: it is part of the realm.
  account: z.custom<AccountView>((value) => typeof value === 'object' && value !== null),
});

const STATUS_OF = { 0: 'open', 50: 'at50', 80: 'at80', 95: 'at95', 100: 'exhausted' } as const;

function decide(context: BudgetContext, { event, from, at, self }: Heard): Outcome<BudgetContext> {
  // F1.
  if (event.type === 'budget.level' || event.type === 'budget.closed') {
    if (from !== `${LEDGER_TYPE}/${context.tree}`)
      return refused('not_permitted', `${from} is not its ledger`);
    if (event.type === 'budget.closed') return closed(context, self);
    const parsed = levelSchema.safeParse(event);
    return parsed.success ? moved(context, parsed.data, at, self) : {};
  }
  const parsed = budgetActionSchema.safeParse({ ...event, action: event.type.slice('budget.'.length) });
  if (!parsed.success) return refused('bad_action', 'this is not an action of a budget');
  switch (parsed.data.action) {
    case 'follow':
      return followed(context, from ?? '', self);
    case 'unfollow': {
      const followers = context.followers.filter((one) => one !== from);
      return { patch: { followers }, reply: { accepted: true } };
    }
    case 'get':
      if (context.account === null)
        throw new FabricError(budgetErrors.unknown_budget, `There is no budget ${context.id}`);
      return { reply: { accepted: true, status: context.status, account: context.account } };
  }
}

/** An account may be followed before it is opened. */
function followed(context: BudgetContext, by: string, self: string): Outcome<BudgetContext> {
  if (!by.includes('/')) return refused('not_permitted', 'only an actor can follow a budget');
  const others = context.followers.filter((one) => one !== by);
  // Readers do not take the places of what has to stop.
  if (others.filter((one) => isMachinery(one) === isMachinery(by)).length >= FOLLOWERS_MAX)
    return refused('too_many_followers', `${FOLLOWERS_MAX} follow it already`);
  return {
    patch: { followers: [...others, by] },
    reply: { accepted: true, status: context.status },
    // F3.
    ...(context.status === 'exhausted' && { mail: [{ to: by, event: exhausted(context, self) }] }),
  };
}

function closed(context: BudgetContext, self: string): Outcome<BudgetContext> {
  const breakers = context.followers.filter((one) => one.startsWith(`${BREAKER_TYPE}/`));
  return {
    patch: { status: 'absent', account: null },
    mail: breakers.map((to) => ({ to, event: { type: 'budget.closed', budget: self } })),
  };
}

function moved(
  context: BudgetContext,
  { level, why, account }: z.infer<typeof levelSchema>,
  at: number,
  self: string,
): Outcome<BudgetContext> {
  const status = STATUS_OF[level];
  const next = { ...context, status, account };
  const isAlert = level > 0 && (why === 'alert' || why === 'refused');
  const patch = { status, account };
  if (isAlert) {
    const seq = context.seq + 1;
    const message = alertOf(next, { level, why }, { self, at, seq });
    return {
      patch: { ...patch, seq },
      mail: context.followers.map((to) =>
        isMachinery(to) ? { to, event: heardAs(next, message, self) } : heardNotice(to, message),
      ),
      tell: [{ type: 'budget.alert', level, why, account, text: textOf(message) }],
      log: { severity: level >= 95 ? 'HIGH' : 'WARN', message: { type: 'budget_alert', level, message } },
    };
  }
  const isOver = level === 100;
  // Opened anew, it says how it stands whatever was heard of it before.
  const wasOver =
    context.status === 'absent' ? !isOver && context.followers.length > 0 : context.status === 'exhausted';
  const news = isOver === wasOver ? undefined : isOver ? exhausted(next, self) : resumed(next, self);
  return {
    patch,
    tell: [{ type: 'budget.changed', level, why, account }],
    ...(news !== undefined && {
      mail: context.followers.filter(isMachinery).map((to) => ({ to, event: news })),
      log: { severity: 'WARN', message: { ...news, type: news.type.replace('.', '_') } },
    }),
  };
}

/** Workers and people read messages; supervisors, swarms and breakers act on events. */
function isMachinery(to: string): boolean {
  return !/^(?:session|operator|person|guardian|council)\//.test(to);
}

function heardAs(context: BudgetContext, message: IFMessage, self: string) {
  if (context.status === 'exhausted') return exhausted(context, self);
  return { type: 'budget.alert', budget: self, text: textOf(message) };
}

function exhausted({ account }: BudgetContext, self: string) {
  return { type: 'budget.exhausted', budget: self, resetsAt: account?.until ?? null };
}

function resumed({ account }: BudgetContext, self: string) {
  return { type: 'budget.resumed', budget: self, limit: account?.limit ?? null };
}

function alertOf(
  { id, followers, account }: BudgetContext & { readonly account: AccountView },
  { level, why }: { readonly level: number; readonly why: string },
  place: { readonly self: string; readonly at: number; readonly seq: number },
): IFMessage {
  const text =
    why === 'refused'
      ? `budget ${id} is used up: what is left of ${sums(account)} is not enough for what was asked`
      : `budget ${id} is at ${level} %: ${sums(account)}`;
  const { spent, limit, until } = account;
  const content = {
    action: 'budget_alert',
    text,
    level,
    account: account.account,
    spent,
    limit,
    resetsAt: until,
  };
  return noticeOf({ ...place, to: followers, topic: 'budget', content, isGrave: level === 100 });
}

function sums({ spent, over, limit, extra, currency }: AccountView): string {
  const parts: string[] = [];
  if (limit.micros !== null)
    parts.push(
      `${formatMoney(spent.micros + over.micros)} of ${formatMoney(limit.micros + extra.micros)} ${currency}`,
    );
  if (limit.tokens !== null)
    parts.push(`${spent.tokens + over.tokens} of ${limit.tokens + extra.tokens} tokens`);
  return parts.join(', ');
}

function textOf({ content }: IFMessage): string {
  return (content as { readonly text: string }).text;
}

function refused(code: string, reason: string): Outcome<BudgetContext> {
  return { reply: { accepted: false, code, reason } };
}
