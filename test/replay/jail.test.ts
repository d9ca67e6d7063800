/** J1–J3 of runtime/replay/jail.ts, F1–F3 of confine.ts, P1 and P2 of code-paths.ts: what code of a machine can reach. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import type { AnyStateMachine } from 'xstate';
import { builtins } from '#actors/index';
import { REPLAY_WORKER } from '#runtime/cli/replay-worker';
import { codePaths } from '#runtime/replay/code-paths';
import { replayInJail } from '#runtime/replay/jail';
import type { BlobReader } from '#runtime/replay/replayer';
import type { ReplaySummary } from '#runtime/replay/report';
import { testRealm } from '#runtime/testing/testing';
import { realmConfigSchema } from '#schemas/config';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';

const SEED = 'SUAAsecretofthisrealm';

/** A project with a machine, a data folder, and what a machine could want to harm. */
class Project {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'if-jail-')));
  readonly seed = join(this.path, '.infrafabric', 'tally', 'keys', 'realm.seed');
  readonly out = join(this.path, 'out');
  readonly victim: ChildProcess = spawn('sleep', ['600']);

  constructor() {
    for (const folder of ['machines', 'out', 'node_modules/plain', '.infrafabric/tally/keys'])
      mkdirSync(join(this.path, folder), { recursive: true });
    symlinkSync(resolve('node_modules/xstate'), join(this.path, 'node_modules/xstate'));
    this.write('package.json', '{"type":"module"}');
    this.write('node_modules/plain/package.json', '{"name":"plain"}');
    this.write('.infrafabric/tally/keys/realm.seed', SEED);
    this.write('visible.json', '"visible"');
    symlinkSync(this.seed, join(this.path, 'machines/link.json'));
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.path, file), text);
  }

  [Symbol.dispose](): void {
    this.victim.kill('SIGKILL');
    rmSync(this.path, { recursive: true });
  }
}

/** Runs `tries` (name: expression) in a replay only, where a machine is loaded; gives what came of each. */
async function tried(
  project: Project,
  tries: Readonly<Record<string, string>>,
  blobs: BlobReader = { get: async () => undefined, list: async () => [] },
): Promise<{ readonly came: Readonly<Record<string, string>>; readonly summary: ReplaySummary }> {
  const attempts = Object.entries(tries).map(
    ([name, code]) => `  ${JSON.stringify(name)}: async () => ${code},`,
  );
  project.write(
    'machines/tally.js',
    `
import { assign, setup } from 'xstate';
import plain from 'plain';
import * as fs from 'node:fs';
import * as os from 'os';
import v8 from 'v8';
const seed = ${JSON.stringify(project.seed)}, out = ${JSON.stringify(`${project.out}/`)}, victim = ${project.victim.pid};
const attempts = {
${attempts.join('\n')}
};
const came = {};
if (process.permission !== undefined) {
  for (const [name, attempt] of Object.entries(attempts)) {
    try { came[name] = 'done: ' + String(await attempt()); } catch (e) { came[name] = String(e.code ?? e); }
  }
}
export const tally = setup({}).createMachine({
  version: '1', context: { came: {} }, on: { add: { actions: assign({ came: () => came }) } },
});`,
  );
  const { tally } = (await import(pathToFileURL(join(project.path, 'machines/tally.js')).href)) as {
    tally: AnyStateMachine;
  };
  await using realm = await testRealm({
    machines: [{ name: 'tally', version: 1, machine: tally }],
    kinds: { tally: { version: 1 } },
    shards: 1,
  });
  realm.send('tally/a', { type: 'add' });
  await realm.idle();
  const log = realm.bus.commits(0).map(({ seq, bytes }) => ({ seq, shard: 0, bytes, storedAt: 0 }));
  const kinds = { tally: { machine: './machines/tally.js#tally', spawnOnMessage: true, door: 'open' } };
  const summary = await replayInJail({
    program: [builtins.program, REPLAY_WORKER],
    packageRoot: resolve('.'),
    order: {
      config: realmConfigSchema.parse({ realm: 'tally', kinds }),
      baseDir: project.path,
      driverNames: [...Object.keys(builtins.drivers), ...KERNEL_DRIVERS],
    },
    log: {
      async *read() {
        yield log;
      },
    },
    first: 1,
    through: log.length,
    blobs,
    signal: new AbortController().signal,
  });
  const after = summary.divergence?.after?.context as { came: Record<string, string> } | undefined;
  return { came: after?.came ?? {}, summary };
}

const DENIED = /^(ERR_ACCESS_DENIED|ERR_UNKNOWN_BUILTIN_MODULE)$/;

