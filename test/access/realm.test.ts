/** A secure realm as a whole: the commands in it, by each role, and whose message counts as whose. */
import { appendFileSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers } from '@nats-io/nats-core';
import test, { type ExecutionContext } from 'ava';
import { connect } from '#runtime/client/node';
import { RawHeaders } from '#runtime/client/wire';
import { readKey } from '#runtime/keys/key-store';
import { CliFolder, type Ended } from '../rig/cli.ts';

const REALM = `
realm: counter
nats: { secure: true }
access:
  agent/bob: { asks: [counter/b1], sends: [] }
drivers: { sandbox: { require: any } }
kinds:
  component: { machine: component, spawnOnMessage: true, door: open }
  sandbox: { machine: sandbox, spawnOnMessage: true, door: open }
  counter: { machine: counter, spawnOnMessage: true, door: open }
`;

function ok(t: ExecutionContext, ended: Ended): string {
  t.is(ended.code, 0, `${ended.out}\n${ended.err}`);
  return ended.out;
}

test('in a secure realm all commands work for the operator, an auditor only reads, and a revoked agent is out', async (t) => {
  await using folder = new CliFolder();
  writeFileSync(join(folder.path, 'realm.yaml'), REALM);
  const dataDir = join(folder.path, '.infrafabric/counter');
  const run = async (...args: string[]): Promise<string> => ok(t, await folder.run(args));
  const key = (owner: string): string => join(dataDir, 'keys', `${owner.replace('/', '%')}.seed`);
  await run('keys', 'new', 'operator/olga', '--offline');
  await run('keys', 'new', 'auditor/ann', '--offline');
  await run('up', '--detach');
  try {
    await run('keys', 'new', 'agent/alice');
    await run('keys', 'new', 'agent/bob');
    t.regex(await run('ask', 'counter/k1', 'add', '{"by":2}', '--nkey', key('agent/alice')), /"n":2/);
    t.regex(await run('ask', 'counter/b1', 'inc', '--nkey', key('agent/bob')), /"n":1/);
    const foreign = await folder.run([
      'ask',
      'counter/k1',
      'inc',
      '--timeout',
      '1s',
      '--nkey',
      key('agent/bob'),
    ]);
    t.not(foreign.code, 0);
    t.regex(await run('ask', 'counter/k1', 'get'), /"n":2/);

    const auditor = ['--nkey', key('auditor/ann')];
    for (const command of [['ps'], ['log', '-n', '3'], ['verify'], ['show', 'counter/k1'], ['replay']]) {
      const theirs = await folder.run([...command, ...auditor]);
      t.is(theirs.code, 0, `${command.join(' ')}\n${theirs.out}${theirs.err}`);
    }
    t.not((await folder.run(['ask', 'counter/k1', 'inc', '--timeout', '1s', ...auditor])).code, 0);
    t.not((await folder.run(['down', ...auditor])).code, 0);
    t.regex(await run('ask', 'counter/k1', 'get'), /"n":2/);

    t.regex(await run('access', 'list'), /agent\/alice[\s\S]*auditor\/ann[\s\S]*operator\/olga/);
    t.regex(await run('access', 'show', 'agent/bob'), /publish {4}if\.ask\.counter\.b1/);
    await run('keys', 'revoke', 'agent/alice', '--reason', 'stolen', '--yes');
    const late = await folder.run(['ask', 'counter/k1', 'inc', '--nkey', key('agent/alice')]);
    t.not(late.code, 0);
    t.notRegex(await run('access', 'list'), /agent\/alice/);

    await run('chassis', 'new', 'wc');
    await run('chassis', 'publish', 'wc');
    const input = 'five words '.repeat(4_000);
    t.is(
      await run('chassis', 'submit', 'wc', '--input', input, '--wait'),
      '8000\n',
      'an input of the object store',
    );

    await run('doctor');
    for (const place of ['.', 'tls', 'keys']) {
      for (const file of readdirSync(join(dataDir, place), { withFileTypes: true })) {
        const path = join(dataDir, place, file.name);
        if (file.isFile() && file.name !== 'node-id' && file.name !== 'node-name') {
          t.is(statSync(path).mode & 0o077, 0, path);
        }
      }
    }
    t.false(existsSync(join(dataDir, 'token')));
  } finally {
    await folder.run(['down']);
  }
});

test('no agent can have another’s message taken for a duplicate, whatever name it gives', async (t) => {
  await using folder = new CliFolder();
  writeFileSync(join(folder.path, 'realm.yaml'), REALM);
  appendFileSync(join(folder.path, 'realm.yaml'), 'shards: 2\n');
  const dataDir = join(folder.path, '.infrafabric/counter');
  ok(t, await folder.run(['keys', 'new', 'operator/olga', '--offline']));
  ok(t, await folder.run(['up', '--detach']));
  try {
    for (const owner of ['agent/alice', 'agent/mallory']) ok(t, await folder.run(['keys', 'new', owner]));
    const as = async (owner: string) => {
      const key = await readKey(dataDir, owner);
      if (key === undefined) throw new Error(`no key of ${owner}`);
      return await connect({ runFile: join(dataDir, 'run.json'), key, from: owner });
    };
    await using alice = await as('agent/alice');
    await using mallory = await as('agent/mallory');
    const claimed = headers();
    claimed.set('Nats-Msg-Id', 'order-1');
    claimed.set('If-From', 'agent/alice');
    const say = { headers: claimed, timeout: 5_000 };
    for (const subject of ['if.ask.counter.k1', 'if.ask.0.counter.k1', 'if.ask.1.counter.k1']) {
      await mallory.connection.request(subject, '{"type":"get"}', say).catch(() => undefined);
    }
    // An empty line in the middle; an end that is none: behind either the server writes whose key it was.
    for (const end of ['\r\nX: y\r\n\r\n', 'X: ab']) {
      const block = `NATS/1.0\r\nIf-From: agent/alice\r\nNats-Msg-Id: order-1\r\n${end}`;
      const raw = { headers: new RawHeaders(block), timeout: 5_000 };
      for (const subject of ['if.ask.counter.k1', 'if.ask.0.counter.k1', 'if.ask.1.counter.k1']) {
        const answer = await mallory.connection.request(subject, '{"type":"get"}', raw);
        if (end === 'X: ab') t.is(answer.json<{ error: { code: string } }>().error.code, 'sender_unreadable');
      }
    }
    await mallory.connection.request('if.in.counter.k1', '{"type":"get"}', say);
    const { reply } = await alice.ask('counter/k1', { type: 'inc' }, { id: 'order-1' });
    t.deepEqual(reply, { n: 1 });
    const again = await alice.ask('counter/k1', { type: 'inc' }, { id: 'order-1' });
    t.deepEqual(again.reply, { n: 1 });
  } finally {
    await folder.run(['down']);
  }
});
