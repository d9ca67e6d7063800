/** Batches of asks: each ask in one is an ask like any other, whatever stands beside it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createInbox, headers, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { connect as natsConnect } from '@nats-io/transport-node';
import anyTest, { type TestFn } from 'ava';
import fc from 'fast-check';
import { asksOf } from '#runtime/bus/ask-batch';
import { addressOfTail, Subjects } from '#runtime/bus/subjects';
import { RequestDesk } from '#runtime/client/desk';
import { connect } from '#runtime/client/node';
import { locateServer } from '#runtime/node/locate-server';
import { Dedupe } from '#runtime/shard/dedupe';
import { Doors, type DoorsOptions } from '#runtime/shard/doors';
import { ItemQueue } from '#runtime/shard/gather';
import type { Ask, Logger } from '#runtime/shard/ports';
import { cases } from '../rig/effort.ts';
import { freePort, TestRealm } from '../rig/realm.ts';

const KINDS = {
  counter: { machine: 'counter', spawnOnMessage: true, door: 'open' },
  secret: { machine: 'counter', door: 'closed' },
};
const BATCHES = 'if.asks.*.*';
/** On a machine that is busy with others a node answers late. */
const PATIENT = { timeoutMs: 120_000 };

/** A node for the tests that ask nothing else of theirs. */
const test = anyTest as TestFn<{ realm: TestRealm }>;

test.before(async (t) => {
  t.context.realm = await TestRealm.start({ config: { kinds: KINDS } });
});

test.after.always(async (t) => {
  await t.context.realm?.[Symbol.asyncDispose]();
});

interface Answered {
  readonly ok: boolean;
  readonly reply?: { readonly n?: number };
  readonly error?: { readonly code: string; readonly retryable: boolean };
}

/** Publishes a batch as an outside tool would, and gives the answers by place; a refusal of it all under `whole`. */
async function askBatch(
  nc: NatsConnection,
  subject: string,
  body: string | Uint8Array,
  wanted: number,
): Promise<{ answers: Answered[]; whole?: Answered; messages: number }> {
  const inbox = createInbox();
  const answers: Answered[] = [];
  const hdrs = headers();
  hdrs.set('If-From', 'tool');
  const { promise, resolve, reject } = Promise.withResolvers<{
    answers: Answered[];
    whole?: Answered;
    messages: number;
  }>();
  let messages = 0;
  const subscription = nc.subscribe(inbox, {
    callback: (error, m: Msg) => {
      if (error !== null || m.data.byteLength === 0) return reject(error ?? new Error('no responders'));
      const got = m.json() as Answered | [number, Answered][];
      messages += 1;
      if (!Array.isArray(got)) return resolve({ answers, whole: got, messages });
      for (const [n, answer] of got) {
        if (answers[n] !== undefined) reject(new Error(`ask ${n} was answered twice`));
        answers[n] = answer;
      }
      if (Object.keys(answers).length === wanted) resolve({ answers, messages });
    },
  });
  nc.publish(subject, body, { reply: inbox, headers: hdrs });
  try {
    return await promise;
  } finally {
    subscription.unsubscribe();
  }
}

