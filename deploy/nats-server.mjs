/**
 * Where this machine's nats-server is. `findNatsServer` only looks (the runtime uses it to start the embedded
 * server); `provideNatsServer` also fetches one into the cache (the bootstrap uses it).
 */
import { chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { natsServerFromApt } from './bootstrap/apt.mjs';
import { isExecutable, run, which } from './bootstrap/commands.mjs';
import { natsServerFromRelease } from './bootstrap/release.mjs';

export const minNatsServerVersion = '2.12.0';

const versionTimeoutMs = 10_000;
// Debian installs it there, and a user's PATH often has neither.
const systemFolders = ['/usr/local/sbin', '/usr/sbin'];

/**
 * @typedef {{ path: string, version: string, source: 'env' | 'path' | 'cache' }} NatsServer
 * @typedef {object} Options
 * @property {NodeJS.ProcessEnv} [env]
 * @property {readonly string[]} [systemFolders] looked through after PATH
 * @property {((work: string) => Promise<string>)[]} [fetchers] ways to fetch one, tried in order
 * @property {(line: string) => void} [log]
 */

/**
 * Finds nats-server >= 2.12 without installing anything: `INFRAFABRIC_NATS_SERVER`, PATH, the cache.
 * @param {Options} [options]
 * @returns {Promise<NatsServer | undefined>}
 * @throws {Error} when `INFRAFABRIC_NATS_SERVER` names something that cannot be used
 */
export async function findNatsServer(options = {}) {
  return (await look(options)).found;
}

/**
 * Finds nats-server >= 2.12, or fetches one into the cache.
 * @param {Options} [options]
 * @returns {Promise<NatsServer>}
 * @throws {Error} that lists what was tried, why each failed, and the one command that fixes it
 */
export async function provideNatsServer(options = {}) {
  const { env = process.env, log = () => {} } = options;
  const { found, tried } = await look(options);
  if (found !== undefined) return found;
  const fetchers = options.fetchers ?? [(work) => natsServerFromApt(work, { env }), natsServerFromRelease];
  const names = ["the distribution's newer suite", 'the upstream release'];
  for (const [i, fetchInto] of fetchers.entries()) {
    const name = names[i] ?? `way ${i + 1}`;
    log(`nats-server: fetching from ${name} …`);
    try {
      return await intoCache(fetchInto, env);
    } catch (error) {
      tried.push(`${name}: ${error.message}`);
    }
  }
  throw new Error(
    [
      `No nats-server >= ${minNatsServerVersion} here, and none could be fetched. Tried:`,
      ...tried.map((line) => `  - ${line}`),
      `Fix: ${fixCommand()}`,
    ].join('\n'),
  );
}

/** @param {NodeJS.ProcessEnv} env */
export function cacheFolder(env = process.env) {
  const base = env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache');
  return join(base, 'infrafabric', 'nats-server');
}

/** @param {Options} options */
async function look({ env = process.env, systemFolders: folders = systemFolders }) {
  /** @type {string[]} */
  const tried = [];
  const named = env.INFRAFABRIC_NATS_SERVER;
  if (named !== undefined && named !== '') {
    const checked = await check(named);
    if (typeof checked === 'string') {
      throw new Error(
        `INFRAFABRIC_NATS_SERVER=${named} ${checked}.\nFix: unset INFRAFABRIC_NATS_SERVER, and one is looked for or fetched`,
      );
    }
    return { found: { path: named, version: checked.version, source: 'env' }, tried };
  }
  const onPath = await which('nats-server', [env.PATH, ...folders].join(delimiter));
  if (onPath.length === 0) tried.push('PATH: no nats-server on it');
  for (const path of new Set(onPath)) {
    const checked = await check(path);
    if (typeof checked !== 'string')
      return { found: { path, version: checked.version, source: 'path' }, tried };
    tried.push(`PATH: ${path} ${checked}`);
  }
  const cache = cacheFolder(env);
  const versions = (await readdir(cache).catch(() => [])).filter((name) => /^\d/.test(name));
  if (versions.length === 0) tried.push(`cache: nothing in ${cache}`);
  for (const name of versions.sort(compareVersions).reverse()) {
    const path = join(cache, name, 'nats-server');
    const checked = await check(path);
    if (typeof checked !== 'string')
      return { found: { path, version: checked.version, source: 'cache' }, tried };
    tried.push(`cache: ${path} ${checked}`);
  }
  return { found: undefined, tried };
}

/**
 * @param {string} path
 * @returns {Promise<{ version: string } | string>} what is wrong with it, as a text
 */
async function check(path) {
  if (!(await isExecutable(path))) return 'is not an executable file';
  let text;
  try {
    text = await run(path, ['--version'], { timeoutMs: versionTimeoutMs });
  } catch (error) {
    return `does not run (${error.message})`;
  }
  const version = /v?(\d+\.\d+\.\d+)/.exec(text)?.[1];
  if (version === undefined) return `answers --version with ${JSON.stringify(text.slice(0, 80))}`;
  if (compareVersions(version, minNatsServerVersion) < 0) {
    return `is ${version}, older than ${minNatsServerVersion}`;
  }
  return { version };
}

/**
 * Fetches beside the cache and moves in by one rename: what is in the cache is whole.
 * @param {(work: string) => Promise<string>} fetchInto
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<NatsServer>}
 */
async function intoCache(fetchInto, env) {
  const cache = cacheFolder(env);
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, '.fetch-'));
  try {
    const binary = await fetchInto(work);
    const checked = await check(binary);
    if (typeof checked === 'string') throw new Error(`the fetched nats-server ${checked}`);
    const staged = join(work, 'staged');
    await mkdir(staged);
    await copyFile(binary, join(staged, 'nats-server'));
    await chmod(join(staged, 'nats-server'), 0o755);
    const folder = join(cache, checked.version);
    const path = join(folder, 'nats-server');
    try {
      await rename(staged, folder);
    } catch (error) {
      // Another bootstrap was faster: its binary does as well. A broken one is replaced.
      if (typeof (await check(path)) === 'string') {
        await rm(folder, { recursive: true, force: true });
        await rename(staged, folder);
      } else if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    }
    return { path, version: checked.version, source: 'cache' };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** @param {string} a @param {string} b */
function compareVersions(a, b) {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number));
  for (let i = 0; i < 3; i += 1) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function fixCommand() {
  if (process.platform === 'darwin') return 'brew install nats-server';
  return 'export INFRAFABRIC_NATS_SERVER=/path/to/nats-server (any nats-server >= 2.12 you have or build)';
}
