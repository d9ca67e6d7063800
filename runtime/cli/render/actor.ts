/** What `show` says of one actor. */
import type { ShowReply } from '#runtime/node/api';
import type { Entry } from '#schemas/commit';
import { compact, plural, pretty, relative, stateValue } from './format.ts';
import { type LogItem, logLines } from './log.ts';
import type { Palette } from './palette.ts';
import { table } from './table.ts';
import { statusGlyph, statusWord } from './tree.ts';

interface Place {
  readonly palette: Palette;
  readonly width: number;
}

const LABEL_WIDTH = 10;

/** `entries` in the order of the log. */
export function actorLines(
  actor: ShowReply,
  entries: readonly LogItem<Entry>[],
  now: number,
  place: Place,
): string[] {
  const { palette } = place;
  const { address, machine, status, value, context, parent, output, error, timers, effects } = actor;
  const field = (label: string, text: string): string => `${palette.faint(label.padEnd(LABEL_WIDTH))}${text}`;
  const lines = [
    `${statusGlyph(status, palette)} ${palette.strong(address)}  ${statusWord(status, palette)}`,
    '',
    field('state', palette.strong(compact(stateValue(value), place.width - LABEL_WIDTH))),
    field('machine', machine),
  ];
  if (parent !== undefined) lines.push(field('parent', palette.name(parent)));
  lines.push(...block('context', context, field));
  if (output !== undefined) lines.push(...block('output', output, field));
  if (error !== undefined) lines.push(...block('error', error, field));
  const counts = [plural(timers.length, 'timer'), plural(effects.length, 'pending effect')] as const;
  const hasNone = timers.length + effects.length === 0;
  lines.push('', heading(hasNone ? counts.join(', ') : counts[0], palette));
  if (timers.length > 0) {
    const rows = timers.map(({ id, dueAt, event }) => [id, relative(dueAt, now), compact(event, 60)]);
    lines.push(...indent(table([{ title: 'ID' }, { title: 'DUE' }, { title: 'EVENT' }], rows, place)));
  }
  if (!hasNone) lines.push('', heading(counts[1], palette));
  if (effects.length > 0) {
    const rows = effects.map(({ key, driver, input }) => [key, driver, compact(input, 60)]);
    lines.push(...indent(table([{ title: 'KEY' }, { title: 'DRIVER' }, { title: 'INPUT' }], rows, place)));
  }
  lines.push('', heading(entries.length === 0 ? 'no entries in the log' : 'last entries', palette));
  lines.push(...indent(logLines(entries, now, { ...place, width: place.width - 2 }, { actor: false })));
  return lines;
}

function heading(text: string, palette: Palette): string {
  return palette.strong(text);
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

/** Short data beside its label, longer data as a block below the label's column. */
function block(label: string, value: unknown, field: (label: string, text: string) => string): string[] {
  const oneLine = JSON.stringify(value) ?? '–';
  if (oneLine.length <= 60) return [field(label, compact(value, 60) || '–')];
  const [first = '', ...rest] = pretty(value);
  return [field(label, first), ...rest.map((line) => `${' '.repeat(LABEL_WIDTH)}${line}`)];
}
