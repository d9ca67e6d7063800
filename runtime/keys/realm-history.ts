/**
 * Which key the realm signed its checkpoints with, and when. Nothing but the signatures in the rotations themselves is
 * believed: whoever tells the history may be anybody.
 */
import { kidOf } from '#runtime/edge/sign';
import { FabricError } from '#schemas/fabric-error';
import type { KeyringContext, RingKey } from '#schemas/keyring';
import { checkOrder } from './order.ts';

/** A key of the realm, and the time it was the one that counts. */
export interface RealmKeyPeriod {
  readonly kid: string;
  /** 32 bytes, base64url. */
  readonly publicKey: string;
  /** ms since the epoch, by the clock of the realm. */
  readonly since: number;
  /** Absent for the key that counts now. */
  readonly until?: number;
}

/** The keys of the realm, the oldest first. */
export function realmKeys({ keys }: Pick<KeyringContext, 'keys'>): RealmKeyPeriod[] {
  return Object.values(keys)
    .filter(({ role }) => role === 'realm')
    .sort((a, b) => a.since - b.since || Number(b.successor === a.kid) - Number(a.successor === b.kid))
    .map(({ kid, publicKey, since, until }) => ({
      kid,
      publicKey,
      since,
      ...(until !== undefined && { until }),
    }));
}

/**
 * The keys that took the place of a trusted one, in order, each signed for by the one before it and by itself; empty
 * where it still counts, or is no key of this realm.
 */
export function successorsOf(trusted: Uint8Array, { keys }: Pick<KeyringContext, 'keys'>): RingKey[] {
  const found: RingKey[] = [];
  let publicKey = Buffer.from(trusted).toString('base64url');
  let kid = kidOf(trusted);
  const all = Object.values(keys);
  // A ring of rotations would go round for ever.
  for (let turn = 0; turn < all.length; turn += 1) {
    const next = all.find((key) => isSuccessor(key, { kid, publicKey }));
    if (next === undefined) break;
    found.push(next);
    ({ kid, publicKey } = next);
  }
  return found;
}

function isSuccessor(key: RingKey, old: { readonly kid: string; readonly publicKey: string }): boolean {
  const signed = key.order;
  if (signed === undefined || signed.order.op !== 'rotate' || signed.order.by !== old.kid) return false;
  const { order, signatures } = signed;
  if (order.key.kid !== key.kid || order.key.publicKey !== key.publicKey) return false;
  const signers = signatures.map(({ kid }) => kid);
  if (!signers.includes(old.kid) || !signers.includes(key.kid)) return false;
  try {
    checkOrder(signed, { [old.kid]: { ...key, ...old } });
    return true;
  } catch (thrown) {
    if (thrown instanceof FabricError) return false;
    throw thrown;
  }
}
