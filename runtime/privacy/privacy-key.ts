/** The realm's privacy key: 32 bytes in the data folder, mode 0600, made once. It wraps the data keys and nothing else. */
import { createSecretKey, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FabricError } from '#schemas/fabric-error';
import { privacyErrors } from './errors.ts';
import { KEY_BYTES } from './seal.ts';

/** Bits of a mode by which others than the owner may read or write. */
const OTHERS = 0o077;

export function privacyKeyFile(dataDir: string): string {
  return join(dataDir, 'keys', 'privacy.key');
}

/** The key; undefined where there is no file. Throws `privacy_key_unreadable`. */
export async function readPrivacyKey(dataDir: string): Promise<KeyObject | undefined> {
  const file = privacyKeyFile(dataDir);
  try {
    const { mode } = await stat(file);
    const bytes = await readFile(file);
    if (bytes.byteLength !== KEY_BYTES || (mode & OTHERS) !== 0) throw unreadable(file);
    return createSecretKey(bytes);
  } catch (cause) {
    if (cause instanceof FabricError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, cause);
  }
}

/** The key, made where there is none. Two processes may meet here: the first to link its file wins. */
export async function ensurePrivacyKey(dataDir: string): Promise<KeyObject> {
  const present = await readPrivacyKey(dataDir);
  if (present !== undefined) return present;
  const file = privacyKeyFile(dataDir);
  const folder = join(dataDir, 'keys');
  const draft = join(folder, `.${randomUUID()}.tmp`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(randomBytes(KEY_BYTES));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } catch (cause) {
    throw unreadable(file, cause);
  } finally {
    await rm(draft, { force: true });
  }
  const made = await readPrivacyKey(dataDir);
  if (made === undefined) throw unreadable(file);
  return made;
}

function unreadable(file: string, cause?: unknown): FabricError {
  return new FabricError(privacyErrors.privacy_key_unreadable, `${file} is no privacy key`, {
    details: { file },
    ...(cause !== undefined && { cause }),
  });
}
