/**
 * What of a request the rules of a policy look at. The rest changes no decision, so two requests that differ in it alone
 * are one to the cache.
 */
import type { PolicyFile, PolicyRequest } from '#schemas/policy';

export interface Uses {
  readonly ids: boolean;
  readonly sessions: boolean;
  /** What nodes know of sessions. */
  readonly facts: boolean;
  readonly relations: boolean;
  readonly onIds: boolean;
  readonly task: boolean;
  readonly cost: boolean;
  readonly hazard: boolean;
}

export function usesOf({ rules, relationships }: PolicyFile): Uses {
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
    cost: some(({ cost }) => cost !== undefined),
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
    uses.cost ? costMicros : 0,
    uses.hazard && hazard !== undefined ? [hazard.type, hazard.severity] : 0,
  ]);
}

function kind(address: string): string {
  return address.slice(0, Math.max(0, address.indexOf('/')));
}
