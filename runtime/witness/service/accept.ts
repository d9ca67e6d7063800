/** Cosigners as the config names them, and which of their answers count. */
import { verify } from 'node:crypto';
import { verifyingKey } from '#runtime/edge/sign';
import { equalBytes } from '#runtime/shard/commit';
import { FabricError } from '#schemas/fabric-error';
import {
  COSIGNATURE,
  cosignatureText,
  type NoteSignature,
  parseNote,
  parseVerifierKey,
  signatureLine,
  type VerifierKey,
} from './core.ts';
import type { CosignerOptions } from './cosigners.ts';
import { witnessServiceErrors } from './errors.ts';

/** Timestamp and Ed25519 signature. */
const COSIGNATURE_BYTES = 8 + 64;

/** Throws `cosigner_bad_key`. */
export function cosignerOf(url: string, text: string): Pick<CosignerOptions, 'url' | 'name' | 'accept'> {
  const key = parseVerifierKey(text);
  if (key?.type !== COSIGNATURE) {
    throw new FabricError(
      witnessServiceErrors.cosigner_bad_key,
      `The key of cosigner ${url} is no cosigner's key`,
      {
        details: { url, key: text },
      },
    );
  }
  return { url, name: key.name, accept: (note, reply) => acceptedLine(key, note, reply) };
}

/** The signature line of `key` for a note, among lines that somebody sent; undefined where none verifies. */
function acceptedLine(key: VerifierKey, note: string, reply: string): string | undefined {
  const parsed = parseNote(note + reply);
  if (parsed === undefined) return undefined;
  const found = parsed.signatures.find((signature) => isCosignature(key, parsed.text, signature));
  return found === undefined ? undefined : signatureLine(key.name, key.id, found.signature);
}

function isCosignature(key: VerifierKey, text: string, { name, id, signature }: NoteSignature): boolean {
  if (name !== key.name || !equalBytes(id, key.id) || signature.byteLength !== COSIGNATURE_BYTES)
    return false;
  const time = Number(Buffer.from(signature).readBigUInt64BE());
  const signed = Buffer.from(cosignatureText(time, text));
  return verify(null, signed, verifyingKey(key.publicKey), signature.subarray(8));
}
