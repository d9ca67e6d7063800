/** Log entries, one a line: when, where, what happened to whom, and what came of it. */
import type { Cause, Entry } from '#schemas/commit';
import { clock, compact, cut, stateValue } from './format.ts';
import type { Palette } from './palette.ts';

/** An entry with its place in the log. */
export interface LogItem<E = Entry> {
  readonly shard: number;
  /** Index of the commit in its shard. */
  readonly index: number;
  /** Number of the entry in its commit, from 0. */
  readonly n: number;
  /** Time of the commit, ms since the epoch. */
  readonly at: number;
  readonly entry: E;
}

interface Place {
  readonly palette: Palette;
  readonly width: number;
}

const ACTOR_WIDTH = 24;
const EVENT_WIDTH = 20;
const PLACE_WIDTH = 10;

export function logLines(
  items: readonly LogItem[],
  now: number,
  place: Place,
  options: { readonly actor?: boolean } = {},
): string[] {
  return items.map((item) => logLine(item, now, place, options));
}

export function logLine(
  { shard, index, n, at, entry }: LogItem,
  now: number,
  { palette, width }: Place,
  { actor = true }: { readonly actor?: boolean } = {},
): string {
  const where = `${shard}.${index}${n === 0 ? '' : `+${n}`}`.padEnd(PLACE_WIDTH);
  const columns = [palette.faint(clock(at, now)), palette.faint(where)];
  if (actor) columns.push(palette.name(cut(entry.actor, ACTOR_WIDTH).padEnd(ACTOR_WIDTH)));
  const event = cut(eventName(entry), EVENT_WIDTH).padEnd(EVENT_WIDTH);
  columns.push(entry.op === 'dead' ? palette.bad(event) : palette.strong(event));
  const used = clock(at, now).length + PLACE_WIDTH + EVENT_WIDTH + (actor ? ACTOR_WIDTH + 2 : 0) + 6;
  columns.push(outcome(entry, Math.max(20, width - used), palette));
  return columns.join('  ').trimEnd();
}

/** The event's type, or what was done to the actor. */
export function eventName(entry: Entry): string {
  const type = typeOf(entry.event);
  const op = entry.op ?? 'event';
  if (op === 'event') return delayText(type) ?? 'event';
  return type === undefined || op === 'spawn' ? op : `${op} ${type}`;
}

/** XState's own name for the end of a delay, `xstate.after.500.(machine).open`, in words. */
function delayText(type: string | undefined): string | undefined {
  const [, delay] = /^xstate\.after\.([^.]+)\./.exec(type ?? '') ?? [];
  if (delay === undefined) return type;
  return /^\d+$/.test(delay) ? `after ${delay} ms` : `after ${delay}`;
}

/** Where an entry came from, in a few words. */
export function causeText(cause: Cause): string {
  switch (cause.kind) {
    case 'ask':
    case 'inbox':
      return cause.from === undefined ? cause.kind : `${cause.kind} of ${cause.from}`;
    case 'mail':
      return `from ${cause.from}`;
    case 'timer':
      return `timer ${cause.id}`;
    case 'effect':
      return `effect ${cause.key}`;
    case 'admin':
      return `by ${cause.by}`;
  }
}

function outcome(entry: Entry, max: number, palette: Palette): string {
  const cause = cut(causeText(entry.cause), 40);
  if (entry.op === 'dead') {
    const { code = 'refused', message = '' } = entry.error ?? {};
    return `${palette.bad(code)} ${cut(message, Math.max(10, max - code.length - 1))}`;
  }
  const change = stateChange(entry);
  const reply = entry.reply === undefined ? '' : `⇒ ${compact(entry.reply, 40)}`;
  const parts = [change, reply].filter((part) => part !== '').join('  ');
  const room = max - parts.length - 2;
  return room >= cause.length
    ? `${parts}${parts === '' ? '' : '  '}${palette.faint(cause)}`
    : cut(parts, max);
}

function stateChange({ before, after, op }: Entry): string {
  if (op === 'note' || (before === undefined && after === undefined)) return '';
  const [from, to] = [stateValue(before), stateValue(after)];
  return before === undefined || from === to ? to : `${from} → ${to}`;
}

function typeOf(event: unknown): string | undefined {
  if (typeof event !== 'object' || event === null || !('type' in event)) return undefined;
  return typeof event.type === 'string' ? event.type : undefined;
}
