/**
 * Keeps node_modules equal to package-lock.json. The lock's hash is remembered inside node_modules, which
 * `npm ci` removes first: an install that was interrupted leaves no hash and is done again.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join, sep } from 'node:path';
import { which } from './commands.mjs';
import { installAlone } from './install-lock.mjs';

const mark = 'node_modules/.infrafabric-lock';

/**
 * @param {string} root
 * @param {{ env?: NodeJS.ProcessEnv, log?: (line: string) => void }} [options]
 * @returns {Promise<boolean>} whether an install was needed
 * @throws {Error} that says what failed and how to fix it
 */
export async function installDependencies(root, { env = process.env, log = () => {} } = {}) {
  if (await isInstalled(root)) return false;
  return await installAlone(
    root,
    async (holds) => {
      // It may have been another bootstrap's install that was waited for.
      if (await isInstalled(root)) return false;
      const lock = await readFile(join(root, 'package-lock.json'), 'utf8');
      const present = await readFile(join(root, mark), 'utf8').catch(() => '');
      const wanted = markOf(lock);
      const samePlatform = present === '' || present.split(' ')[1] === wanted.split(' ')[1];
      if (samePlatform && (await npmInstalledIt(root, lock))) {
        await writeFile(join(root, mark), wanted);
        return false;
      }
      log(`npm ci: ${present === '' ? 'nothing is installed yet' : 'package-lock.json changed'} …`);
      await rm(join(root, mark), { force: true });
      await npmCi(root, env, holds);
      await writeFile(join(root, mark), wanted);
      return true;
    },
    { log },
  );
}

/** @param {string} root */
async function isInstalled(root) {
  const lock = await readFile(join(root, 'package-lock.json'), 'utf8');
  return (await readFile(join(root, mark), 'utf8').catch(() => '')) === markOf(lock);
}

/** @param {string} lock */
function markOf(lock) {
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`;
}

/**
 * npm keeps its own record of a finished install; when it names every locked package, nothing is to do
 * (somebody ran `npm install` by hand).
 * @param {string} root
 * @param {string} lock
 */
async function npmInstalledIt(root, lock) {
  const text = await readFile(join(root, 'node_modules/.package-lock.json'), 'utf8').catch(() => '');
  if (text === '') return false;
  const installed = JSON.parse(text).packages;
  const locked = Object.entries(JSON.parse(lock).packages).filter(([path]) => path !== '');
  return (
    locked.every(
      ([path, { version, optional }]) => (installed[path]?.version ?? (optional && version)) === version,
    ) && Object.keys(installed).every((path) => locked.some(([other]) => other === path))
  );
}

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {(pid: number) => Promise<void>} holds
 */
async function npmCi(root, env, holds) {
  // The Node in node_modules is about to be removed: npm has to run on the machine's own.
  const path = (env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes(`${sep}node_modules${sep}`))
    .join(delimiter);
  const [npm] = await which('npm', path);
  const fix = `Fix: cd ${root} && npm ci`;
  if (npm === undefined) throw new Error(`npm is not on PATH.\nFix: sudo apt-get install npm`);
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const child = spawn(npm, args, { cwd: root, env: { ...env, PATH: path }, stdio: ['ignore', 2, 2] });
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (child.pid !== undefined) await holds(child.pid);
  const code = await ended;
  if (code !== 0) throw new Error(`npm ci ended with code ${code}; its messages stand above.\n${fix}`);
}
