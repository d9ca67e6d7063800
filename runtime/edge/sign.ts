/**
 * Ed25519 keys, and signing with them.
 *
 * Keys are 32-byte Ed25519 seeds and public keys; a kid is derived from the public key, so it never names two keys.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { FabricError } from '#schemas/fabric-error';
import type { IFMessage } from '#schemas/if-message';
import { edgeErrors } from './errors.ts';
import { canonicalText } from './stamp.ts';

/** Bytes of a seed and of a public key. */
export const KEY_BYTES = 32;

/** DER in front of a raw key (RFC 8410): node:crypto takes no raw ones. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** A key that can sign. The private half stays inside the KeyObject. */
export interface SigningKey {
  readonly kid: string;
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
}

/** Signs every field but `signature`. Throws `bad_envelope` where a field has no JSON form. */
export function signMessage(message: IFMessage, key: SigningKey): IFMessage {
  const { signature: _, ...unsigned } = message;
  const sig = sign(null, Buffer.from(canonicalText(unsigned)), key.privateKey).toString('base64url');
  return { ...unsigned, signature: { alg: 'Ed25519', kid: key.kid, sig } };
}

/** A signing key from its 32-byte seed. Throws `bad_key`. */
export function signingKey(seed: Uint8Array): SigningKey {
  assertKeyBytes(seed);
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length));
  return { kid: kidOf(publicKey), publicKey, privateKey };
}

/** A fresh random seed. Its key's id begins with no dash: on a command line it would be taken for an option. */
export function newSeed(): Uint8Array {
  for (;;) {
    const seed = new Uint8Array(randomBytes(KEY_BYTES));
    if (!signingKey(seed).kid.startsWith('-')) return seed;
  }
}

/** The stable id of a public key: the first 128 bits of its SHA-256, base64url. */
export function kidOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest().subarray(0, 16).toString('base64url');
}

/** A public key from its 32 bytes. Throws `bad_key`. */
export function verifyingKey(publicKey: Uint8Array): KeyObject {
  assertKeyBytes(publicKey);
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
}

function assertKeyBytes(bytes: Uint8Array): void {
  if (bytes.byteLength === KEY_BYTES) return;
  throw new FabricError(
    edgeErrors.bad_key,
    `An Ed25519 key has ${KEY_BYTES} bytes, this has ${bytes.byteLength}`,
  );
}
