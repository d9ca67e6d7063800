/** Private keys of local senders: one 32-byte seed per owner in the data folder, mode 0600, made on demand. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAddress } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { edgeErrors } from './errors.ts';
import type { KeyRegistry } from './keys.ts';
import { newSeed, type SigningKey, signingKey } from './sign.ts';

export interface SenderKeys {
  /** The owner's key, made, stored and registered where there is none. Throws `bad_address`, `key_store_failed`. */
  ensureSenderKey(owner: string): Promise<SigningKey>;
}

export interface SenderKeysOptions {
  /** The realm's data folder; keys lie in `keys/` below it. */
  readonly dataFolder: string;
  /** Where the public half is registered; nowhere when absent. */
  readonly registry?: Pick<KeyRegistry, 'add'>;
  /** ms since the epoch. */
  readonly now: () => number;
}

export function senderKeys({ dataFolder, registry, now }: SenderKeysOptions): SenderKeys {
  const folder = join(dataFolder, 'keys');
  const known = new Map<string, Promise<SigningKey>>();

  async function load(owner: string, file: string): Promise<SigningKey> {
    const key = signingKey(await readOrCreateSeed(folder, file));
    await registry?.add(
      { kid: key.kid, owner, publicKey: Buffer.from(key.publicKey).toString('base64url') },
      now(),
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

/** A seed from its file, mode 0600, made where there is none. Two processes may meet here: the first to link its finished file wins, the other reads that one. Throws `key_store_failed`. */
export async function readOrCreateSeed(folder: string, file: string): Promise<Uint8Array> {
  const found = await readSeed(file);
  if (found !== undefined) return found;
  const draft = join(folder, `.${randomUUID()}.tmp`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(newSeed());
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST')) throw error;
    });
  } catch (cause) {
    throw new FabricError(edgeErrors.key_store_failed, `Cannot write ${file}`, { details: { file }, cause });
  } finally {
    await rm(draft, { force: true });
  }
  const made = await readSeed(file);
  if (made === undefined)
    throw new FabricError(edgeErrors.key_store_failed, `${file} is gone`, { details: { file } });
  return made;
}

async function readSeed(file: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return undefined;
    throw new FabricError(edgeErrors.key_store_failed, `Cannot read ${file}`, { details: { file }, cause });
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
