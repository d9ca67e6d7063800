/** What the log holds of a subject, by actor. */
import { count, plural, relative } from './format.ts';
import type { Palette } from './palette.ts';
import { table } from './table.ts';

/** Entries of one actor that hold data of the subject. */
export interface HeldBy {
  readonly actor: string;
  readonly entries: number;
  /** ms since the epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** JSON Pointers of the fields as they came. */
  readonly fields: readonly string[];
}

const COLUMNS = [
  { title: 'ACTOR' },
  { title: 'ENTRIES', align: 'right' as const },
  { title: 'FIRST' },
  { title: 'LAST' },
  { title: 'FIELDS' },
];

export function holdingLines(
  subject: string,
  held: readonly HeldBy[],
  now: number,
  place: { readonly palette: Palette; readonly width: number },
): string[] {
  const { palette } = place;
  if (held.length === 0) return [`The log holds no personal data of ${palette.name(subject)}.`];
  const rows = held.map(({ actor, entries, firstAt, lastAt, fields }) => [
    palette.name(actor),
    count(entries),
    relative(firstAt, now),
    relative(lastAt, now),
    fields.join(', '),
  ]);
  const all = held.reduce((sum, { entries }) => sum + entries, 0);
  return [
    ...table(COLUMNS, rows, place),
    '',
    `${plural(all, 'entry', 'entries')} of ${plural(held.length, 'actor')} hold data of ${palette.name(subject)}; nothing was changed.`,
  ];
}
