/** Private keys of local senders: one 32-byte seed per owner in the data folder, mode 0600, made on demand. */
import { join } from 'node:path';
import { ensureSeedFile } from '#runtime/keys/key-file';
import { parseAddress } from '#schemas/address';
import type { KeyEntry } from './keys.ts';
import { type SigningKey, signingKey } from './sign.ts';

export interface SenderKeys {
  /** The owner's key, made, stored and registered where there is none. Throws `bad_address`, `key_file_open`, `key_file_failed`. */
  ensureSenderKey(owner: string): Promise<SigningKey>;
}

export interface SenderKeysOptions {
  /** The realm's data folder; keys lie in `keys/` below it. */
  readonly dataFolder: string;
  /** Where the public half is registered; nowhere when absent. */
  readonly registry?: { add(entry: KeyEntry, now: number, key: SigningKey): Promise<unknown> };
  /** ms since the epoch. */
  readonly now: () => number;
}

export function senderKeys({ dataFolder, registry, now }: SenderKeysOptions): SenderKeys {
  const folder = join(dataFolder, 'keys');
  const known = new Map<string, Promise<SigningKey>>();

  async function load(owner: string, file: string): Promise<SigningKey> {
    const key = signingKey(await ensureSeedFile(file));
    await registry?.add(
      { kid: key.kid, owner, publicKey: Buffer.from(key.publicKey).toString('base64url') },
      now(),
      key,
    );
    return key;
  }

  return {
    ensureSenderKey(owner) {
      const { type, id, address } = parseAddress(owner);
      let key = known.get(address);
      if (key === undefined) {
        key = load(address, join(folder, `${type}%${id}.seed`));
        known.set(address, key);
        key.catch(() => known.delete(address));
      }
      return key;
    },
  };
}
