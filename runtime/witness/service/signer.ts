/**
 * The realm's own key as the signer of checkpoints. It is not in any actor's hands: an actor that signed would write a
 * commit for each signature, which is a leaf to be signed.
 */
import { signingKey } from '#runtime/edge/sign';
import { keyErrors } from '#runtime/keys/errors';
import { openRealmKey, type RealmKey, usable } from '#runtime/keys/realm-key';
import { FabricError } from '#schemas/fabric-error';
import { nodePrimitives } from '../node-crypto.ts';
import { formatNote, formatVerifierKey, signText, verifierKey } from '../note.ts';
import { witnessServiceErrors } from './errors.ts';

/** Signs the text of a note; the key itself stays inside. */
export interface RealmSigner {
  /** Verifier key, `name+id+base64`. */
  readonly key: string;
  /** The same key as the keyring names it. */
  readonly kid: string;
  /** The signed note: text, blank line, signature line. The same text always gives the same note. */
  sign(text: string): string;
}

/**
 * The realm's signer, under the name `origin`. The key is made where there is none and `mayMake` allows it. Throws
 * `witness_key_foreign` where another node has it, `key_file_open`, `key_file_bad`.
 */
export async function openRealmSigner(
  dataDir: string,
  origin: string,
  mayMake: boolean,
): Promise<RealmSigner> {
  try {
    return signerWith(await openRealmKey(dataDir, mayMake), origin);
  } catch (thrown) {
    if (!(thrown instanceof FabricError) || thrown.code !== keyErrors.key_file_absent.code) throw thrown;
    throw new FabricError(
      witnessServiceErrors.witness_key_foreign,
      'The key that signs the checkpoints of this realm is not in the data folder of this node',
    );
  }
}

/** A signer from a 32-byte Ed25519 seed. */
export function signerOf(seed: Uint8Array, name: string): RealmSigner {
  return signerWith(usable(signingKey(seed)), name);
}

function signerWith(key: RealmKey, name: string): RealmSigner {
  const named = verifierKey(nodePrimitives.sha256, name, key.publicKey);
  return {
    key: formatVerifierKey(named),
    kid: key.kid,
    sign: (text) =>
      Buffer.from(formatNote({ text, signatures: [signText(named, text, key.sign)] })).toString(),
  };
}
