/** What applying one spec over another does, as data and as text: the same decision that supervisors make. */

import { diffChildren, ruleChanges } from '#schemas/spec-diff';
import type { ChildSpec, Plan, PlanItem, SupervisorSpec } from '#schemas/supervisor';
import { ROOT_SUPERVISOR } from '#schemas/supervisor';

/** The plan of a first start has everything under `start`: give no spec before. */
export function planOf(before: SupervisorSpec | undefined, after: SupervisorSpec): Plan {
  const plan: Draft = { start: [], stop: [], restart: [], migrate: [], update: [], unchanged: 0 };
  if (before === undefined)
    for (const child of after.children) addTree(plan.start, child, 'new in the config');
  else diffInto(plan, before, after, ROOT_SUPERVISOR);
  return plan;
}

/** True when applying it does nothing. */
export function isEmptyPlan(plan: Plan): boolean {
  return LISTS.every((list) => plan[list].length === 0);
}

/** One line per change, `+ task/P0.1.1  task@1  new in the config`, and a closing count. */
export function renderPlan(plan: Plan): string {
  const items = LISTS.flatMap((list) => plan[list].map((item) => ({ sign: SIGNS[list], item })));
  const widest = (pick: (item: PlanItem) => string) =>
    Math.max(0, ...items.map(({ item }) => pick(item).length));
  const addressWidth = widest(({ address }) => address);
  const machineWidth = widest(machineText);
  const lines = items.map(
    ({ sign, item }) =>
      `${sign} ${item.address.padEnd(addressWidth)}  ${machineText(item).padEnd(machineWidth)}  ${item.why}`,
  );
  const counts = LISTS.filter((list) => plan[list].length > 0).map(
    (list) => `${plan[list].length} to ${list}`,
  );
  return [...lines, [...counts, `${plan.unchanged} unchanged`].join(', ')].join('\n');
}

const LISTS = ['stop', 'migrate', 'update', 'restart', 'start'] as const;
const SIGNS = { start: '+', stop: '-', restart: '±', migrate: '→', update: '~' } as const;

interface Draft {
  start: PlanItem[];
  stop: PlanItem[];
  restart: PlanItem[];
  migrate: PlanItem[];
  update: PlanItem[];
  unchanged: number;
}

function diffInto(plan: Draft, before: SupervisorSpec, after: SupervisorSpec, at: string): void {
  const rules = ruleChanges(before, after);
  if (rules !== '') plan.update.push({ address: at, machine: 'supervisor@1', why: rules });
  for (const { change, why, before: old, after: child } of diffChildren(before, after)) {
    if (change === 'stop' && old !== undefined) addTree(plan.stop, old, why);
    if (child === undefined) continue;
    if (change === 'start') addTree(plan.start, child, why);
    if (change === 'restart')
      plan.restart.push({ ...itemOf(child, why), ...(old !== undefined && { from: old.machine }) });
    if (change === 'migrate')
      plan.migrate.push({ ...itemOf(child, why), ...(old !== undefined && { from: old.machine }) });
    if (change === 'update') plan.update.push(itemOf(child, why));
    if (change === 'unchanged') plan.unchanged += count(child);
    if (change === 'nested' && old?.supervisor !== undefined && child.supervisor !== undefined) {
      diffInto(plan, old.supervisor, child.supervisor, child.address);
    }
  }
}

/** A supervisor comes with all its children. */
function addTree(list: PlanItem[], child: ChildSpec, why: string): void {
  list.push(itemOf(child, why));
  for (const inner of child.supervisor?.children ?? []) addTree(list, inner, `with ${child.address}`);
}

function count(child: ChildSpec): number {
  return (child.supervisor?.children ?? []).reduce((sum, inner) => sum + count(inner), 1);
}

function itemOf({ address, machine }: ChildSpec, why: string): PlanItem {
  return { address, machine, why };
}

function machineText({ machine, from }: PlanItem): string {
  return from === undefined || from === machine ? machine : `${from} → ${machine}`;
}
