/** The answer of an `ask`: its reply first, for pipes; state and place behind, faint. */
import { compact, pretty, stateValue } from './format.ts';
import type { Palette } from './palette.ts';

const ONE_LINE_MAX = 100;

export interface Answer {
  readonly reply?: unknown;
  readonly value: unknown;
  readonly commit: { readonly shard: number; readonly index: number };
}

export function answerLines({ reply, value, commit }: Answer, palette: Palette): string[] {
  const remark = palette.faint(
    `state ${compact(stateValue(value))} · commit ${commit.shard}.${commit.index}`,
  );
  if (reply === undefined) return [`${palette.good('✓')} done  ${remark}`];
  const oneLine = JSON.stringify(reply) ?? 'null';
  return oneLine.length <= ONE_LINE_MAX ? [`${oneLine}  ${remark}`] : [...pretty(reply), remark];
}
