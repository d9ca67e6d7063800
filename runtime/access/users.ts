/** From keys and rules to the users of the server. Pure. */
import type { Subjects } from '#runtime/bus/subjects';
import { kidOf } from '#runtime/edge/sign';
import { userNkey } from '#runtime/keys/nkey';
import { type AccessRole, type AccessRule, type AccessRules, accessRoleOf } from '#schemas/access';
import type { RealmConfig } from '#schemas/config';
import type { User } from './accounts.ts';
import { permissionsOf, type Reach } from './permissions.ts';

/** A key that counts. */
export interface OwnedKey {
  /** Address without scheme. */
  readonly owner: string;
  readonly publicKey: Uint8Array;
}

export interface Grants {
  readonly rules: AccessRules;
  /** Kinds whose door is not closed: what may be reached where no rule says otherwise. */
  readonly kinds: readonly string[];
  readonly subjects: Subjects;
}

export interface Named extends User {
  readonly kid: string;
  readonly role: AccessRole;
}

/** Everybody who may sign on, by owner; a key is one user whoever else claims it. */
export function usersOf(keys: readonly OwnedKey[], grants: Grants): Named[] {
  const found = new Map<string, Named>();
  for (const { owner, publicKey } of keys) {
    const role = accessRoleOf(owner);
    const nkey = userNkey(publicKey);
    if (role === undefined || found.has(nkey)) continue;
    const kid = kidOf(publicKey);
    const permissions = permissionsOf(role, { kid, owner }, reachOf(owner, role, grants), grants.subjects);
    found.set(nkey, { nkey, kid, owner, role, permissions });
  }
  return [...found.values()].sort((a, b) => (a.owner + a.nkey < b.owner + b.nkey ? -1 : 1));
}

/** What the nearest rule gives: of the owner, else of its type, else of everybody. */
export function reachOf(owner: string, role: AccessRole, { rules, kinds }: Omit<Grants, 'subjects'>): Reach {
  const type = owner.slice(0, owner.indexOf('/'));
  const rule: AccessRule = rules[owner] ?? rules[`${type}/*`] ?? rules['*'] ?? {};
  const asks = rule.asks ?? kinds;
  return { asks, sends: role === 'tool' ? [] : (rule.sends ?? asks), watches: rule.watches ?? [] };
}

/** Kinds whose door is not closed. */
export function openKinds({ kinds }: Pick<RealmConfig, 'kinds'>): string[] {
  return Object.entries(kinds).flatMap(([type, { door }]) => (door === 'closed' ? [] : [type]));
}
