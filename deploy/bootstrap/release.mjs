/** nats-server from its upstream release: a pinned version, checked against pinned SHA-256 sums. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './commands.mjs';

const pinnedVersion = '2.15.0';
/** @type {Readonly<Record<string, string>>} */
const pinnedSums = {
  'linux-x64': '5d2c51caca950333aba84911df7d377f826f3a59ec36061c6539105084f65c92',
  'linux-arm64': 'cdc208f5a3f42963a52b6ab06ef65626bb870315dc936e26ba571780c6351112',
  'darwin-arm64': 'e1c4e22d70bd44abfa0bcb3c16f7cf0c66f648c2e728c58924e8a1ce88913cc8',
};
const releases = 'https://github.com/nats-io/nats-server/releases/download';
const downloadTimeoutMs = 300_000;

/**
 * @param {string} work an empty folder of ours; the caller removes it
 * @param {{ platform?: string, baseUrl?: string, sums?: Record<string, string> }} [options]
 * @returns {Promise<string>} path of the unpacked binary, inside `work`
 * @throws {Error} when the platform has no pinned sum, the download fails, or its sum differs
 */
export async function natsServerFromRelease(work, options = {}) {
  const { platform = `${process.platform}-${process.arch}`, baseUrl = releases, sums = pinnedSums } = options;
  const expected = sums[platform];
  if (expected === undefined) throw new Error(`no pinned release for ${platform}`);
  const name = `nats-server-v${pinnedVersion}-${platform.replace('x64', 'amd64')}`;
  const url = `${baseUrl}/v${pinnedVersion}/${name}.tar.gz`;
  const body = await download(url);
  const actual = createHash('sha256').update(body).digest('hex');
  if (actual !== expected) throw new Error(`${url} has SHA-256 ${actual}, expected ${expected}: not used`);
  await mkdir(work, { recursive: true });
  const archive = join(work, `${name}.tar.gz`);
  await writeFile(archive, body);
  await run('tar', ['-xzf', archive], { cwd: work, timeoutMs: 60_000 });
  return join(work, name, 'nats-server');
}

/** @param {string} url */
async function download(url) {
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(downloadTimeoutMs) });
  } catch (error) {
    const { cause, message } = /** @type {Error & { cause?: NodeJS.ErrnoException }} */ (error);
    throw new Error(`${url}: ${cause?.code ?? cause?.message ?? message}`);
  }
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
