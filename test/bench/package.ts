/** The package as users have it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** What its modules and theirs lie under. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Builds it from this checkout; the program that it starts with. */
export async function builtPackage(): Promise<string> {
  await promisify(execFile)('npm', ['run', 'build'], { cwd: ROOT });
  return join(ROOT, 'dist', 'actors', 'infrafabric.js');
}
