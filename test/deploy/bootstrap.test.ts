import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { natsServerFromApt } from '#deploy/bootstrap/apt';
import { mainArchive } from '#deploy/bootstrap/apt-sources';
import { run } from '#deploy/bootstrap/commands';
import { installDependencies } from '#deploy/bootstrap/dependencies';
import { installAlone, lockFile } from '#deploy/bootstrap/install-lock';
import { packedManifest, restoreManifest, rewriteManifest } from '#deploy/bootstrap/manifest';
import { linkOwnCommands } from '#deploy/bootstrap/own-commands';
import { natsServerFromRelease } from '#deploy/bootstrap/release';
import { cacheFolder, findNatsServer, provideNatsServer } from '#deploy/nats-server';

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'bootstrap-test-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A program that answers `--version` like nats-server does. */
async function fakeServer(file: string, version: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(file, 0o755);
  return file;
}

const noSystem = { systemFolders: [] };

test('nats-server is taken from the variable, then PATH, then the newest in the cache, never one that is too old', async (t) => {
  const root = await folder(t);
  const env: Record<string, string> = {
    HOME: root,
    PATH: ['old', 'new'].map((d) => join(root, d)).join(delimiter),
  };
  t.is(await findNatsServer({ env, ...noSystem }), undefined);

  await fakeServer(join(cacheFolder(env), '2.12.9', 'nats-server'), '2.12.9');
  await fakeServer(join(cacheFolder(env), '2.13.10', 'nats-server'), '2.13.10');
  await fakeServer(join(cacheFolder(env), '2.9.0', 'nats-server'), '2.9.0');
  t.like(await findNatsServer({ env, ...noSystem }), { version: '2.13.10', source: 'cache' });

  await fakeServer(join(root, 'old', 'nats-server'), '2.10.4');
  t.like(await findNatsServer({ env, ...noSystem }), { source: 'cache' });
  const onPath = await fakeServer(join(root, 'new', 'nats-server'), '2.12.0');
  t.deepEqual(await findNatsServer({ env, ...noSystem }), {
    path: onPath,
    version: '2.12.0',
    source: 'path',
  });

  const named = await fakeServer(join(root, 'mine'), '2.15.1');
  t.like(await findNatsServer({ env: { ...env, INFRAFABRIC_NATS_SERVER: named }, ...noSystem }), {
    source: 'env',
  });
  const old = { ...env, INFRAFABRIC_NATS_SERVER: join(root, 'old', 'nats-server') };
  await t.throwsAsync(findNatsServer({ env: old, ...noSystem }), {
    message: /is 2\.10\.4, older than 2\.12\.0\.\nFix: unset INFRAFABRIC_NATS_SERVER/,
  });
});

test('a fetched nats-server lands whole in the cache, also when the first way is closed', async (t) => {
  const root = await folder(t);
  const env = { XDG_CACHE_HOME: join(root, 'cache'), PATH: '' };
  const fetchers = [
    async () => {
      throw new Error('closed');
    },
    (work: string) => fakeServer(join(work, 'x', 'nats-server'), '2.15.1'),
  ];
  const server = await provideNatsServer({ env, fetchers, ...noSystem });
  t.deepEqual(server, {
    path: join(root, 'cache/infrafabric/nats-server/2.15.1/nats-server'),
    version: '2.15.1',
    source: 'cache',
  });
  t.deepEqual(await readdir(cacheFolder(env)), ['2.15.1'], 'no half-fetched folder stays');
  t.deepEqual(await findNatsServer({ env, ...noSystem }), server);
  const again = await Promise.all([1, 2].map(() => provideNatsServer({ env, fetchers, ...noSystem })));
  t.deepEqual(again, [server, server]);
});

test('where nothing can be had, the message lists what was tried, why it failed, and one command', async (t) => {
  const root = await folder(t);
  const env = { HOME: root, PATH: join(root, 'bin') };
  await fakeServer(join(root, 'bin', 'nats-server'), '2.9.1');
  const fetchers = ['no apt here', 'offline'].map((why) => async () => {
    throw new Error(why);
  });
  const error = await t.throwsAsync(provideNatsServer({ env, fetchers, ...noSystem }));
  const text = error?.message ?? '';
  for (const part of ['2.9.1, older than 2.12.0', 'cache: nothing in', 'no apt here', 'offline']) {
    t.true(text.includes(part), `${part} in\n${text}`);
  }
  t.is(text.split('\n').filter((line) => line.startsWith('Fix: ')).length, 1);
  t.deepEqual(await readdir(cacheFolder(env)), []);
});

