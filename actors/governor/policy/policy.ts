/**
 * A policy, ready to decide. Everything is checked when it is compiled; deciding is Cedar's work.
 *
 * P1  Deny wins; then what requires an approval; then what allows; then the default.
 * P2  A privileged action that no rule speaks of is denied, whatever the default.
 * P3  A rule that fails while it is evaluated denies: Cedar alone would pass over it.
 * P4  The same request gets the same decision: from the cache as from Cedar.
 *
 * Cedar copies the whole set at every call, so each action has a set of its own with the rules that speak of it.
 */
import { createHash } from 'node:crypto';
import type { Clause, DetailedError, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { FabricError } from '#schemas/fabric-error';
import type { ActionKind, Decision, PolicyFile, PolicyRequest, Rule } from '#schemas/policy';
import { TRUST } from '#schemas/relationship';
import {
  ACTION_TYPE,
  ACTOR_TYPE,
  actionsOfRule,
  contextOf,
  defaultPolicy,
  PER_ONE,
  policyOf,
  type Relations,
  schemaOf,
} from './cedar.ts';
import { policyErrors } from './errors.ts';
import { type Finding, lint } from './lint.ts';
import { DEFAULT_RULE, type ReadPolicy, readPolicy } from './read.ts';
import { keyOf, type Uses, usesOf } from './uses.ts';

type Cedar = typeof import('@cedar-policy/cedar-wasm/nodejs');

/** Decisions kept: beyond it the oldest goes. */
export const CACHE_MAX = 10_000;

export interface Policy extends Disposable {
  /** SHA-256 of the text, hex. */
  readonly sha256: string;
  readonly file: PolicyFile;
  readonly actions: Readonly<Record<string, ActionKind>>;
  /** What of a request its rules look at. */
  readonly uses: Uses;
  /** Rules that mean nothing, and whom they lock out: not wrong, and not meant. */
  readonly findings: readonly Finding[];
  /** Never throws for a request that its schema takes. `version` is that of the realm. */
  decide(request: PolicyRequest, version?: number): Decision;
  /** Without the cache. */
  evaluate(request: PolicyRequest, version?: number): Decision;
}

export interface CompileOptions {
  /** As problems name it. */
  readonly name?: string;
  readonly cacheMax?: number;
}

/** Compiles a policy. Throws `bad_policy` with the place of everything that is wrong. */
export async function compilePolicy(text: string, options: CompileOptions = {}): Promise<Policy> {
  // Four megabytes that a realm without a policy does not load.
  const cedar = await import('@cedar-policy/cedar-wasm/nodejs');
  const read = readPolicy(text, options.name ?? 'policy');
  const whens = parseWhens(cedar, read);
  read.problems.throwIfAny();
  const warnings = validateAll(cedar, read, whens);
  read.problems.throwIfAny();
  return new CompiledPolicy(cedar, text, read, whens, warnings, options.cacheMax ?? CACHE_MAX);
}

/** Names under which Cedar keeps sets; it has no way to forget one, so they are used again. */
const freeSlots: number[] = [];
let slotsMade = 0;

class CompiledPolicy implements Policy {
  readonly sha256: string;
  readonly file: PolicyFile;
  readonly actions: Readonly<Record<string, ActionKind>>;
  readonly uses: Uses;
  readonly findings: readonly Finding[];
  readonly #cedar: Cedar;
  readonly #slot = freeSlots.pop() ?? slotsMade++;
  /** By action: what the rules that speak of it look at. */
  readonly #usesOf: ReadonlyMap<string, Uses>;
  readonly #cacheMax: number;
  readonly #cache = new Map<string, Omit<Decision, 'version'>>();
  readonly #relations: ReadonlyMap<string, Relations>;
  readonly #entities: [] = [];
  #isDisposed = false;

  constructor(
    cedar: Cedar,
    text: string,
    read: ReadPolicy,
    whens: readonly (readonly Clause[])[],
    warnings: readonly Finding[],
    cacheMax: number,
  ) {
    const { file, actions } = read;
    this.#cedar = cedar;
    this.file = file;
    this.actions = actions;
    this.sha256 = createHash('sha256').update(text).digest('hex');
    this.uses = usesOf(file);
    const { rules, relationships } = file;
    this.#usesOf = new Map(
      Object.keys(actions).map((action) => {
        const speaking = rules.filter((rule) => actionsOfRule(rule, actions).includes(action));
        return [action, usesOf({ rules: speaking, relationships })];
      }),
    );
    this.#cacheMax = cacheMax;
    this.#relations = relationsOf(file);
    this.findings = [...lint(read), ...warnings];
    for (const action of Object.keys(actions)) this.#preparse(action, setFor(read, action, whens));
  }

  decide(request: PolicyRequest, version = 0): Decision {
    const key = keyOf(this.#usesOf.get(request.action) ?? this.uses, request);
    const known = this.#cache.get(key);
    if (known !== undefined) return { ...known, version };
    const { version: _, ...decision } = this.evaluate(request);
    if (this.#cache.size >= this.#cacheMax) {
      const [oldest] = this.#cache.keys();
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    if (this.#cacheMax > 0) this.#cache.set(key, decision);
    return { ...decision, version };
  }

  evaluate(request: PolicyRequest, version = 0): Decision {
    if (this.#isDisposed) throw new Error('invariant: a policy that was let go decides nothing');
    const { sha256 } = this;
    const { action, who, on } = request;
    if (!Object.hasOwn(this.actions, action)) {
      const reason = `the policy knows no action "${action}"`;
      return { outcome: 'deny', rules: [DEFAULT_RULE], reason, version, sha256 };
    }
    const answer = this.#cedar.statefulIsAuthorized({
      principal: { type: ACTOR_TYPE, id: who.address },
      action: { type: ACTION_TYPE, id: action },
      resource: { type: ACTOR_TYPE, id: on?.address ?? '' },
      context: contextOf(request, this.#relationsOf(request)) as never,
      preparsedPolicySetId: this.#setName(action),
      entities: this.#entities,
    });
    if (answer.type === 'failure' || answer.response.diagnostics.errors.length > 0) {
      // P3.
      const why = answer.type === 'failure' ? answer.errors : answer.response.diagnostics.errors;
      const failed = answer.type === 'failure' ? [] : answer.response.diagnostics.errors;
      const rules = failed.map(({ policyId }) => this.#ruleNamed(policyId)?.id ?? DEFAULT_RULE);
      const reason = `a rule could not be evaluated: ${messageOf(why)}`;
      return { outcome: 'deny', rules: rules.length > 0 ? rules : [DEFAULT_RULE], reason, version, sha256 };
    }
    const { decision, diagnostics } = answer.response;
    const matched = diagnostics.reason
      .map(Number)
      .filter((n) => !Number.isNaN(n))
      .sort((a, b) => a - b)
      .flatMap((n) => this.file.rules[n] ?? []);
    return { ...this.#outcome(action, decision, matched), version, sha256 };
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#cache.clear();
    for (const action of Object.keys(this.actions)) this.#preparse(action, {});
    freeSlots.push(this.#slot);
  }

  /** P1. */
  #outcome(
    action: string,
    decision: 'allow' | 'deny',
    matched: readonly Rule[],
  ): Pick<Decision, 'outcome' | 'rules' | 'reason' | 'terms'> {
    const ids = (rules: readonly Rule[]) => rules.map(({ id }) => id);
    if (decision === 'deny') {
      if (matched.length > 0) return { outcome: 'deny', rules: ids(matched), reason: reasonOf(matched) };
      const isPrivileged = this.actions[action]?.privileged === true;
      const reason = isPrivileged
        ? `"${action}" is privileged, and no rule allows it`
        : `no rule allows "${action}"`;
      return { outcome: 'deny', rules: [DEFAULT_RULE], reason };
    }
    const waiting = matched.filter(({ effect }) => effect === 'require-approval');
    const [first] = waiting;
    if (first !== undefined) {
      const { wait, ...terms } = first.approval ?? this.file.approval;
      return {
        outcome: 'approval',
        rules: ids(waiting),
        reason: reasonOf(waiting),
        terms: { ...terms, waitMs: wait },
      };
    }
    if (matched.length === 0)
      return {
        outcome: 'allow',
        rules: [DEFAULT_RULE],
        reason: 'the policy allows what it does not speak of',
      };
    return { outcome: 'allow', rules: ids(matched), reason: reasonOf(matched) };
  }

  #relationsOf({ who, on }: PolicyRequest): Relations {
    const found = [on?.address, on?.worker].flatMap((to) =>
      to === undefined ? [] : (this.#relations.get(`${who.address}>${to}`)?.tags ?? []),
    );
    const tags = [...new Set([...who.tags, ...found])];
    if (tags.length === 0) return { tags };
    return { tags, trust: Math.max(...tags.map((tag) => trustOf(tag))) };
  }

  #ruleNamed(policyId: string): Rule | undefined {
    return this.file.rules[Number(policyId)];
  }

  #setName(action: string): string {
    return `${this.#slot}:${action}`;
  }

  #preparse(action: string, staticPolicies: Readonly<Record<string, PolicyJson>>): void {
    const answer = this.#cedar.preparsePolicySet(this.#setName(action), { staticPolicies });
    if (answer.type === 'failure')
      throw new Error(`invariant: what was validated parses: ${messageOf(answer.errors)}`);
  }
}

/** The policies that speak of an action. */
function setFor(
  { file, actions }: ReadPolicy,
  action: string,
  whens: readonly (readonly Clause[])[],
): Record<string, PolicyJson> {
  const set: Record<string, PolicyJson> = {};
  for (const [n, rule] of file.rules.entries()) {
    if (actionsOfRule(rule, actions).includes(action)) set[n] = policyOf(rule, [action], whens[n] ?? []);
  }
  // P2.
  if (file.default === 'allow' && actions[action]?.privileged !== true)
    set[DEFAULT_RULE] = defaultPolicy([action]);
  return set;
}

/** X1: each is one condition, and nothing but that. */
function parseWhens(cedar: Cedar, { file, placeOf, problems }: ReadPolicy): readonly (readonly Clause[])[] {
  return file.rules.map(({ when }, n) => {
    if (when === undefined) return [];
    const answer = cedar.policyToJson(`permit(principal, action, resource) when {\n${when}\n};`);
    if (answer.type === 'failure') {
      problems.add(placeOf(n, 'when'), `"when" is no condition in Cedar: ${messageOf(answer.errors)}`);
      return [];
    }
    if (answer.json.conditions.length === 1) return answer.json.conditions;
    problems.add(placeOf(n, 'when'), '"when" is one condition, without braces');
    return [];
  });
}

/** What Cedar's validator finds, at the rule that it is about: errors are problems, warnings are findings. */
function validateAll(
  cedar: Cedar,
  { file, actions, placeOf, problems }: ReadPolicy,
  whens: readonly (readonly Clause[])[],
): Finding[] {
  const staticPolicies = Object.fromEntries(
    file.rules.map((rule, n) => [n, policyOf(rule, actionsOfRule(rule, actions), whens[n] ?? [])]),
  );
  const answer = cedar.validate({
    schema: schemaOf(Object.keys(actions)),
    policies: { staticPolicies },
    validationSettings: { mode: 'strict' },
  });
  if (answer.type === 'failure') {
    throw new FabricError(policyErrors.bad_policy, `The policy is not valid: ${messageOf(answer.errors)}`);
  }
  const place = (policyId: string) => {
    const n = Number(policyId);
    return placeOf(n, file.rules[n]?.when === undefined ? undefined : 'when');
  };
  for (const { policyId, error } of answer.validationErrors) {
    problems.addUnlessKnown(
      place(policyId),
      `rule "${file.rules[Number(policyId)]?.id}": ${plain(error.message)}`,
    );
  }
  return answer.validationWarnings.map(({ policyId, error }) => ({
    kind: 'cedar' as const,
    rule: file.rules[Number(policyId)]?.id ?? DEFAULT_RULE,
    place: place(policyId),
    what: plain(error.message),
  }));
}

/** Cedar names a policy by our number and says it for each action; the reader knows it by its place. */
function plain(message: string): string {
  const text = message
    .replace(/^(?:for|while validating) policy `[^`]*`,? ?/, '')
    .replace(/ for If::Action::"[^"]*"/, '');
  const [, optional] = /optional attribute `(\w+)`/.exec(text) ?? [];
  return optional === undefined ? text : `${text}: ask whether it is there, \`context has ${optional} && …\``;
}

function messageOf(errors: readonly (DetailedError | { readonly error: DetailedError })[]): string {
  return errors.map((error) => ('error' in error ? error.error : error).message).join('; ');
}

function reasonOf(rules: readonly Rule[]): string {
  return rules.map(({ id, because }) => (because === undefined ? id : `${id}: ${because}`)).join('; ');
}

function relationsOf({ relationships }: PolicyFile): Map<string, Relations> {
  const found = new Map<string, { tags: string[] }>();
  for (const { from, to, tag } of relationships) {
    const key = `${from}>${to}`;
    const known = found.get(key) ?? { tags: [] };
    known.tags.push(tag);
    found.set(key, known);
  }
  return found;
}

function trustOf(tag: string): number {
  return Math.round((TRUST[tag as keyof typeof TRUST] ?? 0) * PER_ONE);
}
