/** The realm's own key, `keys/realm.seed`: it signs checkpoints, and orders to the keyring. */
import { sign } from 'node:crypto';
import { type SigningKey, signingKey } from '#runtime/edge/sign';
import { FabricError } from '#schemas/fabric-error';
import { keyErrors } from './errors.ts';
import { ensureSeedFile, readSeedFile } from './key-file.ts';
import { REALM_KEY_NAME, seedFile } from './key-store.ts';

/** A key that others only use; the private half stays inside. */
export interface RealmKey {
  readonly kid: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** An Ed25519 signature, 64 bytes. The same bytes always give the same. */
  sign(bytes: Uint8Array): Uint8Array;
}

/**
 * The realm's key, made where there is none and `mayMake` allows it. Throws `key_file_absent`, `key_file_open`,
 * `key_file_bad`.
 */
export async function openRealmKey(dataDir: string, mayMake = true): Promise<RealmKey> {
  const file = seedFile(dataDir, REALM_KEY_NAME);
  const seed = mayMake ? await ensureSeedFile(file) : await readSeedFile(file);
  if (seed !== undefined) return usable(signingKey(seed));
  throw new FabricError(keyErrors.key_file_absent, `There is no realm key ${file}`, { details: { file } });
}

/** The key as those have it who may only sign with it. */
export function usable({ kid, publicKey, privateKey }: SigningKey): RealmKey {
  return { kid, publicKey, sign: (bytes) => new Uint8Array(sign(null, bytes, privateKey)) };
}
