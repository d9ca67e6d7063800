/** Where an archive lies, behind one narrow door. Names are plain: letters, digits, dots and dashes. */
import { resolve } from 'node:path';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors } from './errors.ts';
import { fileStore } from './file-store.ts';
import { s3Store } from './s3-store.ts';

export interface ArchiveStore {
  /** As a person writes it. */
  readonly place: string;
  /** Stores all of it or nothing; what is there under the name is replaced. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Undefined where there is none. Throws `archive_damaged` for more than `bytesMax`, without reading it. */
  get(name: string, bytesMax: number): Promise<Uint8Array | undefined>;
}

/**
 * Opens `s3://bucket/prefix`, or a folder relative to `baseDir`. Throws `archive_missing`, `archive_unreachable`.
 * Credentials come from the environment and nowhere else.
 */
export function openStore(
  place: string,
  baseDir: string,
  env: Readonly<Record<string, string | undefined>>,
): ArchiveStore {
  if (place === '') throw new FabricError(archiveErrors.archive_missing, 'No archive is named');
  return place.startsWith('s3://') ? s3Store(place, env) : fileStore(resolve(baseDir, place));
}
