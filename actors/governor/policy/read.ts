/**
 * Reads a policy: YAML with the place of each value, checked against its schema, its actions and its ids.
 *
 * R1  Either everything is right, or `bad_policy` names every problem as `file:line:column: what`.
 */
import { type Place, Problems, suggest } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { Places, readSource } from '#runtime/supervise/source';
import { FabricError } from '#schemas/fabric-error';
import {
  ACTIONS,
  type ActionKind,
  POLICY_CHARS_MAX,
  type PolicyFile,
  policyFileSchema,
} from '#schemas/policy';
import { policyErrors } from './errors.ts';

export interface ReadPolicy {
  readonly file: PolicyFile;
  /** All actions, the file's own among them. */
  readonly actions: Readonly<Record<string, ActionKind>>;
  /** Where a rule stands, or one of its keys. */
  readonly placeOf: (rule: number, key?: string) => Place;
  readonly problems: Problems;
}

/** Throws `bad_policy` for what cannot be read at all; what else is wrong is in `problems`. */
export function readPolicy(text: string, name: string): ReadPolicy {
  if (text.length > POLICY_CHARS_MAX) {
    throw new FabricError(
      policyErrors.bad_policy,
      `${name}:1:1: a policy has at most ${POLICY_CHARS_MAX} characters, this has ${text.length}`,
    );
  }
  const problems = new Problems(policyErrors.bad_policy);
  const places = new Places();
  const raw = readSource(text, { file: name, places, problems });
  const root = { file: name, line: 1, column: 1 };
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    problems.addUnlessKnown(root, 'a policy is a map that begins with "policy: 1"');
    problems.throwIfAny();
    throw new Error('invariant: a policy that is no map has a problem');
  }
  const file = checkSchema(policyFileSchema, raw, places, problems);
  problems.throwIfAny();
  if (file === undefined) throw new Error('invariant: a refused policy has a problem');
  const actions = actionsOf(file);
  const placeOf = (rule: number, key?: string): Place =>
    places.at(raw, ['rules', rule, ...(key === undefined ? [] : [key])]).place;
  const known = Object.keys(actions);
  const ids = new Map<string, number>();
  for (const [n, { id, actions: wanted, effect, approval }] of file.rules.entries()) {
    const first = ids.get(id);
    if (first !== undefined) problems.add(placeOf(n, 'id'), `"${id}" is the id of rule ${first + 1} already`);
    ids.set(id, n);
    if (id === DEFAULT_RULE) problems.add(placeOf(n, 'id'), `"${id}" stands for where no rule matches`);
    if (approval !== undefined && effect !== 'require-approval')
      problems.add(placeOf(n, 'approval'), 'only "require-approval" waits for an approval');
    if (wanted === 'any') continue;
    for (const [at, action] of wanted.entries()) {
      if (Object.hasOwn(actions, action)) continue;
      const { place } = places.at(raw, ['rules', n, 'actions', at]);
      problems.add(place, `there is no action "${action}"${suggest(action, known)}`);
    }
  }
  for (const own of Object.keys(file.actions)) {
    if (!Object.hasOwn(ACTIONS, own)) continue;
    problems.add(
      places.at(raw, ['actions', own], 'key').place,
      `"${own}" is an action of the fabric already`,
    );
  }
  return { file, actions, placeOf, problems };
}

/** Named where no rule decided. */
export const DEFAULT_RULE = 'default';

function actionsOf({ actions }: PolicyFile): Record<string, ActionKind> {
  const own = Object.entries(actions).map(([name, kind]) => [
    name,
    { ...kind, what: 'an action of this policy' },
  ]);
  return { ...(Object.fromEntries(own) as Record<string, ActionKind>), ...ACTIONS };
}
