import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import test from 'ava';
import { isProcessAlive, processStartTime } from '#runtime/bus/pid';
import { variablesOf } from '../../runtime/cli/commands/env.ts';
import { asEvent, parseEvent } from '../../runtime/cli/events.ts';
import type { Io } from '../../runtime/cli/io.ts';
import { locate, readRun } from '../../runtime/cli/locate.ts';
import { main } from '../../runtime/cli/main.ts';
import { merge } from '../../runtime/cli/merge.ts';
import { sendLines } from '../../runtime/cli/send-lines.ts';

const folders: string[] = [];
const distribution = {
  commands: {},
  examples: {},
  builtins: async () => ({ machines: [], drivers: {}, program: '' }),
  machines: async () => [],
};

async function run(argv: string[], given: Partial<Io> = {}) {
  const written = { out: '', err: '' };
  const sink = (key: 'out' | 'err') =>
    new Writable({
      write(chunk, _, done) {
        written[key] += String(chunk);
        done();
      },
    });
  const io: Io = {
    stdin: Readable.from([]),
    stdout: sink('out'),
    stderr: sink('err'),
    env: { PATH: process.env['PATH'] },
    cwd: folder(),
    self: [],
    signal: new AbortController().signal,
    ...given,
  };
  return { code: await main(argv, distribution, io), ...written };
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'if-cli-'));
  folders.push(made);
  return made;
}

function realmIn(cwd: string, name: string, pid: number, processStartTime?: string): string {
  const dataDir = join(cwd, '.infrafabric', name);
  mkdirSync(dataDir, { recursive: true });
  const run = {
    pid,
    processStartTime,
    nodeId: 'n1',
    realm: name,
    prefix: 'if',
    url: 'nats://127.0.0.1:1',
    token: 's/e',
    startedAt: 1,
  };
  writeFileSync(join(dataDir, 'run.json'), JSON.stringify(run));
  return dataDir;
}

/** No process can have it: the highest pid of any kernel is far below. */
const DEAD_PID = 2 ** 30;

test('help and version end with 0 and show examples for every command', async (t) => {
  t.is((await run([])).code, 0);
  t.regex((await run(['--version'])).out, /^\d+\.\d+\.\d+/);
  for (const name of [
    'up',
    'down',
    'reload',
    'ps',
    'show',
    'log',
    'dead',
    'ask',
    'send',
    'env',
    'doctor',
    'init',
    'completion',
  ]) {
    const { code, out } = await run([name, '--help']);
    t.is(code, 0, name);
    t.regex(out, /Examples:\n {2}\S/, name);
  }
});

test('a wrong command line ends with 2, says what is wrong, and suggests', async (t) => {
  const cases: [string[], RegExp][] = [
    [['pss'], /unknown command 'pss'[\s\S]*Did you mean ps/],
    [['ps', '--flatt'], /unknown option '--flatt'[\s\S]*Did you mean --flat/],
    [['ask', 'counter/k1'], /missing required argument 'event'/],
    [['ask', 'nonsense', 'inc'], /error\[bad_address\]/],
    [['ask', 'counter/k1', 'add', '{by}'], /error\[bad_event_text\]/],
    [['ask', 'counter/k1', 'inc', '--timeout', '5'], /such as 5s/],
    [['ps', '--limit', '-3'], /Expected a whole number|argument missing/],
    [['log', '--since', 'yesterday-ish'], /how long ago/],
  ];
  for (const [argv, expected] of cases) {
    const { code, err } = await run(argv);
    t.is(code, 2, argv.join(' '));
    t.regex(err, expected);
    t.regex(err, /\nhelp: /);
    t.notRegex(err, /at .*\.ts:/, 'no stack without --debug');
  }
});

test('a command that needs a subcommand shows its help, and ends with 2', async (t) => {
  const { code, out, err } = await run(['keys']);
  t.is(code, 2);
  t.is(out, '');
  t.regex(err, /^Usage: infrafabric keys /);
  t.notRegex(err, /outputHelp/);
});