test('asks made at the same moment travel together and are answered like any others', async (t) => {
  await using realm = await TestRealm.start({ config: { shards: 2, kinds: KINDS } });
  const client = await realm.client();
  const batches: number[] = [];
  const spy = client.connection.subscribe(BATCHES, {
    callback: (_, m) => {
      batches.push((m.json() as unknown[]).length);
    },
  });
  await client.connection.flush();
  const asks = Array.from({ length: 400 }, (_, n) =>
    client.ask(`counter/k${n % 40}`, { type: 'inc' }, PATIENT),
  );
  const answers = await Promise.all(asks);
  t.deepEqual(
    answers.slice(-40).map(({ reply }) => reply),
    Array.from({ length: 40 }, () => ({ n: 10 })),
    'each ask counted once, in the order of its caller',
  );
  await client.connection.flush();
  t.is(
    batches.reduce((sum, n) => sum + n, 0),
    400,
  );
  t.true(batches.length <= 8, `${batches.length} messages for 400 asks`);
  const commits = new Set(answers.map(({ commit }) => `${commit.shard}/${commit.index}`));
  t.true(commits.size < 50, `${commits.size} commits`);

  const mixed = await Promise.allSettled([
    client.ask('counter/k1', { type: 'inc' }, PATIENT),
    client.ask('counter/k1', { type: 'fly' } as { type: string }, PATIENT),
    client.ask('secret/s', { type: 'inc' }, PATIENT),
    client.ask('counter/k1', { type: 'inc', note: 'x'.repeat(5_000) } as { type: string }, PATIENT),
    client.ask('counter/k1', { type: 'get' }, PATIENT),
  ]);
  t.like(mixed[0], { value: { reply: { n: 11 } } });
  t.like(mixed[1], { reason: { code: 'unknown_event', retryable: false } });
  t.like(mixed[2], { reason: { code: 'door_closed' } });
  t.like(mixed[3], { value: { reply: { n: 12 } } }, 'a long ask goes alone, in its turn');
  t.like(mixed[4], { value: { reply: { n: 12 } } });
  spy.unsubscribe();

  const again = await Promise.all(
    Array.from({ length: 5 }, () => client.ask('counter/k1', { type: 'inc' }, { ...PATIENT, id: 'same"id' })),
  );
  t.deepEqual(
    again.map(({ reply }) => reply),
    Array.from({ length: 5 }, () => ({ n: 13 })),
    'one id counts once, also within a batch',
  );
  await realm.kill();
  await realm.up();
  const later = await (await realm.client()).ask('counter/k1', { type: 'get' }, PATIENT);
  t.deepEqual(later.reply, { n: 13 });
});

test('a batch that was lost with its node is asked again one by one, and each counts once', async (t) => {
  await using realm = await TestRealm.start({
    config: { kinds: KINDS },
    env: { INFRAFABRIC_CRASH_AT: 'after_commit:2' },
  });
  const client = await realm.client();
  const answered = Promise.all(
    Array.from({ length: 50 }, (_, n) => client.ask(`counter/c${n % 5}`, { type: 'inc' }, PATIENT)),
  );
  const dying = Promise.all(
    Array.from({ length: 50 }, () => client.ask('counter/d', { type: 'inc' }, PATIENT)),
  );
  await realm.exited();
  await realm.up({ INFRAFABRIC_CRASH_AT: '' });
  await Promise.all([answered, dying]);
  const { reply } = await client.ask('counter/d', { type: 'get' }, PATIENT);
  t.deepEqual(reply, { n: 50 });
});

test('a bad ask in a batch costs the others nothing, and what is no batch is refused whole', async (t) => {
  const { connection: nc } = await t.context.realm.client();
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const rows = [
    '["counter.a","1",{"type":"inc"}]',
    '["counter.a","2",{"type":"__proto__","__proto__":{"x":1}}]',
    '["counter.a","3",null]',
    '["counter.a","4",[1]]',
    `["counter.a","5",{"type":"inc","x":${deep}}]`,
    '["counter.*","6",{"type":"inc"}]',
    '["counter.a b","7",{"type":"inc"}]',
    `["counter.a","${'i'.repeat(600)}",{"type":"inc"}]`,
    '["counter.a","9",{"type":"xstate.init"}]',
    '["counter.a","10",{"type":"inc"},"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]',
  ];
  const { answers } = await askBatch(nc, 'if.asks.0.counter', `[${rows.join()}]`, rows.length);
  t.deepEqual(
    answers.map(({ error, reply }) => error?.code ?? reply),
    [
      { n: 1 },
      'bad_body',
      'bad_event',
      'bad_event',
      'bad_body',
      'bad_subject',
      'bad_subject',
      'bad_header',
      'reserved_event',
      { n: 2 },
    ],
  );
  for (const body of [
    '',
    'x',
    '{}',
    '[]',
    'null',
    '[1]',
    '[["counter.a"]]',
    '[["counter.a","",{}]]',
    '[["counter.a",1,{}]]',
    '[["secret.s","1",{"type":"inc"}]]',
    '[["counter.a","1",{"type":"inc"},5]]',
    `[${Array.from({ length: 513 }, (_, n) => `["counter.a","m${n}",{"type":"inc"}]`).join()}]`,
    `[["counter.a","1",{"type":"inc","x":"${'x'.repeat(70_000)}"}]]`,
    Buffer.from([0xff, 0xfe, 0x5b]),
  ]) {
    const { whole } = await askBatch(nc, 'if.asks.0.counter', body, 1);
    t.regex(whole?.error?.code ?? '', /^bad_(batch|body)$/, String(body).slice(0, 60));
  }
  const { answers: after } = await askBatch(nc, 'if.asks.0.counter', '[["counter.a","z",{"type":"get"}]]', 1);
  t.deepEqual(after[0]?.reply, { n: 2 }, 'nothing of what was refused was done');
});

