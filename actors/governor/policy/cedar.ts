/**
 * Rules as Cedar policies, and requests as Cedar's.
 *
 * X1  Nothing from a policy file or a request ever becomes Cedar text: policies are built as data, texts are values in
 *     it. Only `when` is text, and it is parsed alone, as one condition.
 * X2  Names of policies in Cedar are ours: the number of the rule.
 */
import type { Clause, Expr, PatternElem, PolicyJson, SchemaJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { ActionKind, PolicyRequest, Rule } from '#schemas/policy';

/** A request as Cedar takes it, for `statefulIsAuthorized`. */
export interface CedarContext {
  readonly [key: string]: string | number | boolean | CedarContext | readonly string[];
}

/** Weights, as the whole numbers that Cedar has. */
export const PER_ONE = 10_000;

const NAMESPACE = 'If';
export const ACTOR_TYPE = `${NAMESPACE}::Actor`;
export const ACTION_TYPE = `${NAMESPACE}::Action`;

/** What a condition can speak about. */
const TEXT = { type: 'String' } as const;
const NUMBER = { type: 'Long' } as const;
const TEXTS = { type: 'Set', element: TEXT } as const;
const optional = <T extends object>(type: T): T & { required: false } => ({ ...type, required: false });

const CONTEXT = {
  type: 'Record',
  attributes: {
    who: {
      type: 'Record',
      attributes: {
        address: TEXT,
        kind: TEXT,
        session: optional(TEXT),
        swarm: optional(TEXT),
        capabilities: TEXTS,
        tags: TEXTS,
        trust: optional(NUMBER),
        weight: optional(NUMBER),
      },
    },
    on: {
      type: 'Record',
      attributes: { address: TEXT, kind: TEXT, taskKind: optional(TEXT), requires: TEXTS },
    },
    costMicros: optional(NUMBER),
    hazard: optional({ type: 'Record', attributes: { type: TEXT, severity: TEXT } } as const),
  },
} as const;

export function schemaOf(actions: readonly string[]): SchemaJson<string> {
  const appliesTo = { principalTypes: ['Actor'], resourceTypes: ['Actor'], context: CONTEXT };
  return {
    [NAMESPACE]: {
      entityTypes: { Actor: {} },
      actions: Object.fromEntries(actions.map((action) => [action, { appliesTo }])),
    },
  } as unknown as SchemaJson<string>;
}

/** A rule, for those of its actions that are named. `when` is its own condition, parsed. */
export function policyOf(rule: Rule, actions: readonly string[], when: readonly Clause[]): PolicyJson {
  const body = conditionOf(rule);
  return {
    ...head(rule.effect === 'deny' ? 'forbid' : 'permit', actions),
    conditions: [...(body === undefined ? [] : [{ kind: 'when' as const, body }]), ...when],
  };
}

/** Allows actions where no rule speaks. */
export function defaultPolicy(actions: readonly string[]): PolicyJson {
  return { ...head('permit', actions), conditions: [] };
}

function head(effect: 'permit' | 'forbid', actions: readonly string[]): Omit<PolicyJson, 'conditions'> {
  const entities = actions.map((id) => ({ type: ACTION_TYPE, id }));
  return { effect, principal: { op: 'All' }, action: { op: 'in', entities }, resource: { op: 'All' } };
}

function conditionOf({ who = {}, on = {}, cost = {}, hazard = {} }: Rule): Expr | undefined {
  const all: Expr[] = [];
  const add = (given: readonly string[] | undefined, each: (text: string) => Expr): void => {
    if (given !== undefined) all.push(any(given.map(each)));
  };
  add(who.kinds, (kind) => equal(WHO('kind'), kind));
  add(who.ids, (wanted) => like(WHO('address'), wanted));
  add(who.sessions, (wanted) => has('who', 'session', like(WHO('session'), wanted)));
  add(who.swarms, (swarm) => has('who', 'swarm', equal(WHO('swarm'), swarm)));
  if (who.capabilities !== undefined) all.push(containsAll(WHO('capabilities'), who.capabilities));
  add(who.tags, (tag) => ({ contains: { left: WHO('tags'), right: { Value: tag } } }));
  for (const key of ['trust', 'weight'] as const) {
    const { min, below } = who[key] ?? {};
    if (min !== undefined)
      all.push(has('who', key, { '>=': { left: WHO(key), right: number(min * PER_ONE) } }));
    if (below !== undefined)
      all.push(has('who', key, { '<': { left: WHO(key), right: number(below * PER_ONE) } }));
  }
  add(on.kinds, (kind) => equal(ON('kind'), kind));
  add(on.ids, (wanted) => like(ON('address'), wanted));
  add(on.taskKinds, (kind) => has('on', 'taskKind', equal(ON('taskKind'), kind)));
  if (on.requires !== undefined) all.push(containsAll(ON('requires'), on.requires));
  const { above, upTo } = cost;
  const costs = get(CONTEXT_VAR, 'costMicros');
  if (above !== undefined)
    all.push(has(undefined, 'costMicros', { '>': { left: costs, right: { Value: costBound(above) } } }));
  if (upTo !== undefined)
    all.push(has(undefined, 'costMicros', { '<=': { left: costs, right: { Value: costBound(upTo) } } }));
  const danger = get(CONTEXT_VAR, 'hazard');
  const dangerous = (each: Expr): Expr => has(undefined, 'hazard', each);
  add(hazard.severities, (severity) => dangerous(equal(get(danger, 'severity'), severity)));
  add(hazard.types, (type) => dangerous(equal(get(danger, 'type'), type)));
  return all.length === 0 ? undefined : all.reduce((left, right) => ({ '&&': { left, right } }));
}

const CONTEXT_VAR: Expr = { Var: 'context' };

function get(left: Expr, attr: string): Expr {
  return { '.': { left, attr } };
}

function WHO(attr: string): Expr {
  return get(get(CONTEXT_VAR, 'who'), attr);
}

function ON(attr: string): Expr {
  return get(get(CONTEXT_VAR, 'on'), attr);
}

function equal(left: Expr, text: string): Expr {
  return { '==': { left, right: { Value: text } } };
}

/** A bound of a rule, in units of money, as the whole number that a cost is held against. */
export function costBound(units: number): number {
  return Math.round(units * 1e6);
}

function number(value: number): Expr {
  return { Value: Math.round(value) };
}

function like(left: Expr, wanted: string): Expr {
  if (!wanted.includes('*')) return equal(left, wanted);
  const pattern: PatternElem[] = [];
  for (const [n, Literal] of wanted.split('*').entries()) {
    if (n > 0 && pattern.at(-1) !== 'Wildcard') pattern.push('Wildcard');
    if (Literal !== '') pattern.push({ Literal });
  }
  return { like: { left, pattern } };
}

function containsAll(left: Expr, wanted: readonly string[]): Expr {
  return { containsAll: { left, right: { Set: wanted.map((text) => ({ Value: text })) } } };
}

function any(all: readonly Expr[]): Expr {
  return all.reduce((left, right) => ({ '||': { left, right } }));
}

/** `then`, where the attribute is there at all. */
function has(of: 'who' | 'on' | undefined, attr: string, then: Expr): Expr {
  const left = of === undefined ? CONTEXT_VAR : get(CONTEXT_VAR, of);
  return { '&&': { left: { has: { left, attr } }, right: then } };
}

/** Each with a share of the trust of its relationship, per ten thousand. */
export interface Relations {
  readonly tags: readonly string[];
  readonly trust?: number;
}

export function contextOf(
  { who, on, costMicros, hazard }: PolicyRequest,
  relations: Relations,
): CedarContext {
  const { address, session, swarm, capabilities, weight } = who;
  const { tags, trust } = relations;
  return {
    who: {
      address,
      kind: kindOf(address),
      ...(session !== undefined && { session }),
      ...(swarm !== undefined && { swarm }),
      capabilities,
      tags,
      ...(trust !== undefined && { trust }),
      ...(weight !== undefined && { weight: Math.round(weight * PER_ONE) }),
    },
    on: {
      address: on?.address ?? '',
      kind: kindOf(on?.address ?? ''),
      ...(on?.taskKind !== undefined && { taskKind: on.taskKind }),
      requires: on?.requires ?? [],
    },
    ...(costMicros !== undefined && { costMicros }),
    ...(hazard !== undefined && { hazard: { type: hazard.type, severity: hazard.severity } }),
  };
}

export function kindOf(address: string): string {
  return address.slice(0, Math.max(0, address.indexOf('/')));
}

/** Those of its actions that are there. */
export function actionsOfRule(
  { actions }: Rule,
  all: Readonly<Record<string, ActionKind>>,
): readonly string[] {
  return actions === 'any' ? Object.keys(all) : actions;
}
