/** The commands against real nodes, as processes of their own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import test, { type ExecutionContext } from 'ava';
import { isProcessAlive, processStartTime } from '#runtime/bus/pid';
import type { RunFile } from '#runtime/node/api';
import { CliFolder, type Ended } from '../rig/cli.ts';
import { TestServer } from '../rig/nats.ts';
import { isEveryday } from '../rig/tier.ts';

const COUNTERS = `
realm: counter
kinds:
  counter: { machine: counter, spawnOnMessage: true, door: open }
`;

function counters(children: readonly string[]): string {
  const list = children.map((child) => `    - ${child}\n`).join('');
  return `${COUNTERS}supervisor:\n  strategy: one_for_one\n  children:${list === '' ? ' []' : `\n${list}`}`;
}

function write(folder: CliFolder, name: string, text: string): void {
  writeFileSync(join(folder.path, name), text);
}

function json(ended: Ended): Record<string, unknown>[] {
  return ended.out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function ok(t: ExecutionContext, ended: Ended): Ended {
  t.is(ended.code, 0, `${ended.out}\n${ended.err}`);
  return ended;
}

test('up in the foreground: a second one names the pid, Ctrl-C keeps the state, the next goes on from there', async (t) => {
  await using folder = new CliFolder();
  const up = folder.start(['up']);
  await up.until(/Try next[\s\S]*infrafabric log/);
  const second = await folder.run(['up', '--json']);
  t.is(second.code, 1);
  const [refusal] = json(second);
  t.like(refusal, { ok: false, error: { code: 'already_running', details: { pid: up.pid } } });
  const runFile = join(folder.path, '.infrafabric/counter/run.json');
  t.is(statSync(runFile).mode & 0o777, 0o600);
  const { pid, processStartTime: startTime } = JSON.parse(readFileSync(runFile, 'utf8')) as RunFile;
  t.is(startTime, processStartTime(pid), 'tells it from the next process of this pid');

  t.regex(ok(t, await folder.run(['ask', 'counter/k1', 'add', '{"by":7}'])).out, /^\{"n":7\}/);
  up.process.kill('SIGINT');
  const ended = ok(t, await up.ended);
  t.regex(ended.out, /stopped; its state is kept/);
  t.is((await folder.run(['ps'])).code, 3);

  t.regex(ok(t, await folder.run(['up', '--detach'])).out, /counter runs as process \d+/);
  t.like(json(ok(t, await folder.run(['ask', 'counter/k1', 'get', '--json'])))[0], { reply: { n: 7 } });
  const forced = folder.run(['down', '--force']);
  ok(t, await forced);
});

test('up in the background fails with what kept the node from starting, also where that comes last', async (t) => {
  await using folder = new CliFolder();
  const webhook = '{ name: main, url: "http://127.0.0.1:9/", secretFile: missing, events: ["*.*"] }';
  write(folder, 'realm.yaml', `${COUNTERS}webhooks: [${webhook}]\n`);
  const { code, err } = await folder.run(['up', '--detach']);
  t.is(code, 1);
  t.regex(err, /error\[start_failed\][\s\S]*error\[webhook_secret_missing\]/);
  const ps = await folder.run(['ps']);
  t.is(ps.code, 3);
  t.regex(ps.err, /\.infrafabric\/counter\/node\.log/);
});

test.skipIf(isEveryday)(
  'a second Ctrl-C ends the node at once, and what was acknowledged is there afterwards',
  async (t) => {
    await using folder = new CliFolder();
    const up = folder.start(['up']);
    await up.until(/Try next/);
    ok(t, await folder.run(['ask', 'counter/k1', 'inc']));
    up.process.kill('SIGINT');
    await up.until(/Ctrl-C again/);
    up.process.kill('SIGINT');
    const { code } = await up.ended;
    // A stop that was quicker than the second signal is a clean end.
    t.true(code === 130 || code === 0, String(code));
    ok(t, await folder.run(['up', '-d']));
    t.like(json(await folder.run(['ask', 'counter/k1', 'get', '--json']))[0], { reply: { n: 1 } });
    ok(t, await folder.run(['down']));
  },
);

test.skipIf(isEveryday)('down --force ends a node that does not answer', async (t) => {
  await using folder = new CliFolder();
  const up = folder.start(['up']);
  await up.until(/Try next/);
  up.process.kill('SIGSTOP');
  ok(t, await folder.run(['down', '--force']));
  t.is((await up.ended).code, 'SIGKILL');
  ok(t, await folder.run(['up', '-d']));
  ok(t, await folder.run(['down']));
});

test('down ends the process of a node whose server is gone', async (t) => {
  await using folder = new CliFolder();
  const orphan = spawn('sleep', ['60']);
  t.teardown(() => orphan.kill('SIGKILL'));
  const ended = once(orphan, 'exit');
  const { pid = 0 } = orphan;
  const run = {
    pid,
    processStartTime: processStartTime(pid),
    nodeId: 'n',
    realm: 'counter',
    prefix: 'if',
    url: 'nats://127.0.0.1:1',
    startedAt: Date.now(),
  };
  write(folder, 'run.json', JSON.stringify({ ...run, processStartTime: '1' }));
  t.is((await folder.run(['down', '--data', '.'])).code, 3, 'its pid is that of another process');
  write(folder, 'run.json', JSON.stringify(run));
  t.regex(ok(t, await folder.run(['down', '--data', '.'])).err, /server cannot be reached/);
  t.is((await ended)[1], 'SIGTERM');
});

test.skipIf(isEveryday)(
  'down warns of nodes on the server that ends, stops them without it, and they come back with it',
  async (t) => {
    await using folder = new CliFolder();
    const runOfOne = (): RunFile =>
      JSON.parse(readFileSync(join(folder.path, 'one/run.json'), 'utf8')) as RunFile;
    ok(t, await folder.run(['up', '-d', '--data', 'one']));
    const { url } = runOfOne();
    const two = folder.start(['up', '--data', 'two', '--join', 'one']);
    await two.until(/Try next/);
    t.regex(ok(t, await folder.run(['down', '--data', 'one'])).err, /1 other node hangs off the server/);
    ok(t, await folder.run(['up', '-d', '--data', 'one']));
    t.is(runOfOne().url, url, 'where the other looks for it');

    const server = Number(readFileSync(join(folder.path, 'one/nats-server.pid'), 'utf8'));
    process.kill(runOfOne().pid, 'SIGKILL');
    while (isProcessAlive(server)) await pause(20);
    const down = ok(t, await folder.run(['down', '--data', 'two']));
    t.regex(down.err, /server cannot be reached/);
    t.regex(down.out, /stopped in/);
    t.is((await two.ended).code, 0);
  },
);

test.skipIf(isEveryday)(
  'reload says what it will do, then does it: children added, removed, with another input; others keep their state',
  async (t) => {
    await using folder = new CliFolder();
    write(
      folder,
      'realm.yaml',
      counters(['{ id: a, kind: counter }', '{ id: b, kind: counter }', '{ id: c, kind: counter }']),
    );
    ok(t, await folder.run(['up', '-d']));
    ok(t, await folder.run(['ask', 'counter/a', 'inc']));
    ok(t, await folder.run(['ask', 'counter/c', 'inc']));
    t.regex(ok(t, await folder.run(['reload'])).out, /[Nn]othing/);
    write(
      folder,
      'realm.yaml',
      counters([
        '{ id: a, kind: counter }',
        '{ id: c, kind: counter, input: { n: 40 } }',
        '{ id: d, kind: counter }',
      ]),
    );
    const dry = ok(t, await folder.run(['reload', '--dry-run']));
    for (const address of ['counter/b', 'counter/c', 'counter/d']) t.true(dry.out.includes(address), dry.out);
    t.false(dry.out.includes('counter/a'), dry.out);
    const [, , , ...before] = json(await folder.run(['ps', '--flat', '--json']));
    t.true([...before].every(({ address }) => address !== 'counter/d'));

    ok(t, await folder.run(['reload']));
    t.like(json(await folder.run(['ask', 'counter/a', 'get', '--json']))[0], { reply: { n: 1 } });
    t.like(json(await folder.run(['ask', 'counter/d', 'get', '--json']))[0], { reply: { n: 0 } });
    const after = json(ok(t, await folder.run(['ps', '--flat', '--json'])));
    const stateOf = (address: string): unknown =>
      after.find((actor) => actor['address'] === address)?.['status'];
    t.is(stateOf('counter/a'), 'active');
    t.is(stateOf('counter/c'), 'active');
    t.not(stateOf('counter/b'), 'active');

    write(folder, 'realm.yaml', counters(['{ id: a, kind: nosuch }']));
    const bad = await folder.run(['reload']);
    t.is(bad.code, 5);
    t.regex(bad.err, /realm\.yaml:\d+:\d+: /);
    ok(t, await folder.run(['down']));
  },
);

test.skipIf(isEveryday)(
  'send and log: stored while the node is down, signed messages, filters, times, follow, a reader that leaves',
  async (t) => {
    await using folder = new CliFolder();
    cpSync(resolve('deploy/examples/phase0-board.yaml'), join(folder.path, 'phase0-board.yaml'));
    cpSync(resolve('deploy/examples/phase0.yaml'), join(folder.path, 'realm.yaml'));
    ok(t, await folder.run(['up', '-d']));
    const follow = folder.start(['log', '--follow', '--json', '--type', 'task', '-n', '1']);
    await follow.until(/\n/);
    const lines = readFileSync(resolve('deploy/examples/messages.jsonl'), 'utf8')
      .split('\n')
      .slice(0, 5)
      .join('\n');
    const sent = ok(t, await folder.run(['send', '--wait'], lines));
    t.regex(sent.out, /5 messages sent .*none refused/);
    await follow.until(/"milestone":100/);
    follow.process.kill('SIGINT');
    t.is((await follow.ended).code, 130);
    t.like(json(await folder.run(['show', 'task/P0.1.1', '--json']))[0], {
      value: 'completed',
      status: 'active',
    });

    const nobody = lines.split('\n')[0]?.replaceAll('P0.1.1', 'P9.9.9');
    const again = await folder.run(['send', '--wait', '--json'], `${nobody}\nnot json\n`);
    t.is(again.code, 4);
    t.deepEqual(
      json(again).map(({ line, ok: good }) => [line ?? 'all', good]),
      [
        [1, false],
        [2, false],
        ['all', false],
      ],
    );

    const all = json(ok(t, await folder.run(['log', '--actor', 'task/P0.1.1', '-n', '0', '--json'])));
    t.is(
      all.filter(({ entry }) => (entry as { event?: { type: string } }).event?.type === 'if.inform').length,
      4,
    );
    const middle = (all[2] as { at: number }).at;
    const since = json(
      await folder.run([
        'log',
        '--actor',
        'task/P0.1.1',
        '--json',
        '--since',
        new Date(middle).toISOString(),
      ]),
    );
    t.deepEqual(
      since,
      all.filter((item) => (item['at'] as number) >= middle),
    );
    const until = json(
      await folder.run([
        ...['log', '--actor', 'task/P0.1.1', '--json', '-n', '0', '--until'],
        new Date(middle).toISOString(),
      ]),
    );
    t.deepEqual(
      until,
      all.filter((item) => (item['at'] as number) <= middle),
    );
    t.regex(ok(t, await folder.run(['log', '--since', '0ms'])).out, /No entries match/);

    const head = ok(t, await folder.shell('infrafabric log -n 0 | head -1'));
    t.is(head.out.trim().split('\n').length, 1);
    t.notRegex(head.err, /EPIPE|Error/);
    ok(t, await folder.run(['down']));
  },
);

test.skipIf(isEveryday)(
  'dead letters are listed, shown, and sent again once the reason is gone',
  async (t) => {
    await using folder = new CliFolder();
    write(folder, 'realm.yaml', counters([]));
    ok(t, await folder.run(['up', '-d']));
    t.regex(ok(t, await folder.run(['dead', 'list'])).out, /No dead letters/);
    const poison = await folder.run(['send', 'counter/p', 'add', '{"by":"many"}', '--wait']);
    t.is(poison.code, 4, poison.out + poison.err);
    const absent = await folder.run(['show', 'counter/nobody', '--json']);
    t.is(absent.code, 4);
    t.like(json(absent)[0], { ok: false, error: { code: 'actor_absent' } });
    const unknown = await folder.run(['send', 'late/x', 'inc', '--wait']);
    t.is(unknown.code, 4);
    t.regex(unknown.err, /error\[unknown_kind\]/);
    const letters = json(ok(t, await folder.run(['dead', 'list', '--json'])));
    t.deepEqual(
      letters.map(({ seq, actor }) => [seq, actor]),
      [
        [2, 'late/x'],
        [1, 'counter/p'],
      ],
    );
    t.regex(ok(t, await folder.run(['dead', 'show', '1'])).out, /"by": ?"many"/);
    t.is((await folder.run(['dead', 'show', '9'])).code, 1);

    // The kind that was missing is declared.
    write(
      folder,
      'realm.yaml',
      counters([]).replace(
        'kinds:',
        'kinds:\n  late: { machine: counter, spawnOnMessage: true, door: open }',
      ),
    );
    ok(t, await folder.run(['reload']));
    t.regex(ok(t, await folder.run(['dead', 'retry', '2'])).out, /sent again to late\/x/);
    ok(t, await folder.run(['send', 'late/x', 'inc', '--wait']));
    t.like(json(await folder.run(['ask', 'late/x', 'get', '--json']))[0], { reply: { n: 2 } });
    ok(t, await folder.run(['down']));
  },
);

test.skipIf(isEveryday)(
  'env is all that plain NATS needs: the ask is answered, and the same id changes nothing',
  async (t) => {
    await using folder = new CliFolder();
    ok(t, await folder.run(['up', '-d']));
    const [variables] = json(ok(t, await folder.run(['env', '--json'])));
    t.like(variables, { INFRAFABRIC_REALM: 'counter', INFRAFABRIC_PREFIX: 'if' });
    const url = new URL(String(variables?.['NATS_URL']));
    const nc = await connect({ servers: url.host, token: decodeURIComponent(url.username) });
    const { headers } = await import('@nats-io/transport-node');
    const hdrs = headers();
    hdrs.set('Nats-Msg-Id', 'order-17');
    const answers: unknown[] = [];
    for (const _ of [1, 2]) {
      const reply = await nc.request('if.ask.counter.k1', JSON.stringify({ type: 'inc' }), {
        headers: hdrs,
        timeout: 60_000,
      });
      answers.push(reply.json());
    }
    await nc.close();
    t.like(answers[0], { ok: true, reply: { n: 1 } });
    t.deepEqual(answers[1], answers[0]);
    t.is(
      ok(t, await folder.shell('eval "$(infrafabric env)"; echo "$NATS_URL"')).out.trim(),
      url.href.replace(/\/$/, ''),
    );
    ok(t, await folder.run(['down']));
  },
);

test.skipIf(isEveryday)(
  'a realm on a server of its own is joined, found by its run file, and stopped, and doctor sees all of it',
  async (t) => {
    await using server = await TestServer.start();
    const url = server.url.replace('://', `://${server.token}@`);
    await using folder = new CliFolder();
    const up = folder.start(['up', '--join', url]);
    await up.until(/Try next/);
    t.is((await folder.run(['up', '--join', url])).code, 1, 'already running here');
    t.regex(ok(t, await folder.run(['ask', 'counter/k1', 'inc'])).out, /^\{"n":1\}/);
    const { joined } = JSON.parse(readFileSync(join(folder.path, '.infrafabric/counter/run.json'), 'utf8'));
    t.true(joined);
    const checks = json(ok(t, await folder.run(['doctor', '--json'])));
    // A disk that others keep busy is slow, and it says so.
    const others = checks.filter(({ name }) => name !== 'data folder');
    t.is(others.length, checks.length - 1);
    t.true(
      others.every(({ state }) => state === 'ok' || state === 'skip'),
      JSON.stringify(checks),
    );

    await using elsewhere = new CliFolder({ NATS_URL: url });
    ok(t, await elsewhere.run(['up', '-d']));
    t.is(
      json(ok(t, await elsewhere.run(['doctor', '--json']))).find(({ name }) => name === 'realm')?.['state'],
      'ok',
    );
    ok(t, await elsewhere.run(['down']));
    ok(t, await folder.run(['down']));
    ok(t, await up.ended);
    const nobody = await new CliFolder({ NATS_URL: url }).run([
      'ask',
      'counter/k1',
      'inc',
      '--timeout',
      '500ms',
    ]);
    t.is(nobody.code, 3);
    t.notRegex(nobody.err, /may have been done/);
  },
);

test.skipIf(isEveryday)(
  'a new project runs as it was written, and the completion script is one a shell takes',
  async (t) => {
    await using folder = new CliFolder();
    ok(t, await folder.run(['init', '.']));
    // What npm install would bring.
    const { symlinkSync } = await import('node:fs');
    symlinkSync(resolve('node_modules'), join(folder.path, 'node_modules'));
    ok(t, await folder.run(['up', '-d']));
    t.like(json(ok(t, await folder.run(['ask', 'hello/world', 'greet', '{"name":"Ada"}', '--json'])))[0], {
      reply: { hello: 'Ada', greeted: 1 },
    });
    ok(t, await folder.run(['down']));
    ok(t, await folder.shell('infrafabric completion bash > c.sh && bash -n c.sh && source c.sh'));
  },
);
