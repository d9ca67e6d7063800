/** Edges of periods in a time zone, over days of 23 and 25 hours. Pure, but for the table of zones that Node brings along. */

/** Edges that are worked out at a time: a ledger asks for more when few are ahead. */
const EDGES = 16;
const DAY_MS = 86_400_000;

type Period = 'day' | 'week' | 'month';

/** A date of the calendar, without a time. */
interface Day {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
}

export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    // That is how Intl says no.
    return false;
  }
}

/** When the period that holds `at` began, and when it and those after it end, ms since the epoch. Weeks begin on Monday. */
export function periodEdges(period: Period, zone: string, at: number): number[] {
  const local = fieldsOf(zone);
  const first = firstDay(period, local(at));
  return Array.from({ length: EDGES }, (_, n) => beginOf(shifted(period, first, n), local));
}

interface Fields extends Day {
  /** The local time as if it were UTC. */
  readonly asUtc: number;
}

function fieldsOf(zone: string): (at: number) => Fields {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (at) => {
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
    const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
    const [year, month, day] = [of('year'), of('month'), of('day')];
    return {
      year,
      month,
      day,
      asUtc: Date.UTC(year, month - 1, day, of('hour'), of('minute'), of('second')),
    };
  };
}

function firstDay(period: Period, { year, month, day }: Day): Day {
  if (period === 'month') return { year, month, day: 1 };
  if (period === 'day') return { year, month, day };
  const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay();
  return normal(year, month, day - ((weekday + 6) % 7));
}

function shifted(period: Period, { year, month, day }: Day, n: number): Day {
  if (period === 'month') return normal(year, month + n, 1);
  return normal(year, month, day + n * (period === 'week' ? 7 : 1));
}

function normal(year: number, month: number, day: number): Day {
  const date = new Date(Date.UTC(year, month - 1, day));
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

/** The first moment of a local day, which is not midnight where clocks are put forward at midnight. */
function beginOf({ year, month, day }: Day, local: (at: number) => Fields): number {
  const midnight = Date.UTC(year, month - 1, day);
  // Zones are at most 14 hours from UTC: the day begins between these, and local time there only grows past midnight.
  let before = midnight - DAY_MS;
  let after = midnight + DAY_MS;
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (local(middle).asUtc >= midnight) after = middle;
    else before = middle;
  }
  return after;
}
