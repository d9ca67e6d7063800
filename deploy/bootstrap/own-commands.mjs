/**
 * Keeps a link to each command of this package among those of its dependencies. `npx` links a checkout's commands once,
 * in a cache of its own, and goes on with that link when an update has moved the file; then it looks here.
 */
import { mkdir, readFile, readlink, rename, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';

/**
 * @param {string} root folder of the package; its manifest names each command in `bin`
 * @returns {Promise<void>}
 */
export async function linkOwnCommands(root) {
  const { bin } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const folder = join(root, 'node_modules/.bin');
  await mkdir(folder, { recursive: true });
  for (const [name, file] of Object.entries(bin)) {
    const target = relative(folder, join(root, file));
    const link = join(folder, name);
    if ((await readlink(link).catch(() => '')) === target) continue;
    // Made beside its place: another bootstrap may be at it as well.
    const beside = `${link}.${process.pid}`;
    await symlink(target, beside);
    await rename(beside, link);
  }
}
