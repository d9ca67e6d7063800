/** What applying one spec over another does, as data and as text: the same decision that supervisors make. */

import { machineErrors } from '#runtime/machine/errors';
import type { MachineRegistry } from '#runtime/machine/types';
import { FabricError } from '#schemas/fabric-error';
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

/**
 * Throws `no_migration` where a child would get a version that no declared migrations lead to: its supervisor would
 * take it for migrated, and it would stay as it is.
 */
export function checkMigrations({ migrate }: Plan, registry: Pick<MachineRegistry, 'migrate'>): void {
  const lost = migrate.flatMap(({ address, machine, from }) => {
    const error = from === undefined ? undefined : noPath(registry, from, machine);
    return error === undefined ? [] : [{ address, error }];
  });
  if (lost.length === 0) return;
  throw new FabricError(
    machineErrors.no_migration,
    lost.map(({ address, error }) => `${address}: ${error.message}`).join('; '),
    { details: { actors: lost.map(({ address }) => address) } },
  );
}

/** Each step is tried by itself: whether it is declared does not depend on what the others make of the data. */
function noPath(
  registry: Pick<MachineRegistry, 'migrate'>,
  from: string,
  to: string,
): FabricError | undefined {
  const [name, first] = partsOf(from);
  const [, last] = partsOf(to);
  if (last < first) return refusal(() => registry.migrate(name, first, last, undefined));
  for (let version = first + 1; version <= last; version += 1) {
    const found = refusal(() => registry.migrate(name, version - 1, version, undefined));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a declared step makes of no data at all means nothing, nor that it throws on it. */
function refusal(attempt: () => unknown): FabricError | undefined {
  try {
    attempt();
  } catch (thrown) {
    if (thrown instanceof FabricError && thrown.code === machineErrors.no_migration.code) return thrown;
  }
  return undefined;
}

function partsOf(ref: string): [name: string, version: number] {
  const at = ref.lastIndexOf('@');
  return [ref.slice(0, at), Number(ref.slice(at + 1))];
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
