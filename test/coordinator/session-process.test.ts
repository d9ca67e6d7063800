/** What is kept of the output of a session's process. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { hidden } from '#actors/coordinator/hidden';
import { sessionProcessDriver } from '#actors/coordinator/session-process';
import { processStartTime } from '#runtime/bus/pid';
import { Subjects } from '#runtime/bus/subjects';
import type { DriverRealm } from '#runtime/effects/driver';
import type { ProcessOutput } from '#runtime/effects/process';
import { until } from '../rig/load.ts';

const TOKEN = 'a+secret/of the=realm';
const API_KEY = 'sk-0123456789';
const KEPT = 4_096;

/** Nobody asks this node which processes it runs. */
function realmAt(dataDir: string): DriverRealm {
  const nc = { subscribe: () => ({ unsubscribe() {} }) };
  return { dataDir, subjects: new Subjects('if', 1), nc } as unknown as DriverRealm;
}

test('what a process prints of its credentials is not kept, wherever its output is cut', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'if-process-'));
  t.teardown(() => rmSync(dataDir, { recursive: true }));
  const run = { pid: process.pid, url: 'nats://127.0.0.1:4222', token: TOKEN, prefix: 'if', realm: 'r' };
  writeFileSync(join(dataDir, 'run.json'), JSON.stringify(run));
  process.env['TEST_SESSION_KEY'] = API_KEY;
  t.teardown(() => delete process.env['TEST_SESSION_KEY']);
  const driver = sessionProcessDriver({ allow: [process.execPath], allowEnv: ['TEST_SESSION_KEY'] });
  await using _ = await driver.open?.(realmAt(dataDir));
  const script = `
    const { NATS_URL, KEY } = process.env;
    console.error('cannot connect to ' + NATS_URL + ' with ' + KEY);
    process.stdout.write('x'.repeat(${KEPT - 12}) + NATS_URL + 'y'.repeat(10_000));
    process.exitCode = 1;`;
  const output = (await driver.run({
    key: 'k',
    actor: 'runner/crew-1',
    attempt: 1,
    signal: new AbortController().signal,
    input: {
      session: 'crew-1',
      swarm: 'crew',
      capabilities: [],
      command: process.execPath,
      args: ['-e', script],
      env: { KEY: `\${env:TEST_SESSION_KEY}` },
    },
  })) as ProcessOutput;
  t.is(output.code, 1);
  t.is(output.stderr, `cannot connect to nats://[token]@127.0.0.1:4222 with \${env:TEST_SESSION_KEY}\n`);
  t.is(output.stdout.length, KEPT);
  t.true(output.stdout.endsWith('xnats://[toke'));
  t.true(output.truncated);
  t.false(JSON.stringify(output).includes(TOKEN.slice(0, 8)));
});

test('P3: a session’s next process begins when the one before has ended', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'if-process-'));
  t.teardown(() => rmSync(dataDir, { recursive: true }));
  const run = { pid: process.pid, url: 'nats://127.0.0.1:4222', token: TOKEN, prefix: 'if', realm: 'r' };
  writeFileSync(join(dataDir, 'run.json'), JSON.stringify(run));
  const driver = sessionProcessDriver({ allow: [process.execPath] });
  await using _ = await driver.open?.(realmAt(dataDir));
  const file = join(dataDir, 'times');
  const call = (script: string, signal: AbortSignal) => ({
    key: 'k',
    actor: 'runner/crew-1',
    attempt: 1,
    signal,
    input: {
      session: 'crew-1',
      swarm: 'crew',
      capabilities: [],
      command: process.execPath,
      args: [
        '-e',
        `const say = (t) => require('node:fs').appendFileSync(${JSON.stringify(file)}, t);${script}`,
      ],
      env: {},
    },
  });
  const told = new AbortController();
  const slow = `process.on('SIGTERM', () => setTimeout(() => { say('over '); process.exit(); }, 300));
    say('one ');
    setInterval(() => {}, 1000);`;
  const first = driver.run(call(slow, told.signal));
  await until(async () => existsSync(file), 'the first one');
  told.abort();
  const second = driver.run(call("say('two')", new AbortController().signal));
  await t.throwsAsync(first, { name: 'AbortError' });
  t.like(await second, { code: 0 });
  t.is(readFileSync(file, 'utf8'), 'one over two');
});

test('the run file of an earlier process with the same pid is not this node’s', async (t) => {
  if (processStartTime(process.pid) === undefined) {
    t.pass('this system does not tell');
    return;
  }
  const dataDir = mkdtempSync(join(tmpdir(), 'if-process-'));
  t.teardown(() => rmSync(dataDir, { recursive: true }));
  const run = {
    pid: process.pid,
    processStartTime: '1',
    url: 'nats://127.0.0.1:4222',
    prefix: 'if',
    realm: 'r',
  };
  writeFileSync(join(dataDir, 'run.json'), JSON.stringify(run));
  const driver = sessionProcessDriver({ allow: [process.execPath] });
  await using _ = await driver.open?.(realmAt(dataDir));
  const input = {
    session: 'crew-1',
    swarm: 'crew',
    capabilities: [],
    command: process.execPath,
    args: ['-e', ''],
    env: {},
  };
  const call = { key: 'k', actor: 'runner/crew-1', attempt: 1, signal: new AbortController().signal, input };
  await t.throwsAsync(async () => await driver.run(call), { code: 'realm_not_up' });
});

test('a secret is found as it is, in a URL and in JSON, the longest first; short words are none', (t) => {
  const secrets = new Map([
    ['A', 'ab"cd/ef'],
    ['B', 'ab"cd/efgh'],
    ['C', 'no'],
  ]);
  const text = `ab"cd/ef no ${encodeURIComponent('ab"cd/efgh')} ${JSON.stringify({ ab: 'ab"cd/ef' })}`;
  t.is(hidden(text, secrets, 1_000, false), 'A no B {"ab":"A"}');
  t.is(hidden('ab"cd/efé', secrets, 2, false), 'A', 'no character is cut in two');
});

test('where the output ended in a secret because no more was read, its beginning is left out', (t) => {
  const secrets = new Map([['K', 'é0123456789']]);
  // Shown by a short name, what was printed before lets the cut one come within what is kept.
  const printed = 'é0123456789 '.repeat(9);
  t.is(hidden(`${printed}é01234`, secrets, 100, true), 'K '.repeat(9));
  t.is(hidden(`${printed}\uFFFD`, secrets, 100, true), 'K '.repeat(9));
  t.is(hidden(`${printed}é01234`, secrets, 100, false), `${'K '.repeat(9)}é01234`, 'it printed just that');
  t.is(hidden('all of it\n', secrets, 100, true), 'all of it\n');
});