test('a node lives through garbage on the batch door', async (t) => {
  const { connection: nc } = await t.context.realm.client();
  const cell = fc.oneof(
    fc.string(),
    fc.jsonValue(),
    fc.constantFrom('counter.garbage', 'counter.waste', 'secret.x', '', { type: 'inc' }, { type: 'get' }),
  );
  const body = fc.oneof(
    fc.array(fc.array(cell, { maxLength: 5 }), { maxLength: 20 }).map((rows) => JSON.stringify(rows)),
    fc.uint8Array({ maxLength: 200 }),
    fc.json(),
  );
  let sent = 0;
  await fc.assert(
    fc.asyncProperty(body, async (bytes) => {
      sent += 1;
      nc.publish('if.asks.0.counter', bytes, { reply: createInbox() });
      if (sent % 100 === 0) await nc.flush();
    }),
    { numRuns: cases(3_000, 800) },
  );
  const { answers } = await askBatch(nc, 'if.asks.0.counter', '[["counter.fresh","1",{"type":"inc"}]]', 1);
  t.deepEqual(answers[0]?.reply, { n: 1 });
});

test('a connection that may not send batches asks one by one', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'if-batches-'));
  const port = await freePort();
  const permissions = '{ publish: ["if.ask.>", "if.api.>"], subscribe: "_INBOX.>" }';
  writeFileSync(
    join(folder, 'nats.conf'),
    `listen: "127.0.0.1:${port}"
     authorization { users: [ { user: node, password: n }, { user: agent, password: a, permissions: ${permissions} } ] }`,
  );
  const server = spawn(await locateServer(process.env), ['-c', join(folder, 'nats.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    for await (const line of createInterface(server.stderr)) if (line.includes('Server is ready')) break;
    const node = await natsConnect({ port, user: 'node', pass: 'n' });
    const status = { ok: true, nodeId: 'n', shardCount: 1, shards: [] };
    node.subscribe('if.api.status', {
      callback: (_, m) => {
        m.respond(JSON.stringify(status));
      },
    });
    const answer = { ok: true, reply: {}, value: {}, commit: { shard: 0, index: 0 } };
    const subjects: string[] = [];
    node.subscribe('if.ask.>', {
      callback: (_, m) => {
        subjects.push(m.subject);
        m.respond(JSON.stringify(answer));
      },
    });
    await node.flush();
    await using client = await connect({
      url: `nats://127.0.0.1:${port}`,
      nats: { user: 'agent', pass: 'a' },
      attemptMs: 60_000,
    });
    t.is(client.shards, 1);
    const ask = (n: number) => client.ask(`counter/k${n}`, { type: 'inc' }, { timeoutMs: 120_000 });
    await Promise.all([0, 1, 2].map(ask));
    await Promise.all([3, 4, 5].map(ask));
    t.is(subjects.length, 6);
    t.true(subjects.slice(3).every((subject) => subject.startsWith('if.ask.0.counter.')));
    await node.close();
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
    rmSync(folder, { recursive: true });
  }
});

test('an id that the log would give back as another is refused', async (t) => {
  const { connection: nc } = await t.context.realm.client();
  const rows = ['["counter.h","\\ud800",{"type":"inc"}]', '["counter.h","t",{"type":"inc"},"\\udfff"]'];
  const ask = () => askBatch(nc, 'if.asks.0.counter', `[${rows.join()}]`, rows.length);
  for (const { answers } of [await ask(), await ask()]) {
    t.deepEqual(
      answers.map(({ error }) => error?.code),
      ['bad_header', 'bad_header'],
    );
  }
  const { answers } = await askBatch(nc, 'if.asks.0.counter', '[["counter.h","g",{"type":"inc"}]]', 1);
  t.deepEqual(answers[0]?.reply, { n: 1 }, 'asked twice under one id, nothing counted twice');
});

