/** Whatever comes through a door gets a typed answer, stops nothing, and leaves bystanders alone (P6, P7). */
import test from 'ava';
import { decodeBody, encode, MSGPACK } from '#runtime/bus/codec';
import { newSeed, signingKey, signMessage } from '#runtime/edge/sign';
import { stampMessage } from '#runtime/edge/stamp';
import type { Random } from '#runtime/shard/ports';
import { seededRandom, type TestRealm, testRealm } from '#runtime/testing/testing';
import { cases } from '../rig/effort.ts';
import { worker } from '../rig/kernel-machines.ts';

const ALL = 100_000;
/** Where all tests run, all of these cases do. */
const CASES = process.env['TEST_ALL'] === '1' ? ALL : cases(ALL, 10_000);
const BATCH = 500;
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);

const key = signingKey(new Uint8Array(32).fill(5));

function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random.next() * from.length)] as T;
}

function bytes(random: Random, max: number): Uint8Array {
  return Uint8Array.from({ length: Math.floor(random.next() * max) }, () => Math.floor(random.next() * 256));
}

function nested(depth: number): string {
  return `{"type":"keep","value":${'['.repeat(depth)}${']'.repeat(depth)}}`;
}

const VALUES: readonly unknown[] = [
  null,
  0,
  -0,
  1e308,
  '',
  'x',
  '\u0000',
  '🜂',
  [],
  {},
  true,
  { constructor: 1, toJSON: 2 },
  { toString: null },
  [[]],
];
const TYPES: readonly unknown[] = [
  'note',
  'get',
  'keep',
  'post',
  'later',
  'spawn',
  'toKid',
  'throw',
  'cancel',
  'effect',
  'move',
  'start',
  'halt',
  'postMany',
  'finish',
  'fail',
  'call',
  'unheard',
  '',
  7,
  null,
  'xstate.done.actor.call',
  'child.started',
  'config.apply',
  '*',
  'x'.repeat(200),
];
const RAW: readonly string[] = [
  '',
  '{',
  'null',
  '[]',
  '"inc"',
  '{"type":1}',
  '{"type":"get"',
  '{"__proto__":{"a":1},"type":"get"}',
  '{"type":"get","a":"\\ud800"}',
  nested(50),
  nested(5_000),
  '{"type":"keep","value":1e999}',
  '{"performative":"inform"}',
  '\ufeff{"type":"get"}',
  '{"type":"get"}x',
  // The parser's message cuts it in the middle of a character.
  '{"type":"later","to":"worker/x.y","id":null,"event":{},"ms":null,"child":{},"n":\t🜂","value":"x"}',
];

function event(random: Random): Record<string, unknown> {
  return {
    type: pick(random, TYPES),
    to: pick(random, [
      'worker/x',
      'worker/y~z',
      'if.>',
      'a/*',
      '',
      5,
      null,
      'worker/x.y',
      ['worker/q', 'no'],
    ]),
    id: pick(random, ['k1', 'bad id', '', 3, null, '>']),
    event: pick(random, [{ type: 'note', n: 1 }, { type: 3 }, null, 'x', {}]),
    delay: pick(random, [undefined, 5, -1, 1e300, 'x', null]),
    ms: pick(random, [1, -1, 'x', null, 1e300]),
    child: pick(random, [
      null,
      {},
      { to: 'worker/x', childId: 'c', machine: 'worker@1' },
      { to: 'x' },
      { to: 'worker/x', machine: 'no@9' },
    ]),
    n: pick(random, VALUES),
    value: pick(random, VALUES),
  };
}

function envelope(random: Random, now: number): object {
  const stamped = stampMessage(
    {
      performative: 'inform',
      from: 'if://session/s',
      to: ['if://sealed/a'],
      conversation: 'c',
      content: pick(random, VALUES) as never,
    },
    {
      id: `e${random.next()}`,
      now: now + pick(random, [0, 0, -400_000, 400_000]),
      seq: Math.floor(random.next() * 50),
    },
  );
  const signed =
    random.next() < 0.8 ? signMessage(stamped, random.next() < 0.7 ? key : signingKey(newSeed())) : stamped;
  const change = pick(random, [
    {},
    {},
    { seq: -1 },
    { conversation: 'other' },
    { to: ['if://worker/b'] },
    { extra: 1 },
    { ttl: 'x' },
  ]);
  return { ...signed, ...change };
}

interface Case {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly options: { id?: string; from?: string; contentType?: string; trace?: string };
}

