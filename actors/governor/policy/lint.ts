/** Rules that mean nothing: those that others cover, those that contradict themselves, and who is locked out. */
import type { Place } from '#runtime/supervise/problems';
import { matchesPattern, type Rule } from '#schemas/policy';
import { actionsOfRule } from './cedar.ts';
import type { ReadPolicy } from './read.ts';

export interface Finding {
  readonly kind: 'unreachable' | 'redundant' | 'impossible' | 'locks-out' | 'cedar';
  readonly rule: string;
  readonly place: Place;
  readonly what: string;
}

export function lint(read: ReadPolicy): Finding[] {
  const { file, actions, placeOf } = read;
  const findings: Finding[] = [];
  const add = (kind: Finding['kind'], n: number, what: string): void => {
    findings.push({ kind, rule: file.rules[n]?.id ?? '', place: placeOf(n), what });
  };
  for (const [n, rule] of file.rules.entries()) {
    const contradiction = contradictionOf(rule);
    if (contradiction !== undefined) add('impossible', n, `it never matches: ${contradiction}`);
    for (const [m, other] of file.rules.entries()) {
      if (m === n || !covers(other, rule, read)) continue;
      // Of two that are alike the later one is the one too many.
      const isTwin = other.effect === rule.effect && covers(rule, other, read);
      if (isTwin && m > n) continue;
      const why = wins(other, rule);
      if (why === undefined) continue;
      add(
        why,
        n,
        why === 'unreachable' ? `"${other.id}" wins wherever it matches` : `"${other.id}" says the same`,
      );
      break;
    }
  }
  const canApply = file.rules.some(
    (rule) => rule.effect !== 'deny' && actionsOfRule(rule, actions).includes('apply-policy'),
  );
  if (!canApply) {
    findings.push({
      kind: 'locks-out',
      rule: 'default',
      place: { ...placeOf(0), line: 1, column: 1 },
      what: 'no rule lets anybody apply another policy: only the config of a node could',
    });
  }
  return findings;
}

/** What a covered rule is, beside one that covers it. */
function wins(other: Rule, rule: Rule): 'unreachable' | 'redundant' | undefined {
  const rank = { deny: 2, 'require-approval': 1, allow: 0 };
  if (rank[other.effect] > rank[rule.effect]) return 'unreachable';
  return other.effect === rule.effect ? 'redundant' : undefined;
}

/** True where `wide` matches whatever `narrow` does, as far as that can be seen. */
function covers(wide: Rule, narrow: Rule, { actions }: ReadPolicy): boolean {
  // What a condition in Cedar matches cannot be seen.
  if (wide.when !== undefined) return false;
  const wanted = actionsOfRule(narrow, actions);
  const given = new Set(actionsOfRule(wide, actions));
  return (
    wanted.every((action) => given.has(action)) &&
    anyOf(wide.who?.kinds, narrow.who?.kinds, same) &&
    anyOf(wide.who?.ids, narrow.who?.ids, coversPattern) &&
    anyOf(wide.who?.sessions, narrow.who?.sessions, coversPattern) &&
    anyOf(wide.who?.swarms, narrow.who?.swarms, same) &&
    allOf(wide.who?.capabilities, narrow.who?.capabilities) &&
    anyOf(wide.who?.tags, narrow.who?.tags, same) &&
    within(wide.who?.trust, narrow.who?.trust) &&
    within(wide.who?.weight, narrow.who?.weight) &&
    anyOf(wide.on?.kinds, narrow.on?.kinds, same) &&
    anyOf(wide.on?.ids, narrow.on?.ids, coversPattern) &&
    anyOf(wide.on?.taskKinds, narrow.on?.taskKinds, same) &&
    allOf(wide.on?.requires, narrow.on?.requires) &&
    within(range(wide.cost), range(narrow.cost)) &&
    anyOf(wide.hazard?.severities, narrow.hazard?.severities, same) &&
    anyOf(wide.hazard?.types, narrow.hazard?.types, same)
  );
}

type Words = readonly string[] | undefined;

/** One of `wide` for each of `narrow`. */
function anyOf(wide: Words, narrow: Words, does: (wide: string, narrow: string) => boolean): boolean {
  if (wide === undefined) return true;
  return narrow?.every((text) => wide.some((other) => does(other, text))) ?? false;
}

/** All of `wide` are wanted by `narrow` as well. */
function allOf(wide: Words, narrow: Words): boolean {
  return wide === undefined || (narrow !== undefined && wide.every((text) => narrow.includes(text)));
}

function same(a: string, b: string): boolean {
  return a === b;
}

function coversPattern(wide: string, narrow: string): boolean {
  // A star of the narrow one stands for any text, a star among them: where the wide one takes that, it takes all.
  return matchesPattern(narrow, wide);
}

interface Range {
  readonly min?: number | undefined;
  readonly below?: number | undefined;
}

/** `above` and `upTo` as the half-open range that they are, a millionth apart. */
function range(cost: Rule['cost']): Range | undefined {
  if (cost === undefined) return undefined;
  return {
    min: cost.above === undefined ? undefined : Math.round(cost.above * 1e6) + 1,
    below: cost.upTo === undefined ? undefined : Math.round(cost.upTo * 1e6) + 1,
  };
}

function within(wide: Range | undefined, narrow: Range | undefined): boolean {
  if (wide === undefined) return true;
  if (narrow === undefined) return false;
  const { min = Number.NEGATIVE_INFINITY, below = Number.POSITIVE_INFINITY } = wide;
  return (
    (narrow.min ?? Number.NEGATIVE_INFINITY) >= min && (narrow.below ?? Number.POSITIVE_INFINITY) <= below
  );
}

function contradictionOf({ who, on, cost }: Rule): string | undefined {
  for (const [what, given] of [
    ['trust', who?.trust],
    ['weight', who?.weight],
    ['cost', range(cost)],
  ] as const) {
    if (given?.min !== undefined && given.below !== undefined && given.min >= given.below)
      return `no ${what} is both`;
  }
  for (const [what, { kinds, ids } = {}] of [
    ['who', who],
    ['on', on],
  ] as const) {
    if (kinds === undefined || ids === undefined) continue;
    const fits = ids.some((wanted) => {
      const slash = wanted.indexOf('/');
      const kind = slash === -1 ? undefined : wanted.slice(0, slash);
      return kind === undefined || kinds.some((one) => matchesPattern(one, kind));
    });
    if (!fits) return `none of its "${what}.ids" is of its "${what}.kinds"`;
  }
  return undefined;
}
