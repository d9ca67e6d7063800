/**
 * Timestamped cosignatures of checkpoints (C2SP tlog-cosignature, Ed25519, type 0x04): 8 bytes of time, then the
 * signature over the time and the note's text.
 */
import { concat, utf8 } from './bytes.ts';
import type { NoteSignature, VerifierKey } from './note.ts';

export const COSIGNATURE_BYTES = 8 + 64;

/** What a cosigner signs. `timestamp` in seconds since the epoch; `text` with its final newline. */
export function cosignedText(text: string, timestamp: number): Uint8Array {
  return utf8(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

/** Signs a checkpoint's text with a key of type 0x04. */
export function cosign(
  key: VerifierKey,
  text: string,
  timestamp: number,
  sign: (message: Uint8Array) => Uint8Array,
): NoteSignature {
  const time = new Uint8Array(8);
  new DataView(time.buffer).setBigUint64(0, BigInt(timestamp));
  const signature = concat(time, sign(cosignedText(text, timestamp)));
  return { name: key.name, keyId: key.id, signature };
}

/** Seconds since the epoch; undefined for what is no cosignature. */
export function timestampOf(signature: Uint8Array): number | undefined {
  if (signature.byteLength !== COSIGNATURE_BYTES) return undefined;
  const time = Number(new DataView(signature.buffer, signature.byteOffset).getBigUint64(0));
  return Number.isSafeInteger(time) ? time : undefined;
}