test("the mirror is read from the machine's own main archive entry, in both forms of apt sources", async (t) => {
  const debian = { id: 'debian', codename: 'bookworm' } as const;
  const deb822 = await folder(t);
  await mkdir(join(deb822, 'sources.list.d'));
  await writeFile(
    join(deb822, 'sources.list.d/a-vendor.sources'),
    'Types: deb\nURIs: http://vendor.example/apt\nSuites: bookworm\nComponents: main\nSigned-By: /etc/apt/keyrings/vendor.gpg\n',
  );
  await writeFile(
    join(deb822, 'sources.list.d/debian.sources'),
    [
      'Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm\n bookworm-updates\nComponents: main contrib',
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n',
      'Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main',
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n',
      'Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n',
    ].join('\n'),
  );
  t.deepEqual(await mainArchive(deb822, debian), {
    uris: ['http://mirror.example/debian'],
    suites: ['bookworm', 'bookworm-updates'],
    components: ['main', 'contrib'],
    signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg',
  });

  const list = await folder(t);
  await writeFile(
    join(list, 'sources.list'),
    [
      '# deb http://off.example/ubuntu noble main',
      'deb [arch=amd64 signed-by=/etc/apt/keyrings/v.gpg] http://vendor.example/linux noble main',
      'deb http://mirror.example/ubuntu/ noble-security main',
      'deb [signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] http://mirror.example/ubuntu/ noble main universe # x',
    ].join('\n'),
  );
  t.like(await mainArchive(list, { id: 'ubuntu', codename: 'noble' }), {
    uris: ['http://mirror.example/ubuntu/'],
    components: ['main', 'universe'],
    signedBy: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  });
  t.is(await mainArchive(await folder(t), debian), undefined);
});

test('apt is asked for a newer suite of that mirror, signed by its own keyring, in a folder of its own', async (t) => {
  const root = await folder(t);
  const work = join(root, 'work');
  const bin = join(root, 'bin');
  await mkdir(work);
  await mkdir(bin);
  await mkdir(join(root, 'apt'));
  await writeFile(join(root, 'os-release'), 'ID=debian\nVERSION_CODENAME=bookworm\n');
  await writeFile(
    join(root, 'apt/sources.list'),
    'deb [signed-by=/k/debian-archive-keyring.gpg] http://mirror.example/debian bookworm main\n',
  );
  await writeFile(
    join(bin, 'apt-get'),
    `#!/bin/sh\necho "$@" >> ${root}/calls\ncase "$*" in *download*) echo deb > nats-server_2_all.deb;; esac\n`,
  );
  await writeFile(
    join(bin, 'dpkg-deb'),
    '#!/bin/sh\nmkdir -p "$3/usr/sbin" && cp "$2" "$3/usr/sbin/nats-server" && chmod +x "$3/usr/sbin/nats-server"\n',
  );
  await chmod(join(bin, 'apt-get'), 0o755);
  await chmod(join(bin, 'dpkg-deb'), 0o755);
  const options = {
    env: { PATH: `${bin}${delimiter}/usr/bin${delimiter}/bin` },
    aptFolder: join(root, 'apt'),
    osRelease: join(root, 'os-release'),
  };
  t.is(await natsServerFromApt(work, options), join(work, 'unpacked/usr/sbin/nats-server'));
  t.is(
    await readFile(join(work, 'newer.sources'), 'utf8'),
    'Types: deb\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\nSigned-By: /k/debian-archive-keyring.gpg\n',
  );
  const calls = await readFile(join(root, 'calls'), 'utf8');
  t.true(calls.includes(`Dir::State=${work}`) && calls.includes(`Dir::Cache=${work}/cache`));
  t.notRegex(calls, /AllowUnauthenticated|AllowInsecure|trusted/i);
  await t.throwsAsync(natsServerFromApt(work, { ...options, osRelease: '/nonexistent' }), {
    message: 'this is not Debian or Ubuntu',
  });
});

