/**
 * Periods. Where a day begins depends on a table that people change, so no machine works it out: the driver `calendar`
 * says it, and its answer is an entry. Until it is known, a period does not end.
 */
import { z } from 'zod';
import type { Period } from '#schemas/budget';
import { type Change, withAccounts } from './change.ts';
import { type Account, type Calendar, type LedgerContext, NOTHING } from './context.ts';
import { rowsOf } from './table.ts';

export const CALENDAR = 'calendar';
export const TURN = 'turn';
/** Edges that should be known beforehand: fewer, and the driver is asked for more. */
const AHEAD_MIN = 4;
const ASK_AGAIN_MS = 60_000;

const answerSchema = z.object({
  calendars: z.record(
    z.string(),
    z.object({ edges: z.array(z.int()).max(1_000), problem: z.string().nullable() }),
  ),
});

export function calendarKey({ period, zone }: Pick<Account, 'period' | 'zone'>): string {
  return `${period} ${zone}`;
}

/** When the period that holds `at` began and ends, by what is known. */
export function periodAt(
  calendars: LedgerContext['calendars'],
  account: { readonly period: Period; readonly zone: string },
  at: number,
): { readonly since: number; readonly until: number } | undefined {
  if (account.period === 'total') return undefined;
  const edges = calendars[calendarKey(account)]?.edges ?? [];
  const since = edges.findLast((edge) => edge <= at);
  const until = edges.find((edge) => edge > at);
  return since === undefined || until === undefined ? undefined : { since, until };
}

/** Accounts whose period is over, in their next one: nothing is spent in it yet; what is held stays held. */
function turned(
  calendars: LedgerContext['calendars'],
  accounts: readonly Account[],
  at: number,
): readonly Account[] {
  return accounts.flatMap((account) => {
    if (account.until === null || account.until > at) return [];
    const next = periodAt(calendars, account, at);
    const since = next?.since ?? account.until;
    return [{ ...account, since, until: next?.until ?? null, spent: NOTHING, over: NOTHING, extra: NOTHING }];
  });
}

/** B7: before anything is decided, periods that are over have ended. */
export function turn(context: LedgerContext, accounts: readonly Account[], at: number): Change {
  if (!accounts.some(({ until }) => until !== null && until <= at)) return {};
  const over = turned(context.calendars, accounts, at);
  const change = withAccounts(context, over, 'turned', { isAnew: true });
  return { patch: { accounts: change.accounts }, mail: change.mail };
}

/** The timer of periods has fired, or something changed that it depends on. */
export function awaited(context: LedgerContext, at: number): Change {
  const accounts = rowsOf(context.accounts);
  const known = accounts.flatMap(({ until }) => (until === null ? [] : [until]));
  const next = known.length === 0 ? null : Math.min(...known);
  const missing = [
    ...new Map(
      accounts
        .filter(({ period }) => period !== 'total')
        .map((account) => [calendarKey(account), account] as const)
        .filter(([key]) => needsMore(context.calendars[key], at)),
    ).values(),
  ];
  const asks = !context.asking && missing.length > 0;
  return {
    patch: { turnDue: next, ...(asks && { asking: true }) },
    ...(next === null
      ? { cancelled: [TURN] }
      : next !== context.turnDue && { timers: [{ id: TURN, delayMs: Math.max(1, next - at) }] }),
    ...(asks && {
      effects: [
        {
          id: CALENDAR,
          driver: CALENDAR,
          input: {
            at,
            wanted: missing.map(({ period, zone }) => ({ key: `${period} ${zone}`, period, zone })),
          },
        },
      ],
    }),
  };
}

function needsMore(calendar: Calendar | undefined, at: number): boolean {
  if (calendar === undefined) return true;
  return calendar.problem === null && calendar.edges.filter((edge) => edge > at).length < AHEAD_MIN;
}

/** What the driver knows. */
export function learnt(context: LedgerContext, output: unknown, at: number): Change {
  const parsed = answerSchema.safeParse(output);
  if (!parsed.success) return unanswered(context);
  // What no account needs any more is let go.
  const needed = new Set(rowsOf(context.accounts).map(calendarKey));
  const calendars = Object.fromEntries(
    Object.entries({ ...context.calendars, ...parsed.data.calendars }).filter(([key]) => needed.has(key)),
  );
  const problems = Object.entries(parsed.data.calendars).filter(([, { problem }]) => problem !== null);
  // Whose first period was not known is in it now, with all it spent so far.
  const begun = rowsOf(context.accounts).flatMap((account) => {
    if (account.until !== null) return [];
    const period = periodAt(calendars, account, at);
    return period === undefined ? [] : [{ ...account, ...period }];
  });
  const { accounts, mail } = withAccounts(context, begun, 'set');
  const next = { ...context, calendars, accounts, asking: false };
  const then = awaited(next, at);
  return {
    ...then,
    patch: { calendars, accounts, asking: false, ...then.patch },
    mail,
    ended: [CALENDAR],
    ...(problems.length > 0 && {
      log: { severity: 'HIGH', message: { type: 'no_calendar', problems: Object.fromEntries(problems) } },
    }),
  };
}

/** The driver gave up: it is asked again. */
export function unanswered(_context: LedgerContext): Change {
  return {
    patch: { asking: false, turnDue: null },
    ended: [CALENDAR],
    timers: [{ id: TURN, delayMs: ASK_AGAIN_MS }],
    log: { severity: 'WARN', message: { type: 'calendar_unanswered' } },
  };
}
