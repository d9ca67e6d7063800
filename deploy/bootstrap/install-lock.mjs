/**
 * One install at a time in a folder: of two `npm ci` at once, one removes what the other has just installed, and
 * what is left looks finished. The lock names both the bootstrap and its npm, because npm may outlive a
 * bootstrap that was killed; a lock that names no living process is taken over.
 */
import { createHash } from 'node:crypto';
import { appendFile, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 200;
// Longer than any install takes: a process id that was given to another program blocks no longer than this.
const waitMaxMs = 600_000;

/**
 * Runs `work` while no other bootstrap installs in `root`.
 * @template T
 * @param {string} root
 * @param {(holds: (pid: number) => Promise<void>) => Promise<T>} work tells the lock of the child it starts
 * @param {{ log?: (line: string) => void }} [options]
 * @returns {Promise<T>}
 * @throws {Error} when another install has not ended within ten minutes, and whatever `work` throws
 */
export async function installAlone(root, work, { log = () => {} } = {}) {
  const file = await lockFile(root);
  const deadline = Date.now() + waitMaxMs;
  let told = false;
  while (!(await take(file))) {
    const held = await readFile(file, 'utf8').catch(() => '');
    if (held !== '' && !pids(held).some(alive)) {
      await takeAway(file, held);
      continue;
    }
    if (Date.now() > deadline) {
      throw new Error(`Another install in ${root} (process ${held.trim()}) has not ended.\nFix: rm ${file}`);
    }
    if (!told) log(`npm ci: another one runs in ${root}, waiting for its end …`);
    told = true;
    // Another process's end is no event here.
    await delay(pollMs);
  }
  try {
    return await work((pid) => appendFile(file, `${pid}\n`));
  } finally {
    await rm(file, { force: true });
  }
}

/**
 * Outside the folder, so that no install removes it and no commit catches it.
 * @param {string} root
 */
export async function lockFile(root) {
  const key = createHash('sha256')
    .update(await realpath(root))
    .digest('hex')
    .slice(0, 16);
  return join(tmpdir(), `infrafabric-install-${userInfo().uid}-${key}`);
}

/** @param {string} file */
async function take(file) {
  try {
    await writeFile(file, `${process.pid}\n`, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Removes a dead lock. Another bootstrap may have done so and taken the lock meanwhile: then it is put back.
 * @param {string} file
 * @param {string} dead
 */
async function takeAway(file, dead) {
  const aside = `${file}.${process.pid}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return;
    throw error;
  }
  if ((await readFile(aside, 'utf8')) === dead) await rm(aside);
  else await rename(aside, file);
}

/** @param {string} text */
function pids(text) {
  return text.split('\n').filter(Boolean).map(Number);
}

/** @param {number} pid */
function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}