test('help names commands as they are to be typed: behind npx where npx runs them', async (t) => {
  const { err } = await run(['up', 'no.yaml'], { env: { PATH: process.env['PATH'], npm_command: 'exec' } });
  t.regex(err, /`npx infrafabric init`/);
  t.notRegex(err, /`infrafabric /);
});

test('a bundle that cannot be opened is named', async (t) => {
  const { code, err } = await run(['verify', '--bundle', 'none.ifbundle']);
  t.is(code, 1);
  t.regex(err, /error\[bundle_unopened\]: .*none\.ifbundle cannot be read/);
});

test('without a realm every command ends with 3 and says how to start one', async (t) => {
  for (const argv of [
    ['ps'],
    ['show', 'a/b'],
    ['log'],
    ['ask', 'a/b', 'c'],
    ['send', 'a/b', 'c'],
    ['env'],
    ['down'],
    ['dead', 'list'],
  ]) {
    const { code, err } = await run(argv);
    t.is(code, 3, argv.join(' '));
    t.regex(err, /error\[not_running\][\s\S]*infrafabric up/);
  }
});

test('a run file of a process that has ended means not running, and names it', async (t) => {
  const cwd = folder();
  const dataDir = realmIn(cwd, 'old', DEAD_PID);
  const { code, err } = await run(['ps', '--data', dataDir], { cwd });
  t.is(code, 3);
  t.regex(err, new RegExp(`process ${DEAD_PID}, which had it, has ended`));
  t.notRegex(err, /node\.log/, 'it ran in the foreground');
  t.is((await run(['env'], { cwd })).code, 3, 'a stale one does not count among those that run');
  writeFileSync(join(dataDir, 'node.log'), 'error[server_failed]: …\n');
  const { err: told } = await run(['ps', '--data', dataDir], { cwd });
  t.regex(told, /What it said last stands in \.infrafabric\/old\/node\.log\./);
});

test('a run file of an earlier process with the same pid means not running, and nobody is ended for it', async (t) => {
  if (processStartTime(process.pid) === undefined) {
    t.pass('this system does not tell');
    return;
  }
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1_000)'], { stdio: 'ignore' });
  t.teardown(() => other.kill('SIGKILL'));
  const cwd = folder();
  const dataDir = realmIn(cwd, 'counter', other.pid ?? 0, '1');
  t.is(readRun(dataDir), undefined, 'up starts');
  const { code, err } = await run(['down', '--force', '--timeout', '100ms'], { cwd });
  t.is(code, 3);
  t.regex(err, /error\[not_running\]/);
  t.true(isProcessAlive(other.pid ?? 0));
  const own = realmIn(cwd, 'own', process.pid, processStartTime(process.pid));
  t.like(readRun(own), { pid: process.pid });
});

test('a damaged run file means not running', async (t) => {
  const cwd = folder();
  const dataDir = realmIn(cwd, 'old', process.pid);
  for (const text of ['', '{', '{"pid":-1}', '[]']) {
    writeFileSync(join(dataDir, 'run.json'), text);
    t.is((await run(['env', '--data', dataDir], { cwd })).code, 3, text);
  }
});

test('a realm is found by --data, environment, config, or as the only one that runs', (t) => {
  const cwd = folder();
  const one = realmIn(cwd, 'one', process.pid);
  t.is(locate({}, { cwd, env: {} }).realm, 'one');
  realmIn(cwd, 'two', process.pid);
  t.throws(() => locate({}, { cwd, env: {} }), { message: /Several realms/ });
  t.is(locate({ data: one }, { cwd, env: {} }).realm, 'one');
  t.is(locate({}, { cwd, env: { INFRAFABRIC_DATA: one } }).realm, 'one');
  writeFileSync(join(cwd, 'realm.yaml'), 'realm: two\nkinds: {broken');
  t.throws(() => locate({}, { cwd, env: {} }), { message: /No realm runs/ });
  writeFileSync(join(cwd, 'realm.yaml'), 'realm: two\n');
  t.is(locate({}, { cwd, env: {} }).realm, 'two');
  writeFileSync(join(cwd, 'realm.yaml'), `realm: far\nprefix: x\nnats: { url: "$\{WHERE}" }\n`);
  t.like(locate({}, { cwd, env: { WHERE: 'nats://h:1' } }), { url: 'nats://h:1', prefix: 'x', realm: 'far' });
  t.is(locate({}, { cwd: folder(), env: { NATS_URL: 'nats://h:2' } }).url, 'nats://h:2');
});

test('env prints exports a shell can read, with the token inside the URL', async (t) => {
  const cwd = folder();
  const dataDir = realmIn(cwd, 'one', process.pid);
  const { code, out } = await run(['env'], { cwd });
  t.is(code, 0);
  t.true(out.includes('export NATS_URL=nats://s%2Fe@127.0.0.1:1\n'));
  t.true(out.includes(`export INFRAFABRIC_DATA=${dataDir}\n`));
  const { INFRAFABRIC_PID: pid } = variablesOf(locate({}, { cwd, env: {} }));
  t.is(pid, process.pid);
  t.is(JSON.parse((await run(['env', '--json'], { cwd })).out).INFRAFABRIC_REALM, 'one');
});

test('a second up in the same data folder is refused with the pid of the first', async (t) => {
  const cwd = folder();
  realmIn(cwd, 'counter', process.pid);
  const { code, err } = await run(['up'], { cwd });
  t.is(code, 1);
  t.regex(err, new RegExp(`error\\[already_running\\].*process ${process.pid}`));
  t.regex(err, /`infrafabric down` stops it/);
  const below = join(cwd, 'below');
  mkdirSync(below);
  const far = await run(['up', '--data', join(cwd, '.infrafabric/counter')], { cwd: below });
  t.regex(far.err, /`infrafabric ps --data \S*counter` shows what lives there/);
});

test('a missing or wrong config ends with 5', async (t) => {
  const cwd = folder();
  t.is((await run(['up', 'no.yaml'], { cwd })).code, 5);
  writeFileSync(join(cwd, 'realm.yaml'), 'realm: x\nshard: 4\n');
  const { code, err } = await run(['up'], { cwd });
  t.is(code, 5);
  t.regex(err, /realm\.yaml:2:1/);
});

test('init writes a project and never overwrites', async (t) => {
  const cwd = folder();
  const { code, out } = await run(['init', 'new'], { cwd });
  t.is(code, 0);
  t.regex(out, /infrafabric up/);
  t.true(existsSync(join(cwd, 'new', 'realm.yaml')));
  const before = readdirSync(join(cwd, 'new'));
  const again = await run(['init', 'new'], { cwd });
  t.is(again.code, 1);
  t.regex(again.err, /error\[folder_in_use\].*is not empty/);
  t.deepEqual(readdirSync(join(cwd, 'new')), before);
});

test('with --json an error is one JSON line on stdout', async (t) => {
  const { out } = await run(['ps', '--json']);
  t.like(JSON.parse(out), { ok: false, error: { code: 'not_running' } });
});

test('doctor fails with what to do where the server is missing or the folder cannot be written', async (t) => {
  const cwd = folder();
  const { code, out } = await run(['doctor'], { cwd, env: { PATH: '', HOME: cwd } });
  t.is(code, 1);
  t.regex(out, /✗ nats-server +none from 2\.12\.0[\s\S]*→ Install nats-server/);
  writeFileSync(join(cwd, 'file'), '');
  chmodSync(join(cwd, 'file'), 0o400);
  t.regex((await run(['doctor', '--data', join(cwd, 'file', 'x')], { cwd })).out, /✗ data folder/);
});

test('events are read as type, type and fields, or whole', (t) => {
  t.deepEqual(parseEvent('inc', undefined), { type: 'inc' });
  t.deepEqual(parseEvent('add', '{"by":5}'), { type: 'add', by: 5 });
  t.deepEqual(parseEvent('{"type":"add","by":5}', undefined), { type: 'add', by: 5 });
  for (const [event, json] of [
    ['', undefined],
    ['a b', undefined],
    ['add', '[1]'],
    ['add', '{"type":"sub"}'],
    ['{"by":1}', undefined],
    ['{', undefined],
  ] as const) {
    t.throws(() => parseEvent(event, json), { code: 'bad_event_text' }, `${event} ${json}`);
  }
  t.throws(() => asEvent(null), { code: 'bad_event_text' });
});

test('a file of messages is sent line by line, and what is refused is named by its line', async (t) => {
  const good =
    '{"performative":"inform","from":"if://session/a","to":["if://task/1","if://task/2"],"conversation":"c"}';
  const asked: string[] = [];
  const result = await sendLines(
    {
      sendDraft: async () => {},
      askDraft: async ({ to }) => {
        asked.push(...to);
        if (to[0] === 'if://task/2') throw new Error('no');
        return { reply: null, value: null, commit: { shard: 0, index: 0 } };
      },
    },
    Readable.from([`${good}\n\nnot json\n{"performative":"shout"}\n`]),
    { wait: true, signal: new AbortController().signal, onLine: () => {} },
  );
  t.deepEqual(asked, ['if://task/1', 'if://task/2']);
  t.is(result.sent, 1);
  t.deepEqual(
    result.refusals.map(({ line, to }) => [line, to]),
    [
      [1, 'task/2'],
      [3, undefined],
      [4, undefined],
    ],
  );
});

test('merged streams stay in order', async (t) => {
  async function* of(...items: number[]) {
    yield* items;
  }
  const merged: number[] = [];
  for await (const item of merge([of(1, 4), of(), of(2, 3, 9)], (a, b) => a - b)) merged.push(item);
  t.deepEqual(merged, [1, 2, 3, 4, 9]);
});

test.after.always(() => {
  for (const made of folders) rmSync(made, { recursive: true, force: true });
});