test('a machine reaches no file but code, no process and no switch of V8, and each try is told (F1–F3)', async (t) => {
  using project = new Project();
  project.write(
    'node_modules/plain/index.js',
    `const { readFileSync } = require('fs');
     exports.read = (path) => readFileSync(path, 'utf8');
     exports.load = (name) => module.constructor._load(name);
     exports.require = require;
     exports.module = module;`,
  );
  const HOOK = `{ resolve: (specifier) => ({ url: specifier, format: 'builtin', shortCircuit: true }) }`;
  const { came, summary } = await tried(project, {
    'fs, imported': `fs.readFileSync(seed, 'utf8')`,
    'fs, named later': `(await import('fs/promises')).readFile(seed, 'utf8')`,
    'fs, required': `plain.read(seed)`,
    'fs of a loader': `plain.load('node:fs').readFileSync(seed, 'utf8')`,
    'fs of a made require': `(await import('node:module')).createRequire(out)('fs').readFileSync(seed)`,
    'fs as a builtin': `process.getBuiltinModule('fs').writeFileSync(out + 'fs', '')`,
    'fs by own hooks': `{ plain.module.constructor.registerHooks(${HOOK}); return (await import('node:fs')).readFileSync(seed) }`,
    'a seed as JSON': `import(seed, { with: { type: 'json' } })`,
    'a seed as code': `plain.require(seed)`,
    'a seed by a handler': `plain.module.constructor._extensions['.js'](new plain.module.constructor('other'), seed)`,
    'a link as JSON': `import('./link.json', { with: { type: 'json' } })`,
    sqlite: `{ const { DatabaseSync } = await import('node:sqlite'); new DatabaseSync(out + 'db').exec('CREATE TABLE t(a)') }`,
    'sqlite, required': `new (plain.require('node:sqlite').DatabaseSync)(out + 'db')`,
    kill: `process.kill(victim, 'SIGKILL')`,
    _kill: `process._kill(victim, 9)`,
    debug: `process._debugProcess(victim)`,
    priority: `os.setPriority(victim, 19)`,
    group: `process.setgroups([0])`,
    umask: `process.umask(0)`,
    binding: `process.binding('fs')`,
    handles: `process._getActiveHandles()`,
    'flags of V8': `{ v8.setFlagsFromString('--trace-turbo'); v8.setFlagsFromString('--trace-turbo-path=' + out) }`,
    snapshot: `v8.writeHeapSnapshot(out + 'heap')`,
    trace: `(await import('trace_events')).createTracing({ categories: ['v8'] }).enable()`,
    worker: `new (await import('node:worker_threads')).Worker('', { eval: true })`,
    child: `(await import('node:child_process')).execFileSync('touch', [out + 'child'])`,
    socket: `(await import('node:net')).connect(1, '127.0.0.1')`,
    datagram: `(await import('node:dgram')).createSocket('udp4')`,
    inspector: `(await import('node:inspector')).open(0)`,
    vm: `(await import('node:vm')).runInThisContext('1')`,
  });
  t.true(Object.keys(came).length >= 30, JSON.stringify(summary));
  for (const [name, what] of Object.entries(came)) t.regex(what, DENIED, name);
  t.false(JSON.stringify(summary).includes(SEED));
  t.deepEqual(readdirSync(project.out), []);
  t.is(project.victim.signalCode, null);
  t.true(project.victim.kill(0));
  t.deepEqual(summary.refused[0], { permission: 'Module', resource: 'fs.readFileSync', count: 4 });
  for (const resource of ['process.kill', 'os.setPriority', 'v8.setFlagsFromString'])
    t.true(
      summary.refused.some((one) => one.resource === resource),
      resource,
    );
});

test('a machine may import what computes, and what it does not call; nothing of that is told', async (t) => {
  using project = new Project();
  project.write(
    'node_modules/plain/index.js',
    `const { EventEmitter } = require('events'); exports.Own = class extends require('net').Socket {}; exports.on = EventEmitter;`,
  );
  const { came, summary } = await tried(project, {
    hash: `(await import('node:crypto')).createHash('sha256').update('').digest('hex').slice(0, 4)`,
    json: `(await import('../visible.json', { with: { type: 'json' } })).default`,
    path: `process.getBuiltinModule('path').join('a', 'b')`,
    where: `typeof process.cwd() + typeof os.tmpdir()`,
    store: `new (await import('node:async_hooks')).AsyncLocalStorage().run(1, () => 2)`,
    left: `[typeof globalThis.localStorage, typeof process.report, process.execArgv.includes('--no-experimental-sqlite')]`,
  });
  t.deepEqual(came, {
    hash: 'done: e3b0',
    json: 'done: visible',
    path: 'done: a/b',
    where: 'done: stringstring',
    store: 'done: 2',
    left: 'done: undefined,undefined,true',
  });
  t.deepEqual(summary.refused, []);
});

test('what may be read is code: nothing hidden, no data folder, wherever it lies (P1, P2)', (t) => {
  using project = new Project();
  mkdirSync(join(project.path, 'var/realm/keys'), { recursive: true });
  mkdirSync(join(project.path, 'var/lib'), { recursive: true });
  mkdirSync(join(project.path, 'other/keys'), { recursive: true });
  project.write('other/keys/realm.seed', SEED);
  project.write('.env', 'TOKEN=1');
  project.write('nats.nk', SEED);
  project.write('own.ts', '');
  const below = codePaths([project.path], join(project.path, 'var/realm'))
    .filter((path) => path.startsWith(`${project.path}/`))
    .map((path) => path.slice(project.path.length + 1));
  t.deepEqual(below.toSorted(), [
    'machines',
    'node_modules',
    'out',
    'own.ts',
    'package.json',
    'var/lib',
    'visible.json',
  ]);
  t.true(existsSync(project.seed));
});

test('a process that asks for more than a replay asks for at once is ended (J3)', async (t) => {
  using project = new Project();
  project.write('node_modules/plain/index.js', '');
  const flood = `{ for (let i = 0; i < 2000; i += 1) process.send({ kind: 'blob', name: 'b' + i }) }`;
  const slow: BlobReader = { get: () => new Promise(() => undefined), list: async () => [] };
  await t.throwsAsync(tried(project, { flood }, slow), { message: /it asks for too much at once/ });
});
