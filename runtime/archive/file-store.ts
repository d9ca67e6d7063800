/** An archive in a folder: each file is written beside its place, synced, and moved there. */
import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors, tooLarge } from './errors.ts';
import type { ArchiveStore } from './store.ts';

export function fileStore(folder: string): ArchiveStore {
  const failed = (cause: unknown): FabricError =>
    new FabricError(
      archiveErrors.archive_unreachable,
      `The folder ${folder} cannot be used: ${(cause as Error).message}`,
      {
        details: { place: folder },
        cause,
      },
    );
  return {
    place: folder,

    async put(name, bytes) {
      const draft = join(folder, `.${randomUUID()}.tmp`);
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const handle = await open(draft, 'wx', 0o600);
        try {
          await handle.writeFile(bytes);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await rename(draft, join(folder, name));
        await syncFolder(folder);
      } catch (cause) {
        throw failed(cause);
      } finally {
        await rm(draft, { force: true });
      }
    },

    async get(name, bytesMax) {
      let handle: FileHandle | undefined;
      try {
        handle = await open(join(folder, name), 'r');
        const { size } = await handle.stat();
        if (size > bytesMax) throw tooLarge(folder, name, bytesMax);
        return new Uint8Array(await handle.readFile());
      } catch (cause) {
        if (cause instanceof FabricError) throw cause;
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw failed(cause);
      } finally {
        await handle?.close();
      }
    },
  };
}

/** A rename is durable once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
