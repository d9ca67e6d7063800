/** What `doctor` found: a mark, what was looked at, what was seen, and what to do about it. */
import type { Palette } from './palette.ts';

export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail' | 'skip';
  readonly seen: string;
  /** What to do; for warnings and failures. */
  readonly todo?: string;
}

export function checkLines(checks: readonly Check[], palette: Palette): string[] {
  const marks = {
    ok: palette.good('✓'),
    warn: palette.warn('!'),
    fail: palette.bad('✗'),
    skip: palette.faint('–'),
  };
  const width = Math.max(0, ...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, state, seen, todo }) => {
    const line = `${marks[state]} ${name.padEnd(width)}  ${state === 'skip' ? palette.faint(seen) : seen}`;
    return todo === undefined ? [line] : [line, `  ${' '.repeat(width)}  ${palette.name('→')} ${todo}`];
  });
  return [...lines, '', verdict(checks, palette)];
}

function verdict(checks: readonly Check[], palette: Palette): string {
  const failed = checks.filter(({ state }) => state === 'fail').length;
  const warned = checks.filter(({ state }) => state === 'warn').length;
  if (failed > 0)
    return palette.bad(`${failed} to fix before it works${warned > 0 ? `, ${warned} to look at` : ''}.`);
  if (warned > 0) return palette.warn(`Works; ${warned} to look at.`);
  return palette.good('All is well.');
}
