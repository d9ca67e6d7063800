/**
 * The two primitives that the witness rests on, given from outside: Node has them built in, a browser brings its own.
 * Everything else in this folder that is not named for Node or the service runs in both.
 */

/** SHA-256 of bytes: 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** Whether an Ed25519 signature (RFC 8032, 64 bytes) over a message is that of a public key (32 bytes). Never throws. */
export type VerifyEd25519 = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;

export interface Primitives {
  readonly sha256: Sha256;
  readonly verifyEd25519: VerifyEd25519;
}

export const HASH_BYTES = 32;
