/** The doors of a real node on a real server: what only the wire can do (subjects, headers, bodies, the inbox stream). */
import { headers } from '@nats-io/nats-core';
import test from 'ava';
import { encode } from '#runtime/bus/codec';
import { connectBus } from '#runtime/bus/connection';
import { seededRandom } from '#runtime/testing/testing';
import { cases } from '../rig/effort.ts';
import { silentLogger } from '../rig/nats.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';

const CASES = cases(2_000, isEveryday ? 400 : 800);
const BATCH = 200;
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);

const SUBJECTS = [
  'if.ask.counter.a',
  'if.ask.0.counter.a',
  'if.ask.1.counter.a',
  'if.ask.7.counter.a',
  'if.ask.x.counter.a',
  'if.ask.counter',
  'if.ask.0.UPPER.a',
  'if.ask.counter.%2E',
  'if.ask.counter.%2e',
  'if.ask.counter.ä',
  `if.ask.counter.${'x'.repeat(400)}`,
  'if.ask.a.b.c.d.e',
  'if.in.counter.a',
  'if.in.UPPER.a',
  'if.in.counter.ä',
  'if.in.nobody.a',
  'if.mail.0.1',
  'if.mail.1.0',
  'if.mail.0.0',
  'if.mail.1.99',
];
const BODIES: readonly Uint8Array[] = [
  ...[
    '',
    '{',
    '{"type":"inc"}',
    '{"type":"add","by":"x"}',
    '{"type":"add"}',
    '[1]',
    'null',
    '{"type":"inc","constructor":1,"toJSON":2}',
  ].map((s) => Buffer.from(s)),
  Buffer.alloc(300_000, '['),
  Buffer.alloc(600_000, 'x'),
  Buffer.from([0xdd, 0x01, 0xff, 0xff, 0xff]),
  encode({ type: 'inc' }),
  encode({ source: 0, index: 3, prev: -1, items: [{ n: 0, mail: { to: 'x', from: 'y' } }] }),
  encode({ source: 1, index: 1e9, prev: 7, items: [] }),
];
const TYPES = [undefined, 'application/json', 'application/msgpack', 'text/html', 'ü'];

test(`${CASES} hostile messages over the wire stop nothing, and a bystander is served throughout (P6)`, async (t) => {
  t.log(`FUZZ_SEED=${SEED}`);
  const random = seededRandom(SEED);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T;
  await using realm = await TestRealm.start({
    config: {
      shards: 2,
      durability: 'relaxed',
      kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } },
    },
  });
  const client = await realm.client();
  const nc = await connectBus({ url: realm.url, token: realm.token, name: 'fuzz', logger: silentLogger });
  let served = 0;
  const codes = new Set<string>();
  for (let done = 0; done < CASES; done += BATCH) {
    const asked: Promise<void>[] = [];
    for (let i = 0; i < BATCH; i++) {
      const subject = pick(SUBJECTS);
      const hdrs = headers();
      const type = pick(TYPES);
      if (type !== undefined) hdrs.set('Content-Type', type);
      if (random.next() < 0.3) hdrs.set('Nats-Msg-Id', pick(['a', `b${done + i}`, 'x'.repeat(3_000)]));
      if (random.next() < 0.3) hdrs.set('If-From', pick(['a', 'ü', 'x'.repeat(3_000)]));
      const body = pick(BODIES);
      if (
        !subject.startsWith('if.ask.') ||
        subject === 'if.ask.7.counter.a' ||
        subject === 'if.ask.x.counter.a'
      ) {
        nc.publish(subject, body, { headers: hdrs });
        continue;
      }
      asked.push(
        nc.request(subject, body, { headers: hdrs, timeout: 60_000 }).then(({ data }) => {
          const code = /"code":"(\w+)"|code.(\w+)/.exec(Buffer.from(data).toString('latin1'))?.[1];
          codes.add(code ?? 'ok');
        }),
      );
    }
    const answer = await client.ask('counter/bystander', { type: 'inc' });
    served += 1;
    t.deepEqual(answer.reply, { n: served });
    await Promise.all(asked);
  }
  t.false(codes.has('internal'));
  t.log([...codes].join(', '));
  await nc.close();
  await realm.kill();
  await realm.up();
  t.deepEqual((await client.ask('counter/bystander', { type: 'get' })).reply, { n: served });
});
