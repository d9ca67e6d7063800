/** What a reload does or would do, one line a change. */
import type { Plan, PlanItem } from '#schemas/supervisor';
import { plural } from './format.ts';
import type { Palette } from './palette.ts';

const ITEMS_MAX = 200;

export function isEmptyPlan(plan: Plan): boolean {
  return [plan.start, plan.stop, plan.restart, plan.migrate, plan.update].every((list) => list.length === 0);
}

export function planLines(plan: Plan, palette: Palette, dryRun: boolean): string[] {
  if (isEmptyPlan(plan)) {
    return [`Nothing to change: ${plural(plan.unchanged, 'child stays', 'children stay')} as they are.`];
  }
  const groups: readonly [string, (text: string) => string, string, readonly PlanItem[]][] = [
    ['-', palette.bad, 'stop', plan.stop],
    ['+', palette.good, 'start', plan.start],
    ['±', palette.warn, 'restart', plan.restart],
    ['→', palette.warn, 'migrate', plan.migrate],
    ['~', palette.faint, 'update', plan.update],
  ];
  const lines: string[] = [];
  for (const [sign, paint, verb, items] of groups) {
    for (const item of items.slice(0, ITEMS_MAX))
      lines.push(planLine(paint(`${sign} ${verb.padEnd(7)}`), item, palette));
    if (items.length > ITEMS_MAX)
      lines.push(palette.faint(`  … ${plural(items.length - ITEMS_MAX, 'more', 'more')}`));
  }
  const counts = groups
    .filter(([, , , items]) => items.length > 0)
    .map(([, , verb, items]) => `${items.length} to ${verb}`);
  lines.push('', `${palette.strong(counts.join(', '))}, ${plan.unchanged} unchanged.`);
  lines.push(
    palette.faint(dryRun ? 'Dry run: nothing was done. Without --dry-run it is applied.' : 'Applied.'),
  );
  return lines;
}

function planLine(sign: string, item: PlanItem, palette: Palette): string {
  const machine = item.from === undefined ? item.machine : `${item.from} → ${item.machine}`;
  return `${sign} ${palette.name(item.address)}  ${palette.faint(machine)}  ${item.why}`.trimEnd();
}
