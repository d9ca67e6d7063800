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
import { ED25519, signatureLine, verifierKey, verifierKeyText } from './core.ts';
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
  const key = verifierKey(name, ED25519, publicKey);
  return {
    key: verifierKeyText(key),
    sign: (text) => `${text}\n${signatureLine(name, key.id, sign(null, Buffer.from(text), privateKey))}`,
  };
}
