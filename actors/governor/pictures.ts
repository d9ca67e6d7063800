/** Budgets and breakers as a person reads them. Pure. */

import type { Out } from '#runtime/cli/io';
import { span } from '#runtime/cli/render/format';
import { table } from '#runtime/cli/render/table';
import type { BreakerView } from '#schemas/breaker';
import type { AccountView, Amounts } from '#schemas/budget';
import { formatMoney } from '#schemas/money';
import { type Forecast, forecastOf } from './forecast.ts';

type Place = Pick<Out, 'palette' | 'width'>;

/** All of one tree, each below the account that it belongs to. */
export function treeTable(accounts: readonly AccountView[], place: Place): string[] {
  const rows = inOrder(accounts).map(({ account, depth }) => [
    `${'  '.repeat(depth)}${account.account}`,
    share(account),
    money(account.spent.micros + account.over.micros, account),
    money(account.reserved.micros, account),
    bound(account, 'micros'),
    `${account.spent.tokens + account.over.tokens}`,
    bound(account, 'tokens'),
    account.period,
  ]);
  const columns = ['ACCOUNT', 'USED', 'SPENT', 'HELD', 'LIMIT', 'TOKENS', 'OF', 'PERIOD'].map((title, n) => ({
    title,
    align: n > 0 && n < 7 ? ('right' as const) : ('left' as const),
  }));
  return table(columns, rows, place);
}

export function accountLines(
  account: AccountView,
  above: readonly AccountView[],
  now: number,
  { palette }: Place,
): string[] {
  const { spent, over, reserved, limit, degrade, period, zone, until } = account;
  const used = (measure: keyof Amounts): number => spent[measure] + over[measure];
  const head = `${account.account}  ${share(account)}${account.level === 100 ? palette.bad('  exhausted') : ''}`;
  return [
    head,
    `  money     ${money(used('micros'), account)} of ${bound(account, 'micros')}, ${money(reserved.micros, account)} held`,
    `  tokens    ${used('tokens')} of ${bound(account, 'tokens')}, ${reserved.tokens} held`,
    ...(over.micros > 0 || over.tokens > 0
      ? [`  over      ${money(over.micros, account)} and ${over.tokens} tokens were spent without room`]
      : []),
    `  period    ${period}${period === 'total' ? '' : ` in ${zone}, ${until === null ? 'its end is not known yet' : `ends in ${span(until - now)}`}`}`,
    ...(degrade === null
      ? []
      : [`  from ${degrade.at} %  ${degrade.to === 'queue' ? 'work waits' : `model ${degrade.model}`}`]),
    ...(limit.micros === null && limit.tokens === null ? ['  no limit of its own'] : []),
    ...(above.length === 0 ? [] : [`  above     ${above.map(({ account: name }) => name).join(', ')}`]),
    `  forecast  ${forecastText(account, forecastOf(account, now), now)}`,
  ];
}

export function forecastTable(accounts: readonly AccountView[], now: number, place: Place): string[] {
  const rows = inOrder(accounts).map(({ account }) => {
    const forecast = forecastOf(account, now);
    return [
      account.account,
      `${money(forecast.microsPerHour, account)}`,
      `${forecast.tokensPerHour}`,
      forecastText(account, forecast, now),
    ];
  });
  const columns = [
    { title: 'ACCOUNT' },
    { title: 'AN HOUR', align: 'right' as const },
    { title: 'TOKENS', align: 'right' as const },
    { title: 'FORECAST' },
  ];
  return table(columns, rows, place);
}

function forecastText(
  account: AccountView,
  { exhaustedAt, isExhausted, microsPerHour, tokensPerHour }: Forecast,
  now: number,
): string {
  if (isExhausted)
    return account.until === null ? 'exhausted' : `exhausted, for ${span(account.until - now)}`;
  if (exhaustedAt !== null) return `exhausted at ${timeIn(account.zone, exhaustedAt, now)}`;
  if (microsPerHour === 0 && tokensPerHour === 0) return 'nothing was spent lately';
  return account.until === null ? 'there is no limit' : 'lasts until the period ends';
}

/** `14:20`, with the date on other days, as clocks there show it. */
export function timeIn(zone: string, at: number, now: number): string {
  const day = (time: number): string =>
    format(zone, time, { year: 'numeric', month: '2-digit', day: '2-digit' });
  const time = format(zone, at, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  return day(at) === day(now) ? time : `${day(at)} ${time}`;
}

function format(timeZone: string, at: number, fields: Intl.DateTimeFormatOptions): string {
  // Swedes write dates as ISO 8601 does.
  return new Intl.DateTimeFormat('sv-SE', { timeZone, ...fields }).format(at);
}

export function breakerTable(breakers: readonly BreakerView[], now: number, place: Place): string[] {
  const rows = breakers.map(({ id, status, failures, reason, retryAt, probe, changedAt }) => [
    id,
    status === 'open' ? place.palette.bad(status) : status.replace('_', ' '),
    `${failures}`,
    changedAt === null ? '' : `${span(now - changedAt)} ago`,
    status === 'closed'
      ? ''
      : status === 'half_open'
        ? probe === null
          ? 'lets one try'
          : `${probe} tries`
        : retryAt === null
          ? 'waits for a reset'
          : `tried in ${span(retryAt - now)}`,
    reason ?? '',
  ]);
  const columns = ['BREAKER', 'STATE', 'FAILURES', 'SINCE', 'NEXT', 'WHY'].map((title) => ({ title }));
  return table(columns, rows, place);
}

/** Parents before their children, by name. */
function inOrder(
  accounts: readonly AccountView[],
): readonly { readonly account: AccountView; readonly depth: number }[] {
  const below = Map.groupBy(accounts, ({ parent }) => parent);
  const under = (parent: string | null, depth: number): { account: AccountView; depth: number }[] =>
    (below.get(parent) ?? []).flatMap((account) => [
      { account, depth },
      ...under(account.account, depth + 1),
    ]);
  return under(null, 0);
}

function money(micros: number, { currency }: AccountView): string {
  return `${formatMoney(micros)} ${currency}`;
}

function bound(account: AccountView, measure: keyof Amounts): string {
  const limit = account.limit[measure];
  if (limit === null) return 'no limit';
  const all = limit + account.extra[measure];
  return measure === 'micros' ? money(all, account) : `${all}`;
}

function share(account: AccountView): string {
  const percents = (['micros', 'tokens'] as const).flatMap((measure) => {
    const limit = account.limit[measure];
    if (limit === null) return [];
    const all = limit + account.extra[measure];
    const used = account.spent[measure] + account.over[measure];
    return [all === 0 ? 100 : Math.floor((used * 100) / all)];
  });
  return percents.length === 0 ? '–' : `${Math.max(...percents)} %`;
}
