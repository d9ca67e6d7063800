/** When a budget will be used up, by what was spent in the last hour. Pure: `now` is an argument. */
import type { AccountView } from '#schemas/budget';

/** A rate of less time than this would be one of single calls. */
const OBSERVED_MS_MIN = 60_000;
const HOUR_MS = 3_600_000;

export interface Forecast {
  /** Spent in an hour, at the rate of the last one. */
  readonly microsPerHour: number;
  readonly tokensPerHour: number;
  /** Null: not before the period ends, or nothing was spent lately, or there is no limit. */
  readonly exhaustedAt: number | null;
  readonly isExhausted: boolean;
}

export function forecastOf(account: AccountView, now: number): Forecast {
  const { marks, total, limit, extra, spent, over, until, level } = account;
  const since = marks.find(([at]) => at >= now - HOUR_MS) ?? marks.at(-1);
  const observedMs = since === undefined ? OBSERVED_MS_MIN : Math.max(OBSERVED_MS_MIN, now - since[0]);
  const rates = {
    micros: since === undefined ? 0 : (total.micros - since[1]) / observedMs,
    tokens: since === undefined ? 0 : (total.tokens - since[2]) / observedMs,
  };
  const ends = (['micros', 'tokens'] as const).flatMap((measure) => {
    const bound = limit[measure];
    if (bound === null || rates[measure] <= 0) return [];
    const left = Math.max(0, bound + extra[measure] - spent[measure] - over[measure]);
    return [now + Math.round(left / rates[measure])];
  });
  const soonest = ends.length === 0 ? null : Math.min(...ends);
  return {
    microsPerHour: Math.round(rates.micros * HOUR_MS),
    tokensPerHour: Math.round(rates.tokens * HOUR_MS),
    exhaustedAt: soonest === null || (until !== null && soonest >= until) ? null : soonest,
    isExhausted: level === 100,
  };
}