test('the upstream release is used only when its SHA-256 is the pinned one', async (t) => {
  const root = await folder(t);
  const name = 'nats-server-v2.15.0-linux-amd64';
  await fakeServer(join(root, name, 'nats-server'), '2.15.0');
  await run('tar', ['-czf', 'release.tar.gz', name], { cwd: root, timeoutMs: 120_000 });
  const body = await readFile(join(root, 'release.tar.gz'));
  const server = createServer((request, response) => {
    response.writeHead(request.url === `/v2.15.0/${name}.tar.gz` ? 200 : 404).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sums = { 'linux-x64': createHash('sha256').update(body).digest('hex') };
  const options = { platform: 'linux-x64', baseUrl, sums };
  const binary = await natsServerFromRelease(join(root, 'work'), options);
  t.regex(await run(binary, ['--version'], { timeoutMs: 120_000 }), /2\.15\.0/);

  const rejected = join(root, 'rejected');
  const other = { ...options, sums: { 'linux-x64': '0'.repeat(64) } };
  await t.throwsAsync(natsServerFromRelease(rejected, other), {
    message: /SHA-256 .* expected 0{64}: not used/,
  });
  await t.throwsAsync(readdir(rejected), { code: 'ENOENT' }, 'nothing of it touches the disk');
  await t.throwsAsync(natsServerFromRelease(rejected, { ...options, baseUrl: `${baseUrl}/x` }), {
    message: /HTTP 404/,
  });
  await t.throwsAsync(natsServerFromRelease(rejected, { ...options, baseUrl: 'http://127.0.0.1:9' }), {
    message: /127\.0\.0\.1:9.*: \S+/,
  });
  await t.throwsAsync(natsServerFromRelease(rejected, { platform: 'plan9-x64' }), {
    message: 'no pinned release for plan9-x64',
  });
});

test('packages are installed when nothing is, when the lock changed, and when an install was cut off', async (t) => {
  const root = await folder(t);
  const dependency = join(root, 'dependency');
  await mkdir(dependency);
  await writeFile(join(dependency, 'package.json'), '{"name":"dependency","version":"1.0.0"}');
  const write = async (version: string) => {
    const dependencies = { dependency: 'file:dependency' };
    await writeFile(join(root, 'package.json'), JSON.stringify({ name: 'x', version, dependencies }));
    const packages = {
      '': { name: 'x', version, dependencies },
      dependency: { version: '1.0.0' },
      'node_modules/dependency': { resolved: 'dependency', link: true },
    };
    await writeFile(
      join(root, 'package-lock.json'),
      JSON.stringify({ name: 'x', version, lockfileVersion: 3, requires: true, packages }),
    );
  };
  await write('1.0.0');
  t.true(await installDependencies(root));
  t.deepEqual((await readdir(join(root, 'node_modules'))).includes('dependency'), true);
  t.false(await installDependencies(root), 'nothing to do the second time');

  const mark = join(root, 'node_modules/.infrafabric-lock');
  const record = join(root, 'node_modules/.package-lock.json');
  await writeFile(mark, 'another lock');
  await rm(record);
  t.true(await installDependencies(root), 'the lock is another one');

  await rm(mark);
  t.false(await installDependencies(root), "npm's own record of a finished install is believed");
  await rm(mark);
  await rm(record);
  t.true(await installDependencies(root), 'no mark, no record: cut off');

  await writeFile(join(root, 'package-lock.json'), '{"lockfileVersion":3,"packages":{}}');
  await rm(record);
  await t.throwsAsync(installDependencies(root), {
    message: /npm ci ended with code 1.*\nFix: cd .* && npm ci$/,
  });
  await t.throwsAsync(readFile(mark), { code: 'ENOENT' });
});

test('installs in one folder run one after another, and the lock of dead processes is taken over', async (t) => {
  const root = await folder(t);
  const file = await lockFile(root);
  t.teardown(() => rm(file, { force: true }));
  let inside = 0;
  let most = 0;
  const install = () =>
    installAlone(root, async () => {
      inside += 1;
      most = Math.max(most, inside);
      await readdir(root);
      inside -= 1;
    });
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  const dead = spawnSync('true').pid;
  // Its bootstrap is dead, its npm still runs.
  await writeFile(file, `${dead}\n${child.pid}\n`);
  const heard = Promise.withResolvers<string>();
  const waiting = installAlone(root, async () => child.signalCode, { log: heard.resolve });
  t.regex(await heard.promise, /another one runs/);
  child.kill();
  t.is(await waiting, 'SIGTERM', 'waited for the npm that outlived its bootstrap');

  await Promise.all([install(), install(), install()]);
  t.is(most, 1);
  await t.throwsAsync(
    installAlone(root, () => Promise.reject(new Error('npm failed'))),
    {
      message: 'npm failed',
    },
  );
  await t.throwsAsync(readFile(file), { code: 'ENOENT' });
});

test("the package's own commands stand beside those of its dependencies, also after an update moved them", async (t) => {
  const root = await folder(t);
  const bin = (file: string) =>
    writeFile(join(root, 'package.json'), JSON.stringify({ bin: { tool: file, to: file } }));
  await writeFile(join(root, 'now.js'), '#!/bin/sh\necho "it is $1"\n', { mode: 0o755 });
  await bin('./before.js');
  await linkOwnCommands(root);
  await bin('./now.js');
  await linkOwnCommands(root);
  await linkOwnCommands(root);
  t.is(
    (await run(join(root, 'node_modules/.bin/tool'), ['here'], { timeoutMs: 60_000 })).trim(),
    'it is here',
  );
  t.deepEqual((await readdir(join(root, 'node_modules/.bin'))).sort(), ['to', 'tool']);
});

test('a pack that was cut off is undone, and the packed manifest has no development part', async (t) => {
  const root = await folder(t);
  const file = join(root, 'package.json');
  const text = await readFile('package.json', 'utf8');
  await writeFile(file, text);
  t.false(restoreManifest(root));
  rewriteManifest(root);
  t.not(await readFile(file, 'utf8'), text);
  rewriteManifest(root);
  t.deepEqual(JSON.parse(await readFile(file, 'utf8')), packedManifest(JSON.parse(text)));
  t.true(restoreManifest(root));
  t.is(await readFile(file, 'utf8'), text);

  const packed = packedManifest(JSON.parse(text));
  for (const key of ['devDependencies', 'optionalDependencies', 'scripts', 'ava', 'overrides'])
    t.false(key in packed);
  t.notRegex(JSON.stringify([packed['bin'], packed['exports'], packed['imports']]), /(?<!\.d)\.ts"/);
});
