/** The commands about tasks, against a realm that runs. */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { distribution } from '#actors/distribution';
import type { Io } from '#runtime/cli/io';
import { main } from '#runtime/cli/main';
import { CliFolder, type Ended } from '../rig/cli.ts';

const FIXTURES = resolve(import.meta.dirname, 'import/fixtures');
/** Fifty commands, on a machine that is busy with others. */
const SLOW_MS = 240_000;

const test = anyTest as TestFn<{ folder: CliFolder }>;

test.beforeEach(async (t) => {
  const folder = new CliFolder();
  t.context.folder = folder;
  const config = readFileSync('deploy/examples/coordinator.yaml', 'utf8');
  writeFileSync(join(folder.path, 'realm.yaml'), `${config}\nnats:\n  port: ${await freePort()}\n`);
  cpSync(FIXTURES, folder.path, { recursive: true });
  const { code, out, err } = await folder.run(['up', '--detach']);
  t.is(code, 0, `${out}${err}`);
});

test.afterEach.always(async (t) => {
  await t.context.folder[Symbol.asyncDispose]();
});

/** One that nobody has, so that a realm that comes again is where it was. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

type Row = Readonly<Record<string, unknown>>;

/** Runs a command that has to succeed, with --json. */
async function json(t: ExecutionContext<{ folder: CliFolder }>, ...args: string[]): Promise<Row[]> {
  const { code, out, err } = await t.context.folder.run([...args, '--json']);
  t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

async function ok(t: ExecutionContext<{ folder: CliFolder }>, ...args: string[]): Promise<string> {
  const { code, out, err } = await t.context.folder.run(args);
  t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
  return out;
}

function run(t: ExecutionContext<{ folder: CliFolder }>, ...args: string[]): Promise<Ended> {
  return t.context.folder.run(args);
}

test('a task from its adding to its end, with every refusal said in words', async (t) => {
  t.timeout(SLOW_MS);
  t.regex(await ok(t, 'board'), /There are no tasks yet\.\nAdd one with `infrafabric task add/);
  t.regex(await ok(t, 'task', 'list'), /There are no tasks yet/);
  t.regex(await ok(t, 'session', 'list'), /No session ever registered/);
  t.deepEqual(await json(t, 'task', 'list'), []);

  t.is(await ok(t, 'task', 'add', 'A1', 'Event bus', '--hours', '4', '--owner', 'cli'), '+ task/A1\n');
  t.is(await ok(t, 'task', 'add', 'A2', 'Claims', '--after', 'A1', '--priority', '2'), '+ task/A2\n');
  t.is(await ok(t, 'task', 'add', 'A2', 'Claims', '--after', 'A1'), 'task/A2 is there already\n');
  const again = await run(t, 'task', 'add', 'A2', 'Others', '--after', 'A1', '--priority', '7');
  t.regex(again.err, /It keeps its title: Claims\nIt keeps its priority: 2\n/);
  t.regex(await ok(t, 'task', 'add', 'A3', '--after', 'A2,Z9'), /waits for tasks nobody added yet: Z9/);

  const circle = await run(t, 'task', 'add', 'Z9', '--after', 'A3');
  t.is(circle.code, 4);
  t.regex(circle.err, /error\[tasks_refused\]: .*(A3 → Z9 → A3|Z9 → A3 → Z9)/);
  const bad = await run(t, 'task', 'add', 'not an id');
  t.is(bad.code, 2);
  t.regex(bad.err, /error\[bad_task\]: id: expected letters/);

  const cases: [string[], RegExp][] = [
    [
      ['task', 'claim', 'A1'],
      /error\[not_permitted\]: task\/A1: operator\/\S+ is no session[\s\S]*--as SESSION/,
    ],
    [['task', 'claim', 'A1', '--as', 'bus'], /error\[meant_for_another\]: .*meant for session\/cli/],
    [
      ['task', 'claim', 'A2', '--as', 'cli'],
      /error\[not_available\]: .*waits for A1[\s\S]*infrafabric why A2/,
    ],
    [['task', 'claim', 'A9', '--as', 'cli'], /error\[task_unknown\]: There is no task A9[\s\S]*task list/],
    [
      ['task', 'progress', 'A1', '50', '--as', 'cli'],
      /error\[not_yours\]: .*nobody has claimed it[\s\S]*nobody has it: take it first/,
    ],
    [['task', 'unblock', 'A1'], /error\[wrong_state\]: .*it is not blocked: it is available/],
  ];
  for (const [args, pattern] of cases) {
    const { code, err } = await run(t, ...args);
    t.is(code, 4, args.join(' '));
    t.regex(err, pattern);
  }

  t.is(await ok(t, 'task', 'claim', 'A1', '--as', 'cli'), 'task/A1 claimed\n');
  const twice = await run(t, 'task', 'claim', 'A1', '--as', 'cli', '--json');
  t.is(twice.code, 4);
  t.like(JSON.parse(twice.out), { ok: false, error: { code: 'already_claimed' } });
  t.is(
    await ok(t, 'task', 'progress', 'A1', '50', 'half', '--as', 'session/cli'),
    'task/A1 in progress, 50 %\n',
  );
  t.regex(
    await ok(t, 'task', 'show', 'A1'),
    /worker +session\/cli, token \d+[\s\S]*done +50 %[\s\S]*note +half/,
  );
  t.is(await ok(t, 'task', 'block', 'A1', 'ann', '--kind', 'person', '--as', 'cli'), 'task/A1 blocked\n');
  t.regex(await ok(t, 'board', '--by', 'worker'), /cli \(1\)\n.*A1 .*50 %.*blocked on ann/);
  t.is(await ok(t, 'task', 'unblock', 'A1'), 'task/A1 in progress, 50 %\n');

  const why = await ok(t, 'why', 'A3');
  t.regex(why, /It waits for A2: waiting\./);
  t.regex(why, /In all it waits for 3 tasks: A2, Z9, A1\./);
  t.is(
    await ok(t, 'task', 'complete', 'A1', '--deliverable', 'bus.ts', '--as', 'cli'),
    'task/A1 completed\n',
  );

  t.regex(await ok(t, 'task', 'show', 'A1'), /handed in +bus\.ts/);

  const story = await ok(t, 'why', 'A1');
  t.regex(story, /session\/cli completed it/);
  t.regex(story, /session\/bus wanted to claim it and was refused: .*meant for session\/cli/);
  t.regex(story, /session\/cli claimed it under token \d+/);
  t.regex(story, /session\/cli was blocked on ann/);

  const [show] = await json(t, 'session', 'show', 'cli');
  t.like(show, { id: 'cli', completed: 1 });
  t.is((await run(t, 'session', 'show', 'nobody')).code, 4);

  await ok(t, 'task', 'claim', 'A2', '--as', 'bus');
  t.is(await ok(t, 'task', 'fail', 'A2', '--reason', 'no access', '--as', 'bus'), 'task/A2 failed\n');
  t.is(await ok(t, 'task', 'retry', 'A2'), 'task/A2 available\n');
  t.is(await ok(t, 'task', 'cancel', 'A2', '--reason', 'not now'), 'task/A2 cancelled\n');
  const cancelled = await ok(t, 'why', 'A2');
  t.regex(cancelled, /It was cancelled\.[\s\S]*not now/);
  // Asked for three times, added once.
  t.is(cancelled.match(/added by/g)?.length, 1);

  t.is(await ok(t, 'round', 'list'), 'No round was opened yet.\n');
  t.is((await run(t, 'round', 'show', 'r1')).code, 4);
  await ok(t, 'ask', 'round/r1', 'round.open', '{"task":"A3"}', '--json');
  t.is((await run(t, 'round', 'export', 'r1')).code, 4);
  await ok(t, 'ask', 'round/r1', 'round.decide', '--json');
  while (!/^r1 +decided +0 +A3 +nobody/m.test(await ok(t, 'round', 'list')));
  const exported = await ok(t, 'round', 'export', 'r1', 'r1.json');
  const bytes = readFileSync(join(t.context.folder.path, 'r1.json'));
  t.is(exported, `✓ r1.json  SHA-256 ${hash('sha256', bytes)}\n`);
  t.regex(await ok(t, 'round', 'show', 'r1'), new RegExp(`SHA-256 +${hash('sha256', bytes)}`));

  const rows = await json(t, 'board');
  t.deepEqual(
    rows.slice(0, -1).map(({ id, status }) => [id, status]),
    [
      ['A1', 'completed'],
      ['A2', 'cancelled'],
      ['A3', 'waiting'],
    ],
  );
  t.like(rows.at(-1), {
    tasks: 3,
    blockers: [
      { id: 'A2', blocks: ['A3'] },
      { id: 'Z9', blocks: ['A3'] },
    ],
  });
  // What is not chosen is not missing: the figures are the same.
  const waiting = await json(t, 'board', '--status', 'waiting');
  t.deepEqual([waiting.length, waiting[0]?.['id'], waiting.at(-1)], [2, 'A3', rows.at(-1)]);
  t.regex(await ok(t, 'board', '--graph', 'text', '--status', 'waiting'), /^· A3 .*also after Z9\n$/);
  t.regex(await ok(t, 'board', '--graph', 'text'), /✓ A1 Event bus[\s\S]*└─ – A2 Claims/);
  t.regex(await ok(t, 'board', '--graph', 'mermaid'), /^flowchart LR\n/);
  t.regex(await ok(t, 'board', '--graph', 'svg'), /^<svg [\s\S]*<\/svg>\n$/);
});

test('an import: first only shown, then carried out, then nothing left to change', async (t) => {
  t.timeout(SLOW_MS);
  const files = [
    'phase0-board.md',
    'phase0-board.yaml',
    'STATUS-SESSION-2-WEBRTC.yaml',
    'STATUS-SESSION-5-CLI.yaml',
    'STATUS-SESSION-5-CLI-done.yaml',
    'progress.yaml',
  ];
  const dry = await ok(t, 'import', ...files, '--dry-run');
  t.regex(dry, /^\+ task\/P0\.1\.1 {2}etcd\/NATS event bus setup · for cli {2}phase0-board\.md:8:3$/m);
  t.regex(
    dry,
    /^~ task\/P0\.1\.1 {2}claimed by session\/cli; completed {2}STATUS-SESSION-5-CLI-done\.yaml:2:12$/m,
  );
  t.regex(dry, /^! task\/P0\.5\.2 {2}blocked here, but it waits for P0\.2\.6: import again/m);
  t.regex(dry, /Would change: 68 new, 2 changed, 1 left as they are/);
  t.deepEqual(await json(t, 'task', 'list'), [], 'a dry run changes nothing');

  t.regex(await ok(t, 'import', ...files), /Imported: 68 new, 2 changed/);
  const tasks = await json(t, 'task', 'list');
  t.is(tasks.length, 26 + 28 + 6);
  const task = (id: string): Row => tasks.find((one) => one['id'] === id) ?? {};
  t.like(task('P0.1.1'), { status: 'completed', worker: 'session/cli' });
  t.like(task('P0.1.2'), { status: 'available', owner: 'bus' });
  t.like(task('P0.1.5'), { status: 'waiting', deps: ['P0.1.1', 'P0.1.2', 'P0.1.3', 'P0.1.4'] });
  t.like(task('F2.1'), { status: 'claimed', worker: 'session/webrtc', filler: true });
  t.like(task('session_4_sip'), { status: 'waiting', kind: 'workstream' });
  const [cli] = await json(t, 'session', 'show', 'cli');
  t.like(cli, { capabilities: ['code:typescript', 'infra:messaging'], completed: 1 });

  const before = await json(t, 'log', '-n', '0');
  t.regex(
    await ok(t, 'import', ...files),
    /^! task\/P0\.5\.2 .*\nNothing to change: 1 left as they are, \d+ the same\.\n$/,
  );
  t.is(
    (await json(t, 'log', '-n', '0')).filter((entry) => !isLooked(entry)).length,
    before.filter((entry) => !isLooked(entry)).length,
  );
  t.regex(await ok(t, 'board'), /60 tasks: /);

  writeFileSync(
    join(t.context.folder.path, 'bad.md'),
    '| Task | Dependencies |\n|---|---|\n| X1: One | X2 |\n',
  );
  const bad = await run(t, 'import', 'bad.md', ...files);
  t.is(bad.code, 1);
  t.regex(bad.err, /error\[bad_import\]: bad\.md:3:3: X1 waits for X2, which is no task/);
  t.is((await run(t, 'import', 'none.md')).code, 1);

  // Out again: what was exported changes nothing where it came from.
  t.regex(
    await ok(t, 'export', 'out'),
    /^\+ out\/BOARD\.md\n[\s\S]*\+ out\/progress\.yaml\n\d+ written, 0 the same\.\n$/,
  );
  t.regex(await ok(t, 'export', 'out'), /^0 written, \d+ the same\.\n$/);
  const exported = readdirSync(join(t.context.folder.path, 'out')).map((name) => `out/${name}`);
  t.regex(await ok(t, 'import', ...exported), /^Nothing to change: \d+ the same\.\n$/);
  writeFileSync(join(t.context.folder.path, 'out/BOARD.md'), 'mine\n');
  const left = await run(t, 'export', 'out');
  t.is(left.code, 4);
  t.regex(left.err, /no export wrote them: out\/BOARD\.md\./);

  const git = await t.context.folder.shell('git init -q --bare team.git');
  t.is(git.code, 0);
  t.regex(await ok(t, 'mirror', 'team.git', '--once'), /^infrafabric\/board [0-9a-f]{12}: \d+ files\n/);
  t.regex(await ok(t, 'mirror', 'team.git', '--once'), /nothing to change/);
  const shown = await t.context.folder.shell('git -C team.git show infrafabric/board:STATUS-WEBRTC.yaml');
  t.regex(shown.out, /^session: session-webrtc\nclaiming: F2\.1\n/);
});

test('a live board and a mirror at work follow what happens, until Ctrl-C', async (t) => {
  t.timeout(SLOW_MS);
  const { folder } = t.context;
  t.is((await folder.shell('git init -q --bare team.git')).code, 0);
  await ok(t, 'task', 'add', 'A1', 'Event bus');
  const mirror = folder.start(['mirror', 'team.git', '--every', '100ms']);
  await mirror.until(/^infrafabric\/board [0-9a-f]{12}: 2 files\n/);
  const screen = new Screen();
  const watching = main(['board'], distribution, screen.io(folder.path));
  await screen.until(/A1 +Event bus/);

  await ok(t, 'task', 'claim', 'A1', '--as', 'cli');
  await screen.until(/claimed \(1\)/);
  await mirror.until(/: 3 files\n/);
  await ok(t, 'task', 'progress', 'A1', '50', '--as', 'cli');
  await screen.until(/in progress \(1\)/);
  await mirror.until(/(: 3 files\n[\s\S]*){2}/);
  screen.stop();
  t.is(await watching, 130);

  // The realm goes and comes; the mirror stays.
  await ok(t, 'down');
  await ok(t, 'up', '--detach');
  await ok(t, 'task', 'complete', 'A1', '--as', 'cli');
  await mirror.until(/(: 3 files\n[\s\S]*){3}/);
  mirror.process.kill('SIGINT');
  t.is((await mirror.ended).code, 130);
  const { out } = await folder.shell('git -C team.git show infrafabric/board:BOARD.md');
  t.regex(out, /\| A1: Event bus \| cli \| None \| completed \|/);
});

/** A terminal that keeps what it was shown. */
class Screen {
  readonly #stop = new AbortController();
  readonly #heard = new Set<() => void>();
  #shown = '';

  io(cwd: string): Io {
    const stdout = new Writable({
      write: (chunk, _, done) => {
        this.#shown += stripVTControlCharacters(String(chunk));
        for (const heard of this.#heard) heard();
        this.#heard.clear();
        done();
      },
    });
    return {
      stdin: Readable.from([]),
      stdout: Object.assign(stdout, { isTTY: true, columns: 100, rows: 30 }),
      stderr: new Writable({ write: (_chunk, _, done) => done() }),
      env: { PATH: process.env['PATH'] },
      cwd,
      self: [],
      signal: this.#stop.signal,
    };
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#shown)) await new Promise<void>((heard) => this.#heard.add(heard));
  }

  stop(): void {
    this.#stop.abort(new Error('Ctrl-C'));
  }
}

/** Questions leave entries too. */
function isLooked(entry: Row): boolean {
  return /\.get"/.test(JSON.stringify(entry));
}
