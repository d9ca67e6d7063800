/**
 * Private keys as files: 32 bytes each, mode 0600, in a folder that only the owner writes.
 *
 * F1  A key that others may read or write is not opened, nor one in a folder where others may put another in its place.
 * F2  A key file is whole or not there, and none is ever overwritten but by {@link promoteSeed}, with its successor.
 * F3  No bytes of a key stand in an error.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KEY_BYTES, newSeed } from '#runtime/edge/sign';
import { FabricError } from '#schemas/fabric-error';
import { keyErrors } from './errors.ts';

/** Mode bits by which others than the owner may read or write a file. */
const OTHERS = 0o077;
/** Mode bits by which others than the owner may change a folder. */
const OTHERS_WRITE = 0o022;
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** The seed in a file; undefined where there is none. Throws `key_file_open` (F1), `key_file_bad`, `key_file_failed`. */
export async function readSeedFile(file: string): Promise<Uint8Array | undefined> {
  let handle: FileHandle;
  try {
    // A link could lead to what was checked nowhere.
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return undefined;
    throw failed(`Cannot read ${file}`, file, cause);
  }
  try {
    await checkMode(handle, file, OTHERS);
    await checkFolder(dirname(file));
    const bytes = Buffer.alloc(KEY_BYTES + 1);
    const { bytesRead } = await handle.read(bytes, 0, bytes.byteLength, 0);
    if (bytesRead === KEY_BYTES) return new Uint8Array(bytes.subarray(0, KEY_BYTES));
    bytes.fill(0);
    throw new FabricError(keyErrors.key_file_bad, `${file} is no key: it has not ${KEY_BYTES} bytes`, {
      details: { file },
    });
  } finally {
    await handle.close();
  }
}

/** Writes a seed where there is none (F2): true, or false where a file is there already. Throws `key_file_failed`. */
export async function writeSeedFile(file: string, seed: Uint8Array): Promise<boolean> {
  const folder = dirname(file);
  const draft = join(folder, `.${randomUUID()}.tmp`);
  try {
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    const handle = await open(draft, 'wx', FILE_MODE);
    try {
      await handle.writeFile(seed);
      await handle.sync();
    } finally {
      await handle.close();
    }
    try {
      await link(draft, file);
      return true;
    } catch (cause) {
      if (hasCode(cause, 'EEXIST')) return false;
      throw cause;
    }
  } catch (cause) {
    throw failed(`Cannot write ${file}`, file, cause);
  } finally {
    await rm(draft, { force: true });
    await syncFolder(folder);
  }
}

/** The seed in a file, made where there is none; of two processes that meet here both get that of the first. */
export async function ensureSeedFile(file: string): Promise<Uint8Array> {
  const found = await readSeedFile(file);
  if (found !== undefined) return found;
  await writeSeedFile(file, newSeed());
  const made = await readSeedFile(file);
  if (made === undefined) throw failed(`${file} is gone`, file);
  return made;
}

/** Puts a successor in the place of a key, in one step; the key that was there is gone. Of two that do it both succeed. */
export async function promoteSeed(next: string, file: string): Promise<void> {
  try {
    await rename(next, file);
  } catch (cause) {
    if (hasCode(cause, 'ENOENT') && (await readSeedFile(file)) !== undefined) return;
    throw failed(`Cannot replace ${file}`, file, cause);
  }
  await syncFolder(dirname(file));
}

async function checkFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await checkMode(handle, folder, OTHERS_WRITE);
  } finally {
    await handle.close();
  }
}

async function checkMode(handle: FileHandle, path: string, forbidden: number): Promise<void> {
  const { mode } = await handle.stat();
  if ((mode & forbidden) === 0) return;
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  throw new FabricError(
    keyErrors.key_file_open,
    `${path} has mode ${shown}: others than its owner get at it`,
    {
      details: { path, mode: shown },
    },
  );
}

/** A name counts after a power cut only when its folder is on the disk. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(folder, constants.O_RDONLY);
  } catch (cause) {
    throw failed(`Cannot open ${folder}`, folder, cause);
  }
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function failed(message: string, path: string, cause?: unknown): FabricError {
  return new FabricError(keyErrors.key_file_failed, message, {
    details: { path },
    ...(cause !== undefined && { cause }),
  });
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
