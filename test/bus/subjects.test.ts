import { jetstream } from '@nats-io/jetstream';
import test from 'ava';
import fc from 'fast-check';
import { ensureStreams } from '#runtime/bus/streams';
import { addressOfTail, addressTokens, encodeId, Subjects } from '#runtime/bus/subjects';
import { clientSubjects } from '#runtime/client/subjects';
import { FabricError } from '#schemas/fabric-error';
import { cases } from '../rig/effort.ts';
import { TestServer } from '../rig/nats.ts';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const FIRST = `${LETTERS}${LETTERS.toUpperCase()}0123456789`;
const characters = (set: string, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...set), maxLength });
const type = fc
  .tuple(fc.constantFrom(...LETTERS), characters(`${LETTERS}0123456789-`, 30))
  .map(([first, rest]) => first + rest);
const id = fc
  .tuple(fc.constantFrom(...FIRST), characters(`${FIRST}._@+=~:-`, 199))
  .map(([first, rest]) => first + rest);
const address = fc.tuple(type, id).map(([t, i]) => `${t}/${i}`);

const subjects = new Subjects('if', 16);

function codeOf(work: () => unknown): string {
  try {
    return `ok: ${String(work())}`;
  } catch (thrown) {
    return thrown instanceof FabricError ? thrown.code : `untyped: ${String(thrown)}`;
  }
}

test('an address comes back from every subject that carries it, and has one spelling', (t) => {
  fc.assert(
    fc.property(address, (plain) => {
      for (const subject of [
        subjects.ask(plain),
        subjects.askShard(plain),
        subjects.in(plain),
        subjects.dead(plain),
      ]) {
        t.is<string, string>(addressOfTail(subject), plain);
        t.is(
          `${subject.split('.').slice(0, -2).join('.')}.${addressTokens(addressOfTail(subject))}`,
          subject,
        );
      }
    }),
    { numRuns: cases(2_000, 400) },
  );
  t.is(subjects.ask('task/P0.1.1'), 'if.ask.task.P0%2E1%2E1');
  t.is(subjects.event('task/P0.1', 'done.late'), 'if.ev.task.P0%2E1.done.late');
});

test('subject tricks are bad_subject: wildcards, empty tokens, other spellings, unicode, length', (t) => {
  const long = 'x'.repeat(201);
  const tails = [
    '',
    '.',
    'counter.',
    '.k1',
    '..',
    'counter.*',
    '*.k1',
    'counter.>',
    '>',
    'Counter.k1',
    '1.k1',
    'counter.k1%2e5',
    'counter.k1%252E5',
    'counter.k1%',
    'counter.%2Ek1',
    'counter.k 1',
    'counter.k\n1',
    'counter.кот',
    'counter.k1\u0000',
    `counter.${long}`,
    `${'t'.repeat(32)}.k1`,
    'counter.%41',
    'counter.a/b',
    'counter.$JS',
  ];
  for (const tail of tails)
    t.is(
      codeOf(() => addressOfTail(`if.ask.${tail}`)),
      'bad_subject',
      tail,
    );
  t.is(
    codeOf(() => addressOfTail('')),
    'bad_subject',
  );
  t.is(
    codeOf(() => addressOfTail(`if.ask.counter.${'x'.repeat(100_000)}`)),
    'bad_subject',
  );
  const addresses = [
    '',
    'counter',
    '/',
    'counter/',
    '/k1',
    'counter/*',
    'counter/a b',
    'counter/>',
    'a/b/c',
    `counter/${long}`,
  ];
  for (const plain of addresses) {
    for (const build of [
      () => subjects.ask(plain),
      () => subjects.in(plain),
      () => subjects.event(plain, 'x'),
    ]) {
      t.is(codeOf(build), 'bad_subject', plain);
    }
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      t.regex(
        codeOf(() => addressOfTail(`if.ask.${text}`)),
        /^(bad_subject|ok: [a-z][a-z0-9-]*\/[^%*> ]+)$/s,
      );
    }),
    { numRuns: cases(20_000, 2_000) },
  );
});

test('a refused subject is told again only in part', (t) => {
  const error = t.throws(() => addressOfTail('x'.repeat(10_000)), { instanceOf: FabricError });
  t.true(JSON.stringify(error?.toWire()).length < 1_000);
});

test('names of events cannot leave their place', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (name) => {
      const subject = subjects.event('counter/k1', `a${name}`);
      t.regex(subject, /^if\.ev\.counter\.k1(\.[A-Za-z0-9_-]+)+$/);
    }),
  );
  for (const name of ['', '.', '..', '*', '>', 'a..b', '.a']) {
    t.regex(subjects.event('counter/k1', name), /^if\.ev\.counter\.k1(\.[A-Za-z0-9_-]+)+$/, name);
  }
});

test('another prefix moves everything', (t) => {
  const other = new Subjects('lab-2', 4);
  t.deepEqual(other.streams, { log: 'LAB-2_LOG', inbox: 'LAB-2_IN', dead: 'LAB-2_DEAD' });
  t.true(Object.values(other.buckets).every((bucket) => bucket.startsWith('lab-2_')));
  t.is(other.in('counter/k1'), 'lab-2.in.counter.k1');
  t.true(other.isMail('lab-2.mail.1.2'));
  t.false(other.isMail('lab-2.mailbox.1.2'));
});

test('the server, the kernel and the client put every address into the same shard', async (t) => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const options = { replicas: 1, inboxBytesMax: 1 << 26, deadBytesMax: 1 << 20, logBytesMax: -1 };
  for (const shards of [1, 7, 16]) {
    const realm = new Subjects(`p${shards}`, shards);
    await ensureStreams(nc, realm, options);
    const addresses = [...new Set(fc.sample(address, 400))];
    const js = jetstream(nc);
    await Promise.all(addresses.map((plain) => js.publish(realm.in(plain), '')));
    await js.publish(realm.mail(0, 3), '');
    const client = clientSubjects(`p${shards}`);
    const expected = addresses.map((plain) => `p${shards}.q.${realm.shardOf(plain)}.${addressTokens(plain)}`);
    const consumer = await js.consumers.get(realm.streams.inbox);
    const stored: string[] = [];
    for await (const m of await consumer.consume()) {
      stored.push(m.subject);
      if (m.info.pending === 0) break;
    }
    t.deepEqual(stored.toSorted(), [...expected, realm.mail(0, 3)].toSorted(), 'mail is not rewritten');
    for (const plain of addresses) t.is(client.askShard(plain, shards), realm.askShard(plain));
  }
});

test('ids without a dot are written as they are', (t) => {
  t.is(encodeId('k1'), 'k1');
  t.is(encodeId('a.b.c'), 'a%2Eb%2Ec');
});
