/** Sandboxed tasks in a realm that runs: published, submitted, granted, refused, killed, replayed. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { isProcessAlive } from '#runtime/bus/pid';
import type { SandboxView } from '#schemas/sandbox';
import type { ComponentView } from '#schemas/service-contract';
import { CliFolder } from '../../rig/cli.ts';
import { isEveryday } from '../../rig/tier.ts';
import { guestWat } from './guests.ts';

/** Some thirty commands, on a machine that is busy with others. */
const SLOW_MS = 900_000;
/** The system takes a process apart thread by thread: nobody tells when the last has gone. */
const LOOK_MS = 10;
const OPEN = { door: 'open', spawnOnMessage: true };

const test = anyTest as TestFn<{ folder: CliFolder }>;
type T = ExecutionContext<{ folder: CliFolder }>;

test.beforeEach(async (t) => {
  const folder = new CliFolder();
  t.context.folder = folder;
  const kinds = Object.fromEntries(
    ['component', 'sandbox', 'registry', 'worker', 'counter'].map((kind) => [
      kind,
      { machine: kind, ...OPEN },
    ]),
  );
  const config = { realm: 'boxes', durability: 'relaxed', kinds, drivers: { sandbox: { require: 'any' } } };
  writeFileSync(join(folder.path, 'realm.yaml'), JSON.stringify(config));
  const { code, out, err } = await folder.run(['up', '--detach']);
  t.is(code, 0, `${out}${err}`);
});

test.afterEach.always(async (t) => {
  await t.context.folder[Symbol.asyncDispose]();
});

async function ok(t: T, ...args: string[]): Promise<string> {
  const { code, out, err } = await t.context.folder.run(['chassis', ...args]);
  t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
  return `${out}${err}`;
}

async function json<Row>(t: T, ...args: string[]): Promise<Row> {
  const { out, err } = await t.context.folder.run(['chassis', ...args, '--json']);
  t.notThrows(() => JSON.parse(out), `${args.join(' ')}\n${out}${err}`);
  return JSON.parse(out) as Row;
}

/** A guest with this body, its contract changed so. */
async function guest(t: T, name: string, wat: string, contract: object = {}): Promise<void> {
  await ok(t, 'new', name);
  const folder = join(t.context.folder.path, name);
  writeFileSync(join(folder, 'guest.wat'), wat);
  const limits = { fuel: 1_000_000, wallMs: '20s', memoryBytes: '1MiB' };
  writeFileSync(join(folder, 'contract.yaml'), JSON.stringify({ name, limits, ...contract }));
  await ok(t, 'publish', name);
}

test.skipIf(isEveryday)(
  'a component is published, does its work, and a replay proves what it did',
  async (t) => {
    t.timeout(SLOW_MS);
    await ok(t, 'new', 'word-count');
    t.regex(await ok(t, 'check', 'word-count'), /imports {3}infrafabric:task\/log/);
    t.regex(await ok(t, 'publish', 'word-count'), /✓ component\/word-count 1\.0\.0/);
    const said = await ok(t, 'submit', 'word-count', '--input', 'to be or not to be', '--wait');
    t.regex(said, /^6\n/);
    t.regex(said, /sandbox\/word-count\.1 done, fuel [\d,]+/);
    t.regex(
      await ok(t, 'replay', 'sandbox/word-count.1'),
      /✓ sandbox\/word-count\.1 gives the same: done, fuel [\d,]+, 0 calls/,
    );
    const { run } = await json<SandboxView>(t, 'show', 'sandbox/word-count.1');
    t.like(run, { exit: 'done', output: { text: '6' }, logs: ['info: counting'], hostCalls: 0 });
    t.true((run?.fuel ?? 0) > 100 && (run?.memoryBytes ?? 0) >= 65_536);
    t.regex(await ok(t, 'list'), /word-count {2}1\.0\.0 +published/);
    t.regex(await ok(t, 'list', 'word-count'), /word-count\.1 {2}done/);
    t.like((await json<ComponentView>(t, 'show', 'word-count')).slo, {
      runs: 1,
      successRate: 1,
      availability: 1,
    });

    const kept = readdirSync(join(t.context.folder.path, '.infrafabric/boxes/components'));
    t.is(
      kept.filter((name) => name.endsWith('.gated')).length,
      1,
      'what passed the gate lies where the docs say',
    );

    const contract = join(t.context.folder.path, 'word-count/contract.yaml');
    writeFileSync(contract, readFileSync(contract, 'utf8').replace('10s', '11s'));
    const { err } = await t.context.folder.run(['chassis', 'publish', 'word-count']);
    t.regex(err, /error\[chassis_refused\].*version 1\.0\.0 was published/);
  },
);

