/** The realm's keyring: whose public keys count, since when and until when, and the signed orders that say so. */
import { z } from 'zod';
import { isActorId, isActorType } from './address.ts';

/** The actor that keeps it. */
export const KEYRING_TYPE = 'keyring';
export const KEYRING_ACTOR = 'keyring/realm';
export const KEYRING_MACHINE = 'keyring@1';
/** Driver by which it reaches the registry that gates read; it serves no other actor. */
export const KEYRING_DRIVER = 'keyring';

export const NODE_TYPE = 'node';
export const OPERATOR_TYPE = 'operator';

/** Keys of one realm, old ones too: all of them are one actor's state. */
export const RING_KEYS_MAX = 10_000;
const REASON_CHARS_MAX = 2_000;
const OWNER_CHARS_MAX = 256;

/** Each is the type of its owners; any other owner is an agent. */
export const ROLES = ['realm', 'node', 'guardian', 'operator', 'agent'] as const;
export type Role = (typeof ROLES)[number];

/** The part that an owner's keys play. */
export function roleOf(owner: string): Role {
  const type = owner.slice(0, owner.indexOf('/'));
  const found = ROLES.find((role) => role === type);
  return found ?? 'agent';
}

export function isRealmOwner(owner: string): boolean {
  return roleOf(owner) === 'realm';
}

const kidSchema = z.string().regex(/^[A-Za-z0-9_-]{22}$/);
const timeSchema = z.int().min(0);
/** Type and id of an address, checked whole. */
const ownerSchema = z
  .string()
  .max(OWNER_CHARS_MAX)
  .refine((text) => {
    const slash = text.indexOf('/');
    return slash > 0 && isActorType(text.slice(0, slash)) && isActorId(text.slice(slash + 1));
  });

const keySchema = z
  .strictObject({
    kid: kidSchema.describe('First 128 bits of the SHA-256 of the public key, base64url.'),
    owner: ownerSchema.describe(
      '`realm/<name>`, `node/…`, `guardian/…`, `operator/…` or the address of an agent.',
    ),
    publicKey: z
      .string()
      .regex(/^[A-Za-z0-9_-]{43}$/)
      .describe('Ed25519, 32 bytes in base64url.'),
  })
  .describe('A public key.');

export type PublicKeyRecord = Readonly<z.infer<typeof keySchema>>;

const common = {
  realm: z.string().min(1).max(63).describe('Name of the realm: an order holds for no other.'),
  ring: kidSchema.describe('Key that founded the keyring: an order holds for no other ring of that name.'),
  seq: z
    .int()
    .min(1)
    .describe('One more than that of the last order: none is taken twice, or on an older state.'),
  by: kidSchema.describe('Key that gives the order.'),
};

export const keyringOrderSchema = z.discriminatedUnion('op', [
  z
    .strictObject({ op: z.literal('found'), ...common, keys: z.array(keySchema).min(1).max(8) })
    .describe('The first order: the realm’s own key, which gives it, and keys of its nodes.'),
  z
    .strictObject({ op: z.literal('register'), ...common, key: keySchema })
    .describe('Takes in a key. By the realm or an operator; an operator by the realm alone.'),
  z
    .strictObject({ op: z.literal('rotate'), ...common, key: keySchema })
    .describe('Puts a key in the place of `by`, of the same owner. Signed with both.'),
  z
    .strictObject({
      op: z.literal('revoke'),
      ...common,
      kid: kidSchema,
      reason: z.string().min(1).max(REASON_CHARS_MAX),
      from: timeSchema.describe('Since when it is not to be trusted, ms since the epoch; not in the future.'),
    })
    .describe('Ends a key for ever. By the realm or an operator; an operator’s by the realm alone.'),
]);

export type KeyringOrder = z.infer<typeof keyringOrderSchema>;

/** An order with the signatures of the keys that it needs, over its signed text (docs/keys.md). */
export const signedOrderSchema = z.strictObject({
  order: keyringOrderSchema,
  signatures: z
    .array(z.strictObject({ kid: kidSchema, sig: z.string().regex(/^[A-Za-z0-9_-]{85}[AQgw]$/) }))
    .min(1)
    .max(8),
});

export type SignedOrder = z.infer<typeof signedOrderSchema>;

/** What the keyring hears: the order as it was signed, by keys whose signatures were checked where it came in. */
export interface KeyringEvent extends SignedOrder {
  readonly type: 'keyring.order';
}

/** A key as the keyring knows it. */
export interface RingKey extends PublicKeyRecord {
  readonly role: Role;
  readonly status: 'active' | 'rotated' | 'revoked';
  /** When its entry was committed, ms since the epoch. */
  readonly since: number;
  /** When it stopped counting, ms since the epoch: rotated or revoked then. */
  readonly until?: number;
  /** Since when a revoked key is not to be trusted: at or before `until`. */
  readonly distrustedFrom?: number;
  readonly reason?: string;
  /** Kid of the key that registered it, and of the one that ended it. */
  readonly by: string;
  readonly endedBy?: string;
  /** Kid of the key that took its place. */
  readonly successor?: string;
  /** Whether its owner showed to have the private half. */
  readonly proven: boolean;
  /** Of a key of the realm that took the place of another: the order, for whoever trusts only the old one. */
  readonly order?: SignedOrder;
}

export interface KeyringContext {
  readonly realm: string | null;
  readonly ring: string | null;
  readonly seq: number;
  readonly keys: Readonly<Record<string, RingKey>>;
}

/** What the driver writes into the registry: public records, each as it is to be. */
export interface RegistryUpdate {
  readonly keys: readonly (PublicKeyRecord & {
    readonly since: number;
    readonly until?: number;
  })[];
}
