/** Who may sign on to the NATS server of a secure realm, and for what. */
import { z } from 'zod';
import { isActorId, isActorType } from './address.ts';

/** The part that a key plays on the bus. */
export const ACCESS_ROLES = ['node', 'operator', 'auditor', 'agent', 'tool'] as const;
export type AccessRole = (typeof ACCESS_ROLES)[number];

/** Owners that never sign on: the key of a realm signs its checkpoints, a guardian's cosigns them. */
const SIGN_ONLY = new Set(['realm', 'guardian']);

/** The role of an owner's key, by the type of its address; undefined for one that never signs on. */
export function accessRoleOf(owner: string): AccessRole | undefined {
  const type = owner.slice(0, owner.indexOf('/'));
  if (SIGN_ONLY.has(type)) return undefined;
  return ACCESS_ROLES.find((role) => role === type) ?? 'agent';
}

/** Rules of one identity or of several. */
const RULES_MAX = 1_000;
const REACH_MAX = 256;

function isReach(text: string): boolean {
  const [type = '', id = '*', ...rest] = text.split('/');
  return rest.length === 0 && isActorType(type) && (id === '*' || isActorId(id));
}

function isRuleName(text: string): boolean {
  return text === '*' || (text.includes('/') && isReach(text));
}

const reachList = (what: string) =>
  z
    .array(
      z
        .string()
        .refine(isReach, { error: 'expected a kind, such as counter, or an actor, such as counter/k1' }),
    )
    .max(REACH_MAX)
    .optional()
    .describe(what);

export const accessRuleSchema = z.strictObject({
  asks: reachList('Kinds or actors it may ask; every kind with a door that is not closed when absent.'),
  sends: reachList('Kinds or actors it may send to; as `asks` when absent. A tool sends nothing.'),
  watches: reachList('Kinds or actors whose live events it may follow, besides its own.'),
});

export type AccessRule = z.infer<typeof accessRuleSchema>;

export const accessSchema = z
  .record(
    z.string().refine(isRuleName, { error: 'expected an owner, such as agent/alice, or agent/* or *' }),
    accessRuleSchema,
  )
  .refine((rules) => Object.keys(rules).length <= RULES_MAX, { error: `at most ${RULES_MAX} rules` })
  .default({})
  .describe(
    'What agents and tools may reach in a secure realm, by owner: `agent/alice`, else `agent/*`, else `*`. See docs/security.md.',
  );

export type AccessRules = z.infer<typeof accessSchema>;