test('a task does what its grant lists and nothing else, and its answers are replayed', async (t) => {
  t.timeout(SLOW_MS);
  const texts = [
    { at: 16, text: 'counter/k1' },
    { at: 32, text: '{"type":"inc"}' },
    { at: 64, text: 'cache/last' },
    { at: 96, text: 'progress' },
    { at: 112, text: '{"half":true}' },
  ];
  // Asks a counter, keeps its answer, tells of it, and puts out what it kept; or the refusal.
  const wat = guestWat(
    `(call $ask (i32.const 16) (i32.const 10) (i32.const 32) (i32.const 14) (i32.const 200))
     (if (i32.load8_u (i32.const 200)) (then (return (call $out (i32.const 200)))))
     (call $put (i32.const 64) (i32.const 10) (i32.load (i32.const 204)) (i32.load (i32.const 208)) (i32.const 220))
     (if (i32.load8_u (i32.const 220)) (then (return (call $out (i32.const 220)))))
     (call $emit (i32.const 96) (i32.const 8) (i32.const 112) (i32.const 13) (i32.const 240))
     (call $get (i32.const 64) (i32.const 10) (i32.const 260))
     (call $out (i32.const 260))`,
    texts,
  );
  const grant = {
    ask: [{ to: 'counter/k1', events: ['inc'] }],
    kv: [{ prefix: 'cache/', write: true }],
    emit: ['progress'],
  };
  await guest(t, 'asker', wat, { grant });
  t.regex(await ok(t, 'submit', 'asker', '--wait'), /^grant_denied: inc to counter\/k1 is not granted/);
  t.regex(await ok(t, 'submit', 'asker', '--grant', '--wait'), /^\{.*\}\n.*sandbox\/asker\.2 done.*4 calls/s);
  const before = await json<SandboxView>(t, 'show', 'sandbox/asker.2');
  t.truthy(before.run?.transcript);
  t.regex(await ok(t, 'replay', 'sandbox/asker.2'), /gives the same: done, fuel [\d,]+, 4 calls/);
  const { out } = await t.context.folder.run(['ask', 'counter/k1', 'get']);
  t.regex(out, /1/, 'a replay asks nobody');
});

test.skipIf(isEveryday)('a task ends at its limits and when it is killed, and only it', async (t) => {
  t.timeout(SLOW_MS);
  const loops = '(loop $on (br $on)) (unreachable)';
  await guest(t, 'loop', guestWat(loops));
  await guest(t, 'trap', guestWat('(unreachable)'));
  await guest(t, 'long', guestWat(loops), {
    limits: { fuel: Number.MAX_SAFE_INTEGER, wallMs: '120s', memoryBytes: '1MiB' },
  });
  const ended = async (...args: string[]) =>
    await json<{ status: string; run: SandboxView['run'] }>(t, 'submit', ...args, '--wait');
  t.like(await ended('loop'), { status: 'failed', run: { exit: 'task_fuel_exceeded', fault: 'component' } });
  t.like(await ended('trap'), { status: 'failed', run: { exit: 'task_trapped' } });
  const again = await json<{ ok: boolean; before: object; again: object }>(t, 'replay', 'sandbox/trap.1');
  t.true(again.ok, JSON.stringify(again));
  const waiting = ended('long');
  for (;;) {
    const { status } = await json<SandboxView>(t, 'show', 'sandbox/long.1').catch(() => ({ status: '' }));
    if (status === 'running') break;
  }
  t.regex(await ok(t, 'kill', 'sandbox/long.1', '--reason', 'enough'), /✓ sandbox\/long\.1 killed/);
  t.like(await waiting, { status: 'killed' });
});

test.skipIf(isEveryday)(
  'a node that dies in the middle of a run begins it again once, as the contract says',
  async (t) => {
    t.timeout(SLOW_MS);
    const limits = { fuel: Number.MAX_SAFE_INTEGER, wallMs: '200s', memoryBytes: '1MiB' };
    await guest(t, 'long', guestWat('(loop $on (br $on)) (unreachable)'), { limits, retries: 1 });
    await ok(t, 'submit', 'long');
    const view = async (): Promise<SandboxView | undefined> =>
      await json<SandboxView>(t, 'show', 'sandbox/long.1').catch(() => undefined);
    while ((await view())?.status !== 'running');
    const { folder } = t.context;
    const { pid } = JSON.parse(readFileSync(join(folder.path, '.infrafabric/boxes/run.json'), 'utf8')) as {
      pid: number;
    };
    process.kill(pid, 'SIGKILL');
    while (isProcessAlive(pid)) await pause(LOOK_MS);
    const { code, err } = await folder.run(['up', '--detach']);
    t.is(code, 0, err);
    let again = await view();
    while (again?.status !== 'running' || again.attempts < 2) again = await view();
    t.like(again.run, { exit: 'sandbox_turn_lost', fault: 'chassis' }, 'what came of the first attempt');
    await ok(t, 'kill', 'sandbox/long.1', '--reason', 'enough');
  },
);
