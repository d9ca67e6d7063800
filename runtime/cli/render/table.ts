/** Aligned columns without borders, cut to the width of the terminal. */
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import type { Palette } from './palette.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

const GAP = 2;
/** A column is never cut below this, whatever the terminal. */
const COLUMN_WIDTH_MIN = 6;
const NO_BORDERS = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
    'mid-mid',
    'right',
    'right-mid',
  ].map((name) => [name, '']),
);

/** Lines of a table: a faint head, then the rows. The widest column gives way first when `width` is too small. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { palette, width }: { readonly palette: Palette; readonly width: number },
): string[] {
  const widths = columnWidths(columns, rows, width);
  const built = new Table({
    chars: { ...NO_BORDERS, middle: '' },
    style: { 'padding-left': 0, 'padding-right': GAP, head: [], border: [], compact: true },
    colWidths: widths.map((column) => column + GAP),
    colAligns: columns.map(({ align = 'left' }) => align),
    wordWrap: false,
  });
  built.push(
    columns.map(({ title }) => palette.faint(title)),
    ...rows.map((row) => [...row]),
  );
  return built
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

function columnWidths(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): number[] {
  const widths = columns.map(({ title }, index) =>
    rows.reduce((widest, row) => Math.max(widest, visible(row[index] ?? '')), visible(title)),
  );
  let excess = widths.reduce((sum, column) => sum + column + GAP, -GAP) - width;
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    const current = widths[widest] ?? 0;
    if (current <= COLUMN_WIDTH_MIN) break;
    const next = Math.max(COLUMN_WIDTH_MIN, current - excess, secondWidest(widths, widest));
    const less = next === current ? 1 : current - next;
    widths[widest] = current - less;
    excess -= less;
  }
  return widths;
}

function secondWidest(widths: readonly number[], widest: number): number {
  return Math.max(0, ...widths.filter((_, index) => index !== widest));
}

/** Columns a text takes, colours left out. */
export function visible(text: string): number {
  return stripVTControlCharacters(text).length;
}
