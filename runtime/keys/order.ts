/**
 * Orders to the keyring: how they are signed, and how that is checked, at the door and years later.
 *
 * O1  What is signed is {@link ORDER_CONTEXT}, a newline, and the RFC 8785 text of the order: no signature made for an
 *     IFMessage, a note or a sign-on is one of an order, nor the other way round.
 * O2  Every signature of an order is checked, each by the key that its kid names: one that is false refuses the order.
 */
import { sign, verify } from 'node:crypto';
import { kidOf, type SigningKey, verifyingKey } from '#runtime/edge/sign';
import { canonicalText } from '#runtime/edge/stamp';
import { FabricError } from '#schemas/fabric-error';
import type { KeyringContext, KeyringOrder, PublicKeyRecord, SignedOrder } from '#schemas/keyring';
import { keyErrors } from './errors.ts';

export const ORDER_CONTEXT = 'infrafabric-keyring-v1';

/** The bytes that the signatures of an order cover (O1). */
export function orderBytes(order: KeyringOrder): Uint8Array {
  return Buffer.from(`${ORDER_CONTEXT}\n${canonicalText({ ...order })}`);
}

/** Signs an order with each of the keys. */
export function signOrder(order: KeyringOrder, keys: readonly SigningKey[]): SignedOrder {
  const bytes = orderBytes(order);
  return {
    order,
    signatures: keys.map(({ kid, privateKey }) => ({
      kid,
      sig: sign(null, bytes, privateKey).toString('base64url'),
    })),
  };
}

/**
 * Checks every signature (O2), by the keys that the keyring knows and those that the order brings; and that each of
 * those is named by its own kid. Throws `order_forged`.
 */
export function checkOrder({ order, signatures }: SignedOrder, keys: KeyringContext['keys']): void {
  const brought = broughtBy(order);
  for (const { kid, publicKey } of brought) {
    if (kidOf(bytesOf(publicKey)) !== kid) throw forged(`${kid} is not the id of its key`);
  }
  const bytes = orderBytes(order);
  for (const { kid, sig } of signatures) {
    const publicKey = keys[kid]?.publicKey ?? brought.find((key) => key.kid === kid)?.publicKey;
    if (publicKey === undefined) throw forged(`nobody knows the key ${kid}`);
    if (!verify(null, bytes, verifyingKey(bytesOf(publicKey)), Buffer.from(sig, 'base64url'))) {
      throw forged(`the signature of ${kid} is false`);
    }
  }
}

/** The public half of a key as orders name it. */
export function publicRecord(
  { kid, publicKey }: Pick<SigningKey, 'kid' | 'publicKey'>,
  owner: string,
): PublicKeyRecord {
  return { kid, owner, publicKey: Buffer.from(publicKey).toString('base64url') };
}

function broughtBy(order: KeyringOrder): readonly PublicKeyRecord[] {
  if (order.op === 'found') return order.keys;
  return order.op === 'revoke' ? [] : [order.key];
}

function bytesOf(publicKey: string): Uint8Array {
  return Buffer.from(publicKey, 'base64url');
}

function forged(why: string): FabricError {
  return new FabricError(keyErrors.order_forged, `The order does not count: ${why}`);
}