function oneCase(random: Random, realm: TestRealm): Case {
  const contentType = pick(random, [undefined, 'application/json', MSGPACK, 'text/plain', '\u0000']);
  const isMsgpack = contentType === MSGPACK;
  const form = random.next();
  let body: Uint8Array;
  if (form < 0.15) body = bytes(random, 60);
  else if (form < 0.3) body = Buffer.from(pick(random, RAW));
  else if (form < 0.32) body = Buffer.from(JSON.stringify({ type: 'keep', value: 'y'.repeat(40_000) }));
  else if (form < 0.34)
    body = isMsgpack ? Buffer.from([0xdd, 0x01, 0xff, 0xff, 0xff]) : Buffer.alloc(20_000, '[');
  else if (form < 0.37) {
    const made = envelope(random, realm.clock.now());
    body = isMsgpack ? encode(made) : Buffer.from(JSON.stringify(made));
  } else {
    const made = event(random);
    body = isMsgpack ? encode(made) : Buffer.from(JSON.stringify(made));
    const damage = random.next();
    if (damage < 0.1) body = body.subarray(0, Math.floor(random.next() * body.length));
    else if (damage < 0.2) body[Math.floor(random.next() * body.length)] = Math.floor(random.next() * 256);
  }
  const address = pick(random, [
    'worker/a',
    'worker/b',
    `worker/w${Math.floor(random.next() * 2_000)}`,
    'sealed/a',
    'closed/a',
    'absent/a',
    'nobody/a',
    'worker/a~k1',
  ]);
  const long = realm.bus.subjects.askShard(address);
  const subject =
    random.next() < 0.8
      ? long
      : pick(random, [
          realm.bus.subjects.ask(address),
          'if.ask',
          'if.ask.0',
          'if.ask..',
          'if.ask.*.*',
          'if.ask.>',
          'if.ask.0.worker.a%2e',
          'if.ask.0.worker.ä',
          'if.ask.9.worker.a',
          'if.ask.1.worker.a',
          'if.ask.0.worker.a',
          'if.ask.0.WORKER.a',
          `if.ask.0.worker.${'x'.repeat(300)}`,
          'if.ask.0.worker.',
          'x.y.z.a.b',
          'if.ask.0.worker.%2E',
        ]);
  const text = (): string | undefined =>
    pick(random, [
      undefined,
      undefined,
      undefined,
      undefined,
      `i${Math.floor(random.next() * 1e6)}`,
      `j${Math.floor(random.next() * 1e3)}`,
      random.next() < 0.1 ? 'x'.repeat(2_000) : 'id',
      '\u0000',
      'ü',
    ]);
  const [id, from, trace] = [text(), text(), text()];
  return {
    subject,
    body,
    options: {
      ...(contentType !== undefined && { contentType }),
      ...(id !== undefined && { id }),
      ...(from !== undefined && { from }),
      ...(trace !== undefined && { trace }),
    },
  };
}

test(`every one of ${CASES} hostile messages gets a typed answer, and a bystander is served throughout (P1, P6)`, async (t) => {
  t.log(`FUZZ_SEED=${SEED}`);
  const random = seededRandom(SEED);
  await using realm = await testRealm({
    machines: { worker },
    kinds: {
      worker: {},
      bystander: { machine: 'worker' },
      sealed: { machine: 'worker', door: 'signed' },
      closed: { machine: 'worker', door: 'closed' },
      absent: { machine: 'worker', spawnOnMessage: false },
    },
    shards: 2,
    bytesMax: 256 * 1024,
    keys: [
      {
        kid: key.kid,
        owner: 'session/s',
        publicKey: Buffer.from(key.publicKey).toString('base64url'),
        status: 'active',
        addedAt: 0,
      },
    ],
    limits: { bodyBytesMax: 32_768, queueMax: 2 * BATCH, snapshotEveryEntries: 20_000 },
    drivers: { http: () => ({ ok: true }) },
  });
  const codes = new Map<string, number>();
  const count = (code: string): void => void codes.set(code, (codes.get(code) ?? 0) + 1);
  let sent = 0;
  for (let done = 0; done < CASES; done += BATCH) {
    const answers: Promise<[Case, Uint8Array]>[] = [];
    for (let i = 0; i < BATCH; i++) {
      const made = oneCase(random, realm);
      if (random.next() < 0.25) {
        const shard = random.next() < 0.5 ? 0 : 1;
        const subject = pick(random, [
          `if.q.${shard}.worker.a`,
          `if.q.${shard}.worker.b`,
          `if.q.${shard}.UPPER.x`,
          `if.q.${shard}.worker.%2e`,
          realm.bus.subjects.mail(shard, 1 - shard),
          realm.bus.subjects.mail(shard, 77),
        ]);
        realm.bus.publish(shard, subject, made.body, made.options);
        sent += 1;
      } else
        answers.push(realm.request(made.subject, made.body, made.options).then((reply) => [made, reply]));
    }
    const bystander = realm.ask('bystander/b', { type: 'note', n: done });
    for (const [made, reply] of await Promise.all(answers)) {
      const answer = decodeBody(reply, made.options.contentType) as { ok: boolean; error?: { code: string } };
      count(answer.ok ? 'ok' : (answer.error?.code ?? 'untyped'));
    }
    t.deepEqual((await bystander).reply, { count: done / BATCH + 1 });
    await realm.advance(50);
  }
  await realm.advance('1h');
  t.is(codes.get('untyped'), undefined);
  t.is(
    codes.get('internal'),
    undefined,
    JSON.stringify(realm.log().find((e) => e.error?.code === 'internal')),
  );
  t.true(codes.size > 12, [...codes].join(' '));
  t.log([...codes].map(([code, n]) => `${code} ${n}`).join(', '), `sends ${sent}`);
  for (const shard of [0, 1])
    t.like(realm.node.shard(shard).status(), { phase: 'running', queued: 0, outbox: 0 });
  realm.crash();
  await realm.restart();
  t.truthy(await realm.ask('bystander/b', { type: 'get' }));
});
