/** Numbers, times and values as a person reads them. Pure: `now` is an argument. */

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Below it, a run measures its own start. */
const PACED_MIN = 1_000;

/** `850 ms`, `4.2 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`: two units at most. */
export function span(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < SECOND_MS) return `${whole} ms`;
  if (whole < 10 * SECOND_MS) return `${(Math.floor(whole / 100) / 10).toString()} s`;
  if (whole < MINUTE_MS) return `${Math.floor(whole / SECOND_MS)} s`;
  if (whole < HOUR_MS) return two(whole, MINUTE_MS, 'm', SECOND_MS, 's');
  if (whole < DAY_MS) return two(whole, HOUR_MS, 'h', MINUTE_MS, 'm');
  return two(whole, DAY_MS, 'd', HOUR_MS, 'h');
}

/** `in 4.2 s`, `now`, `3 m ago`. */
export function relative(at: number, now: number): string {
  const distance = at - now;
  if (Math.abs(distance) < 50) return 'now';
  return distance > 0 ? `in ${span(distance)}` : `${span(-distance)} ago`;
}

/** `14:03:22.120` today, with the date on other days; local time. */
export function clock(at: number, now: number): string {
  const date = new Date(at);
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${time}`;
}

/** `1 234 567`: thin groups, no locale. */
export function count(value: number): string {
  return String(Math.trunc(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ' ');
}

/** `in 4.2 s, 6 957 a second`; without the rate where so few say nothing about it. */
export function pace(done: number, tookMs: number, what = ''): string {
  const rate =
    done < PACED_MIN ? '' : `, ${count(done / Math.max(tookMs / SECOND_MS, 0.001))}${what} a second`;
  return `in ${span(tookMs)}${rate}`;
}

/** `3 actors`, `1 actor`. */
export function plural(value: number, one: string, many: string = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A state value on one line: `idle`, `busy.waiting`, `a.x + b.y` for parallel states. */
export function stateValue(value: unknown): string {
  return valueText(value) || '–';
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return value === undefined ? '' : String(value);
  return Object.entries(value)
    .map(([key, inner]) => {
      const below = valueText(inner);
      return below === '' || below === '{}'
        ? key
        : below.includes(' + ')
          ? `${key}(${below})`
          : `${key}.${below}`;
    })
    .join(' + ');
}

/** Data on one line, cut at `max` characters. */
export function compact(value: unknown, max = 80): string {
  if (value === undefined) return '';
  const text = typeof value === 'string' ? value : (JSON.stringify(value, plainBytes) ?? String(value));
  return cut(text, max);
}

/** Control characters of foreign data never reach a terminal. */
export function cut(text: string, max: number): string {
  const safe = text.replace(/\p{Cc}/gu, ' ');
  return safe.length <= max ? safe : `${safe.slice(0, Math.max(0, max - 1))}…`;
}

/** Indented JSON for reading. */
export function pretty(value: unknown): string[] {
  return (JSON.stringify(value, plainBytes, 2) ?? 'undefined').split('\n');
}

/** JSON replacer: bytes as base64 instead of an object with a key per byte. */
export function plainBytes(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'Buffer' &&
    'data' in value
  ) {
    return Buffer.from(value.data as number[]).toString('base64');
  }
  return typeof value === 'bigint' ? value.toString() : value;
}

function two(ms: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % big) / small);
  return `${Math.floor(ms / big)} ${bigName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}

function pad(value: number, width = 2): string {
  return String(value).padStart(width, '0');
}
