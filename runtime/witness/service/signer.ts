/**
 * The realm's own key, which signs checkpoints: `keys/realm.seed` of the data folder, mode 0600, made with the first
 * checkpoint. It is not in any actor's hands: an actor that signed would write a commit for each signature, which is a
 * leaf to be signed.
 */

import { sign } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readOrCreateSeed } from '#runtime/edge/sender-keys';
import { signingKey } from '#runtime/edge/sign';
import { FabricError } from '#schemas/fabric-error';
import { nodePrimitives } from '../node-crypto.ts';
import { formatNote, formatVerifierKey, signText, verifierKey } from '../note.ts';
import { witnessServiceErrors } from './errors.ts';

const SEED_FILE = 'realm.seed';

/** Signs the text of a note; the key itself stays inside. */
export interface RealmSigner {
  /** Verifier key, `name+id+base64`. */
  readonly key: string;
  /** The signed note: text, blank line, signature line. The same text always gives the same note. */
  sign(text: string): string;
}

/**
 * The realm's signer, under the name `origin`. The key is made where there is none and `mayMake` allows it. Throws
 * `witness_key_foreign` where another node has it, `key_store_failed`.
 */
export async function openRealmSigner(
  dataDir: string,
  origin: string,
  mayMake: boolean,
): Promise<RealmSigner> {
  const folder = join(dataDir, 'keys');
  const file = join(folder, SEED_FILE);
  if (!mayMake && !existsSync(file)) {
    throw new FabricError(
      witnessServiceErrors.witness_key_foreign,
      'The key that signs the checkpoints of this realm is not in the data folder of this node',
    );
  }
  return signerOf(await readOrCreateSeed(folder, file), origin);
}

/** A signer from a 32-byte Ed25519 seed. */
export function signerOf(seed: Uint8Array, name: string): RealmSigner {
  const { privateKey, publicKey } = signingKey(seed);
  const key = verifierKey(nodePrimitives.sha256, name, publicKey);
  const signBytes = (message: Uint8Array): Uint8Array => sign(null, message, privateKey);
  return {
    key: formatVerifierKey(key),
    sign: (text) =>
      Buffer.from(formatNote({ text, signatures: [signText(key, text, signBytes)] })).toString(),
  };
}
