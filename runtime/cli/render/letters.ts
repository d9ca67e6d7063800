/** Dead letters as a list, and one in full. */
import type { Letter } from '../realm.ts';
import { clock, compact, pretty, relative } from './format.ts';
import type { Palette } from './palette.ts';
import { table } from './table.ts';

interface Place {
  readonly palette: Palette;
  readonly width: number;
}

const COLUMNS = [
  { title: 'NO', align: 'right' as const },
  { title: 'WHEN' },
  { title: 'ACTOR' },
  { title: 'REASON' },
  { title: 'MESSAGE' },
];
const LABEL_WIDTH = 9;

export function letterTable(letters: readonly Letter[], now: number, place: Place): string[] {
  const { palette } = place;
  if (letters.length === 0) return [`${palette.good('✓')} No dead letters: everything that came was taken.`];
  const rows = letters.map(({ seq, at, actor, error, body }) => [
    String(seq),
    relative(at, now),
    palette.name(actor),
    palette.bad(error.code),
    compact(body, 60),
  ]);
  const hint = palette.faint('infrafabric dead show NO  ·  infrafabric dead retry NO');
  return [...table(COLUMNS, rows, place), '', hint];
}

export function letterLines(letter: Letter, now: number, { palette }: Place): string[] {
  const { seq, actor, at, error, body, contentType, from, shard, index } = letter;
  const field = (label: string, text: string): string => `${palette.faint(label.padEnd(LABEL_WIDTH))}${text}`;
  return [
    `${palette.bad('✗')} ${palette.strong(`dead letter ${seq}`)} for ${palette.name(actor)}`,
    '',
    field('reason', `${palette.bad(error.code)}: ${error.message}`),
    ...(error.help === undefined ? [] : [field('help', error.help)]),
    ...(error.details === undefined ? [] : [field('details', compact(error.details, 200))]),
    field('when', `${clock(at, now)} (${relative(at, now)})`),
    ...(from === undefined ? [] : [field('from', from)]),
    field('commit', `${shard}.${index}`),
    field('type', contentType ?? 'application/json'),
    '',
    ...pretty(body),
    '',
    palette.faint(`infrafabric dead retry ${seq} sends it again`),
  ];
}
