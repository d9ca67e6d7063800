/**
 * Sealing of one value under one data key. Pure but for the random iv, which tests give.
 *
 * S1  A sealed value says whose it is, which field it was and which key opens it, and all of that, with the realm, is
 *     authenticated: none of it can be changed, and no value can be passed off as another's.
 * S2  What opens is exactly what was sealed: type and all.
 * S3  The length of a sealed value tells the length of the plain one up to a multiple of 32 bytes only.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { decode, encode } from '#runtime/bus/codec';
import { FabricError } from '#schemas/fabric-error';
import { isSealed, SEALED, type Sealed } from '#schemas/sealed';
import { privacyErrors } from './errors.ts';

/** 256 bits: of data keys and of the key that wraps them. */
export const KEY_BYTES = 32;
const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** S3: answers such as yes and no, or years, are of one length. */
const BLOCK_BYTES = 32;
const LENGTH_BYTES = 4;
/**
 * Added to the length where what is sealed is a seal itself: its texts are kept as bytes, or it would grow by a third with
 * each person whose data a text repeats.
 */
const NESTED = 2 ** 31;

/** The key of one subject. */
export interface DataKey {
  readonly kid: string;
  readonly key: KeyObject;
}

export interface SealedFor {
  readonly realm: string;
  readonly subject: string;
  /** JSON Pointer of the field. */
  readonly path: string;
}

/** Seals plain data. `iv` must never be used twice with a key: leave it to chance. */
export function seal(
  value: unknown,
  { realm, subject, path }: SealedFor,
  { kid, key }: DataKey,
  iv: Uint8Array = randomBytes(IV_BYTES),
): Sealed {
  const labels = { v: 1 as const, subject, path, kid };
  const inner = isSealed(value) ? packed(value) : undefined;
  const plain = inner === undefined ? padded(encode(value)) : padded(encode(inner), NESTED);
  const ct = encrypt(key, iv, associated(realm, labels), plain);
  return { [SEALED]: { ...labels, iv: base64(iv), ct: base64(ct) } };
}

/** The plain value. Throws `bad_sealed` for another key, another realm, or a changed byte or label (S1). */
export function open(sealed: Sealed, realm: string, key: KeyObject): unknown {
  const { iv, ct, ...labels } = sealed[SEALED];
  try {
    const plain = decrypt(
      key,
      Buffer.from(iv, 'base64url'),
      associated(realm, labels),
      Buffer.from(ct, 'base64url'),
    );
    const framed = plain.readUInt32BE(0);
    const value = decode(new Uint8Array(plain.subarray(LENGTH_BYTES, LENGTH_BYTES + (framed % NESTED))));
    return framed < NESTED ? value : unpacked(value as Packed);
  } catch (cause) {
    throw new FabricError(privacyErrors.bad_sealed, 'A sealed value does not open', {
      details: { subject: labels.subject, path: labels.path, kid: labels.kid },
      cause,
    });
  }
}

/** Iv, ciphertext and tag in one: how data keys are kept. */
export function wrap(plain: Uint8Array, wrapping: KeyObject, context: string): string {
  const iv = randomBytes(IV_BYTES);
  return base64(Buffer.concat([iv, encrypt(wrapping, iv, Buffer.from(context), plain)]));
}

/** Undefined where it was wrapped with another key, or for something else. */
export function unwrap(wrapped: string, wrapping: KeyObject, context: string): Uint8Array | undefined {
  const bytes = Buffer.from(wrapped, 'base64url');
  try {
    return decrypt(wrapping, bytes.subarray(0, IV_BYTES), Buffer.from(context), bytes.subarray(IV_BYTES));
  } catch {
    // GCM says no more than that; the caller knows what it looked for.
    return undefined;
  }
}

function encrypt(key: KeyObject, iv: Uint8Array, aad: Uint8Array, plain: Uint8Array): Buffer {
  const cipher = createCipheriv(ALGORITHM, key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: KeyObject, iv: Uint8Array, aad: Uint8Array, bytes: Buffer): Buffer {
  const decipher = createDecipheriv(ALGORITHM, key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]);
}

/** S1: a JSON list has one reading only. */
function associated(
  realm: string,
  { v, subject, path, kid }: Omit<Sealed[typeof SEALED], 'iv' | 'ct'>,
): Uint8Array {
  return Buffer.from(JSON.stringify(['infrafabric sealed', v, realm, subject, path, kid]));
}

type Packed = Omit<Sealed[typeof SEALED], 'iv' | 'ct'> & {
  readonly iv: Uint8Array;
  readonly ct: Uint8Array;
};

/** Undefined for what only looks sealed: bytes would not give its texts back (S2). */
function packed({ [SEALED]: sealed }: Sealed): Packed | undefined {
  const iv = new Uint8Array(Buffer.from(sealed.iv, 'base64url'));
  const ct = new Uint8Array(Buffer.from(sealed.ct, 'base64url'));
  return base64(iv) === sealed.iv && base64(ct) === sealed.ct ? { ...sealed, iv, ct } : undefined;
}

function unpacked({ iv, ct, ...labels }: Packed): Sealed {
  return { [SEALED]: { ...labels, iv: base64(iv), ct: base64(ct) } };
}

function padded(bytes: Uint8Array, flag = 0): Uint8Array {
  const framed = Buffer.alloc(Math.ceil((LENGTH_BYTES + bytes.byteLength) / BLOCK_BYTES) * BLOCK_BYTES);
  framed.writeUInt32BE(bytes.byteLength + flag, 0);
  framed.set(bytes, LENGTH_BYTES);
  return framed;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}