test('each ask of a batch is measured by its own body', async (t) => {
  await using realm = await TestRealm.start({
    config: { kinds: KINDS, limits: { bodyBytesMax: '1KiB' } },
  });
  const { connection: nc } = await realm.client();
  const row = (n: number, chars: number): unknown[] => [
    'counter.b',
    `id-${n}`,
    { type: 'inc', x: '€'.repeat(chars) },
  ];
  const rows = [row(1, 3_000), row(2, 1), row(3, 334), row(4, 335)];
  const { answers } = await askBatch(nc, 'if.asks.0.counter', JSON.stringify(rows), rows.length);
  t.deepEqual(
    answers.map(({ error, reply }) => error?.code ?? reply),
    ['body_too_big', { n: 1 }, { n: 2 }, 'body_too_big'],
  );
});

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A batch as a node gets it, over a connection that keeps what it publishes and takes no more than the server would. */
function batchOf(rows: readonly unknown[], payloadMax: number): { asks: readonly Ask[]; sent: string[] } {
  const sent: string[] = [];
  const nc = {
    info: { max_payload: payloadMax },
    publish(_: string, body: Uint8Array) {
      if (body.byteLength > payloadMax) throw new Error('max_payload size exceeded');
      sent.push(Buffer.from(body).toString());
    },
  } as unknown as NatsConnection;
  const data = Buffer.from(JSON.stringify(rows));
  const message = { subject: 'if.asks.0.counter', reply: '_INBOX.a', data } as unknown as Msg;
  return { asks: asksOf(message, nc, new Subjects('if', 1), silent), sent };
}

test('no ask of a batch is to another type than its subject names, which is what rights are given for', (t) => {
  for (const target of [
    'secret.s',
    'counter.secret.s',
    'counter.a.secret.s',
    'counter.counter.a',
    'counter.a.',
  ]) {
    t.throws(
      () =>
        batchOf(
          [
            ['counter.a', '1', { type: 'get' }],
            [target, '2', { type: 'get' }],
          ],
          1_024,
        ),
      {
        code: 'bad_batch',
      },
    );
  }
  const { asks } = batchOf([['counter.a%2Eb', '1', { type: 'get' }]], 1_024);
  t.deepEqual(
    asks.map(({ subject }) => addressOfTail(subject)),
    ['counter/a.b'],
  );
});

test('answers of a batch leave in as many messages as the server takes', async (t) => {
  const rows = Array.from({ length: 200 }, (_, n) => ['counter.a', `m${n}`, { type: 'get' }]);
  const { asks, sent } = batchOf(rows, 16 * 1024);
  const answer = JSON.stringify({ ok: true, reply: '\u20ac'.repeat(300) });
  for (const [n, ask] of asks.entries()) {
    // One that no message can hold is refused in its place, and costs the others nothing.
    ask.respond(n === 50 ? JSON.stringify('x'.repeat(20_000)) : answer);
  }
  await new Promise(setImmediate);
  const answers = sent.flatMap((text) => JSON.parse(text) as [number, object][]);
  t.deepEqual(
    answers.map(([n]) => n),
    rows.map((_, n) => n),
  );
  t.like(answers[50]?.[1], { ok: false, error: { code: 'reply_too_big', retryable: false } });
  t.true(sent.length < 40, `${sent.length} messages`);
});

test('long asks of batches count for what they take while they wait', (t) => {
  const queue = new ItemQueue();
  const event = { type: 'inc', x: Array.from({ length: 20_000 }, () => ({})) };
  const [long] = batchOf([['counter.a', '1', event]], 1024 * 1024).asks;
  const [short] = batchOf([['counter.a', '2', { type: 'inc' }]], 1024 * 1024).asks;
  if (long === undefined || short === undefined) throw new Error('no ask');
  for (const ask of [long, short]) {
    queue.push({ kind: 'ask', ask, address: 'counter/a', key: undefined, also: undefined });
  }
  t.true(queue.outsideBytes > 20_000 * 64, `${queue.outsideBytes} bytes`);
  queue.take(1);
  t.true(queue.outsideBytes < 100, 'what is small is bounded by its number');
  queue.clear();
  t.is(queue.outsideBytes, 0);
});

