/**
 * What of a request some rules look at. The rest changes no decision, so two requests that differ in it alone are one to the cache.
 *
 * U1  A cost is held against bounds, and by nothing else: two that go beyond the same bounds are one. A condition of the user's own
 *     may reckon with it, and then each is itself.
 */
import type { PolicyFile, PolicyRequest } from '#schemas/policy';
import { costBound } from './cedar.ts';

export interface Uses {
  readonly ids: boolean;
  readonly sessions: boolean;
  /** What nodes know of sessions. */
  readonly facts: boolean;
  readonly relations: boolean;
  readonly onIds: boolean;
  readonly task: boolean;
  /** Bounds, growing; none: it is not looked at. */
  readonly cost: 'itself' | readonly number[];
  readonly hazard: boolean;
}

export function usesOf({ rules, relationships }: Pick<PolicyFile, 'rules' | 'relationships'>): Uses {
  const some = (look: (rule: PolicyFile['rules'][number]) => boolean): boolean =>
    // A condition of the user's own may look at anything.
    rules.some((rule) => rule.when !== undefined || look(rule));
  const relations = some(({ who }) => who?.tags !== undefined || who?.trust !== undefined);
  return {
    ids: some(({ who }) => who?.ids !== undefined) || (relations && relationships.length > 0),
    sessions: some(({ who }) => who?.sessions !== undefined),
    facts: some(
      ({ who }) => who?.capabilities !== undefined || who?.swarms !== undefined || who?.weight !== undefined,
    ),
    relations,
    onIds: some(({ on }) => on?.ids !== undefined) || (relations && relationships.length > 0),
    task: some(({ on }) => on?.requires !== undefined || on?.taskKinds !== undefined),
    cost: rules.some(({ when }) => when !== undefined) ? 'itself' : boundsOf(rules),
    hazard: some(({ hazard }) => hazard !== undefined),
  };
}

/** The same for requests that no rule can tell apart. */
export function keyOf(uses: Uses, { action, who, on, costMicros, hazard }: PolicyRequest): string {
  const { address, session, swarm, capabilities, weight, tags } = who;
  return JSON.stringify([
    action,
    uses.ids ? address : kind(address),
    uses.sessions ? session : 0,
    ...(uses.facts ? [swarm ?? null, capabilities, weight ?? null] : []),
    ...(uses.relations ? [tags, on?.worker ?? null] : []),
    uses.onIds ? on?.address : kind(on?.address ?? ''),
    ...(uses.task ? [on?.requires ?? null, on?.taskKind ?? null] : []),
    uses.cost === 'itself' ? costMicros : bandOf(uses.cost, costMicros),
    uses.hazard && hazard !== undefined ? [hazard.type, hazard.severity] : 0,
  ]);
}

function boundsOf(rules: PolicyFile['rules']): number[] {
  const bounds = rules.flatMap(({ cost }) => [cost?.above, cost?.upTo]).filter((one) => one !== undefined);
  return [...new Set(bounds.map(costBound))].sort((a, b) => a - b);
}

/** U1: how many bounds it goes beyond; null where it is not known. */
function bandOf(bounds: readonly number[], costMicros: number | undefined): number | null {
  if (bounds.length === 0) return 0;
  if (costMicros === undefined) return null;
  const beyond = bounds.findIndex((bound) => costMicros <= bound);
  return beyond < 0 ? bounds.length : beyond;
}

function kind(address: string): string {
  return address.slice(0, Math.max(0, address.indexOf('/')));
}
