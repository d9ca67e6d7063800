/**
 * nats-server from a newer suite of this machine's own Debian or Ubuntu mirror. apt downloads it and checks the
 * archive's signature; its state lives in a private folder, so that nothing on the machine changes and no root
 * is needed.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mainArchive } from './apt-sources.mjs';
import { isExecutable, run, which } from './commands.mjs';

const updateTimeoutMs = 180_000;
const downloadTimeoutMs = 180_000;

/**
 * @param {string} work an empty folder of ours; the caller removes it
 * @param {{ env?: NodeJS.ProcessEnv, aptFolder?: string, osRelease?: string }} [options]
 * @returns {Promise<string>} path of the unpacked binary, inside `work`
 * @throws {Error} that says why this way is closed
 */
export async function natsServerFromApt(work, options = {}) {
  const { env = process.env, aptFolder = '/etc/apt', osRelease = '/etc/os-release' } = options;
  const distribution = await readDistribution(osRelease);
  if (distribution === undefined) throw new Error('this is not Debian or Ubuntu');
  for (const tool of ['apt-get', 'dpkg-deb']) {
    if ((await which(tool, env['PATH'])).length === 0) throw new Error(`${tool} is not on PATH`);
  }
  const archive = await mainArchive(aptFolder, distribution);
  if (archive === undefined) throw new Error(`no entry of the main archive in ${aptFolder}`);

  const debian = distribution.id === 'debian';
  const suite = debian ? 'sid' : 'devel';
  const keyring = archive.signedBy || (await distributionKeyring(distribution.id));
  const sources = join(work, 'newer.sources');
  const fields = [
    'Types: deb',
    `URIs: ${archive.uris.join(' ')}`,
    `Suites: ${suite}`,
    `Components: ${debian ? 'main' : 'main universe'}`,
    ...(keyring === '' ? [] : [`Signed-By: ${keyring}`]),
  ];
  await writeFile(sources, `${fields.join('\n')}\n`);
  await mkdir(join(work, 'lists/partial'), { recursive: true });
  await mkdir(join(work, 'cache/archives/partial'), { recursive: true });
  const settings = [
    `Dir::State=${work}`,
    `Dir::State::lists=${join(work, 'lists')}`,
    `Dir::Cache=${join(work, 'cache')}`,
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    'Dir::Etc::preferences=/dev/null',
    'Dir::Etc::preferencesparts=/dev/null',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
    // A mirror's copy of a moving suite may be past its date; the signature is still checked.
    'Acquire::Check-Valid-Until=false',
    // Root's apt would drop to a user who may not write into our folder.
    'APT::Sandbox::User=root',
    // An update that missed a file must fail here, not leave an old index in use.
    'APT::Update::Error-Mode=any',
  ].flatMap((setting) => ['-o', setting]);
  await run('apt-get', [...settings, '-q', 'update'], { cwd: work, env, timeoutMs: updateTimeoutMs });
  const download = [...settings, '-q', 'download', 'nats-server'];
  await run('apt-get', download, { cwd: work, env, timeoutMs: downloadTimeoutMs });

  const deb = (await readdir(work)).find((name) => /^nats-server.*\.deb$/.test(name));
  if (deb === undefined) throw new Error(`apt-get download left no package of suite ${suite}`);
  const unpacked = join(work, 'unpacked');
  await run('dpkg-deb', ['-x', join(work, deb), unpacked], { cwd: work, env, timeoutMs: downloadTimeoutMs });
  for (const folder of ['usr/sbin', 'usr/bin']) {
    const binary = join(unpacked, folder, 'nats-server');
    if (await isExecutable(binary)) return binary;
  }
  throw new Error(`${deb} holds no nats-server binary`);
}

/**
 * @param {string} osRelease
 * @returns {Promise<{ id: 'debian' | 'ubuntu', codename: string } | undefined>}
 */
async function readDistribution(osRelease) {
  const text = await readFile(osRelease, 'utf8').catch(() => '');
  const value = (/** @type {string} */ key) =>
    new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  const id = value('ID');
  // Derivatives have archives of their own: only the two whose suites are known here.
  if (id !== 'debian' && id !== 'ubuntu') return undefined;
  return { id, codename: value('VERSION_CODENAME') };
}

/** @param {string} id */
async function distributionKeyring(id) {
  const file = `/usr/share/keyrings/${id}-archive-keyring.gpg`;
  return (await readFile(file).catch(() => undefined)) === undefined ? '' : file;
}
