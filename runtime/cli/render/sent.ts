/** What became of a file of messages. */
import type { Refusal, SendResult } from '../send-lines.ts';
import { plural, span } from './format.ts';
import type { Palette } from './palette.ts';
import { table } from './table.ts';

/** Refusals listed one by one; a wrong file refuses every line for the same reason. */
const REFUSALS_SHOWN = 20;

export function refusalLines(
  refusals: readonly Refusal[],
  place: { readonly palette: Palette; readonly width: number },
): string[] {
  if (refusals.length === 0) return [];
  const { palette } = place;
  const rows = refusals
    .slice(0, REFUSALS_SHOWN)
    .map(({ line, to, error }) => [
      String(line),
      palette.name(to ?? '–'),
      palette.bad(error.code),
      error.message,
    ]);
  const lines = table(
    [{ title: 'LINE', align: 'right' }, { title: 'TO' }, { title: 'REASON' }, { title: 'WHY' }],
    rows,
    place,
  );
  const more = refusals.length - REFUSALS_SHOWN;
  return [
    ...lines,
    ...(more > 0 ? [palette.faint(`… and ${plural(more, 'more', 'more')}; --json lists all`)] : []),
    '',
  ];
}

export function summaryLine({ sent, lines, refusals }: SendResult, tookMs: number, palette: Palette): string {
  if (lines === 0) return 'No lines: nothing was sent.';
  const mark = refusals.length === 0 ? palette.good('✓') : palette.bad('✗');
  const refused =
    refusals.length === 0 ? 'none refused' : palette.bad(`${plural(refusals.length, 'refusal')}`);
  return `${mark} ${plural(sent, 'message')} sent in ${span(tookMs)}, ${refused}`;
}