test('retries that wait with their message are bounded by what they take', (t) => {
  const queue = new ItemQueue();
  const deps = {
    shard: 0,
    addressOf: () => 'counter/a',
    limits: { queueMax: 10_000 },
    logger: silent,
  };
  const state = { shardOf: () => 0, dedupe: new Dedupe(100, 1), localMail: new Map() };
  const options = { deps, queue, state: () => state, closedFor: () => undefined, queued() {} };
  const doors = new Doors(options as unknown as DoorsOptions);
  const refused: string[] = [];
  const ask = (id: string, body: Uint8Array): Ask => ({
    subject: 'counter.a',
    body,
    id,
    from: 'f',
    trace: undefined,
    contentType: undefined,
    respond: (answer) => void refused.push((JSON.parse(String(answer)) as Answered).error?.code ?? ''),
  });
  const long = new Uint8Array(1024 * 1024);
  const flood = (): void => {
    for (let n = 0; n < 10; n += 1) {
      doors.offer(ask(`m${n}`, new Uint8Array(2)));
      for (let again = 0; again < 16; again += 1) doors.offer(ask(`m${n}`, long));
    }
  };
  flood();
  t.is(queue.length, 10);
  t.deepEqual(refused, Array(160 - 64).fill('overloaded'));
  doors.clear({ code: 'shard_moved', message: '', retryable: true });
  refused.length = 0;
  flood();
  t.is(refused.length, 160 - 64, 'who was told gives the room back');
});

test('of a batch whose askers gave up nothing is kept, whatever their patience was', async (t) => {
  const published: string[] = [];
  const nc = {
    subscribe: () => ({ unsubscribe() {} }),
    publish: (subject: string) => void published.push(subject),
    status: async function* () {},
    isClosed: () => false,
  } as unknown as NatsConnection;
  await using desk = new RequestDesk(nc, {
    outstandingMax: 10,
    attemptMs: 60_000,
    batching: true,
    astray: () => undefined,
  });
  for (let turn = 0; turn < 20; turn += 1) {
    const caller = new AbortController();
    const asked = [1, 2].map((n) =>
      desk.request({
        subjects: { straight: 'unused', anyNode: 'unused' },
        message: () => ({ body: new Uint8Array(), headers: headers() }),
        batch: { subject: 'together', row: `["counter.a","${turn}.${n}",{}]`, headers: headers() },
        timeoutMs: 3_600_000,
        signal: caller.signal,
        read: () => ({ ok: true, value: n }),
      }),
    );
    await Promise.resolve();
    t.is(desk.batchesOut, 1);
    caller.abort();
    for (const ask of asked) await t.throwsAsync(ask, { code: 'ask_aborted' });
    t.is(desk.batchesOut, 0);
  }
  t.deepEqual(published, Array(20).fill('together'));
});

test('asks that fit the server alone but not together go alone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'if-batches-'));
  const port = await freePort();
  writeFileSync(join(folder, 'nats.conf'), `listen: "127.0.0.1:${port}"\nmax_payload: 8192\n`);
  const server = spawn(await locateServer(process.env), ['-c', join(folder, 'nats.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    for await (const line of createInterface(server.stderr)) if (line.includes('Server is ready')) break;
    const node = await natsConnect({ port });
    const subjects = new Set<string>();
    node.subscribe('if.>', {
      callback: (_, m) => {
        const isStatus = m.subject === 'if.api.status';
        if (!isStatus) subjects.add(m.subject);
        const answer = { ok: true, value: {}, commit: { shard: 0, index: 0 } };
        m.respond(JSON.stringify(isStatus ? { ok: true, nodeId: 'n', shardCount: 1, shards: [] } : answer));
      },
    });
    await node.flush();
    await using client = await connect({ url: `nats://127.0.0.1:${port}`, attemptMs: 60_000 });
    const event = { type: 'inc', x: 'x'.repeat(800) };
    await Promise.all(Array.from({ length: 20 }, (_, n) => client.ask(`counter/k${n}`, event)));
    t.is(subjects.size, 20);
    await node.close();
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
    rmSync(folder, { recursive: true });
  }
});
