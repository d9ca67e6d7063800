/**
 * Files of an export in a folder.
 *
 * W1 Only what bears the mark of an export is written over: what somebody else wrote, or took the mark from, is left and told.
 * W2 A file is whole or not there; one that would not change is not touched.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FabricError } from '#schemas/fabric-error';
import { coordinatorErrors } from '../errors.ts';

export interface Exported {
  readonly written: readonly string[];
  readonly same: readonly string[];
  /** W1. */
  readonly left: readonly string[];
}

/** Throws `export_failed`. */
export async function writeFiles(
  folder: string,
  files: ReadonlyMap<string, string>,
  mark: string,
): Promise<Exported> {
  const written: string[] = [];
  const same: string[] = [];
  const left: string[] = [];
  try {
    await mkdir(folder, { recursive: true });
    for (const [name, text] of files) {
      const before = await textOf(join(folder, name));
      if (before === text) same.push(name);
      else if (before !== undefined && !before.includes(mark)) left.push(name);
      else {
        await replace(join(folder, name), text);
        written.push(name);
      }
    }
  } catch (cause) {
    throw new FabricError(coordinatorErrors.export_failed, `Cannot write into ${folder}`, {
      details: { folder },
      cause,
    });
  }
  return { written, same, left };
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

/** W2. */
async function replace(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomUUID()}.tmp`;
  try {
    await writeFile(draft, text, { flag: 'wx' });
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
}
