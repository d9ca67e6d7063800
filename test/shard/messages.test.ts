import test from 'ava';
import { counter } from '#machines/counter';
import { encode } from '#runtime/bus/codec';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import { worker } from '../rig/kernel-machines.ts';

const machines = { counter: counter.machine, worker };

async function seen(realm: TestRealm, address: string): Promise<unknown> {
  return ((await realm.actor(address)).context as { seen: unknown[] }).seen;
}

/** An address of a kind in a shard. */
function inShard(realm: TestRealm, type: string, shard: number): string {
  for (let n = 0; ; n++) if (realm.bus.subjects.shardOf(`${type}/n${n}`) === shard) return `${type}/n${n}`;
}

test('an ask is answered with reply, state value and commit, after its commit is stored (P2)', async (t) => {
  await using realm = await testRealm({ machines });
  const answer = await realm.ask('counter/a', { type: 'inc' });
  t.deepEqual(answer.reply, { n: 1 });
  const [entry] = realm.log('counter/a');
  t.like(entry, {
    index: answer.commit.index,
    shard: answer.commit.shard,
    reply: { n: 1 },
    machine: 'counter@1',
  });
});

test('asks of one tick share a commit and are stepped in the order they came (P4, P5)', async (t) => {
  await using realm = await testRealm({ machines });
  const answers = await Promise.all([1, 2, 3, 4].map(() => realm.ask('counter/a', { type: 'inc' })));
  t.deepEqual(
    answers.map((a) => a.reply),
    [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }],
  );
  t.is(new Set(answers.map((a) => a.commit.index)).size, 1);
});

test('an ask under a known id is answered as the first time, before and after a restart (P1)', async (t) => {
  await using realm = await testRealm({ machines });
  const first = await realm.ask('counter/a', { type: 'inc' }, { id: 'm1', from: 'me' });
  const twins = await Promise.all(
    [1, 2].map(() => realm.ask('counter/a', { type: 'inc' }, { id: 'm2', from: 'me' })),
  );
  t.deepEqual(twins[0], twins[1]);
  realm.crash();
  await realm.restart();
  t.deepEqual(await realm.ask('counter/a', { type: 'inc' }, { id: 'm1', from: 'me' }), first);
  t.deepEqual((await realm.ask('counter/a', { type: 'inc' }, { id: 'm1', from: 'you' })).reply, { n: 3 });
  t.deepEqual((await realm.ask('counter/b', { type: 'inc' }, { id: 'm1', from: 'me' })).reply, { n: 1 });
});

test('a send is stepped once, however often its id is stored (P1)', async (t) => {
  await using realm = await testRealm({ machines });
  for (let i = 0; i < 3; i++) realm.send('worker/a', { type: 'note', n: 1 }, { id: 's1' });
  realm.send('worker/a', { type: 'note', n: 2 });
  await realm.idle();
  t.deepEqual(await seen(realm, 'worker/a'), [1, 2]);
});

test('sends wait in the inbox while the realm is down, and are stepped in order when it is back (P1, P5)', async (t) => {
  await using realm = await testRealm({ machines, shards: 3 });
  realm.crash();
  for (let n = 0; n < 50; n++) realm.send(`worker/w${n % 3}`, { type: 'note', n });
  await realm.restart();
  for (const w of [0, 1, 2]) {
    t.deepEqual(
      await seen(realm, `worker/w${w}`),
      Array.from({ length: 50 }, (_, n) => n).filter((n) => n % 3 === w),
    );
  }
  realm.crash();
  await realm.restart();
  t.is(((await seen(realm, 'worker/w0')) as unknown[]).length, 17);
});

test('a send that lies in another shard than its actor lives in is a dead letter there, and begins no second actor', async (t) => {
  await using realm = await testRealm({ machines, shards: 2 });
  const address = inShard(realm, 'counter', 0);
  await realm.ask(address, { type: 'inc' });
  const [, id] = address.split('/');
  realm.bus.publish(1, `if.q.1.counter.${id}`, encode({ type: 'inc' }), {
    id: 's1',
    contentType: 'application/msgpack',
  });
  await realm.idle();
  t.deepEqual(
    realm.bus.dead.map(({ actor, shard, error }) => [actor, shard, error.code]),
    [[address, 1, 'wrong_shard']],
  );
  t.deepEqual((await realm.ask(address, { type: 'get' })).reply, { n: 1 });
  realm.crash();
  await realm.restart();
  t.deepEqual((await realm.ask(address, { type: 'inc' }, { id: 's1' })).reply, { n: 2 });
});

test('the first mail of an actor brings a kind with spawnOnMessage to life', async (t) => {
  await using realm = await testRealm({ machines, shards: 2 });
  await realm.given('worker/a', [{ type: 'postMany', to: ['counter/x', 'worker/b'], n: 5 }]);
  t.deepEqual(await seen(realm, 'worker/b'), [5]);
  realm.crash();
  await realm.restart();
  t.deepEqual(await seen(realm, 'worker/b'), [5]);
});

test('mail crosses shards once and in order, through lost, doubled and unacknowledged bundles (M1, M2)', async (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    let n = seed;
    await using realm = await testRealm({
      machines,
      shards: 3,
      fate: ({ kind }) => {
        if (kind !== 'mail') return 'ok';
        n = (n * 16_807) % 2_147_483_647;
        return (['ok', 'lost', 'unacked', 'twice', 'refused'] as const)[n % 5] ?? 'ok';
      },
    });
    const to = inShard(realm, 'worker', 1);
    const from = inShard(realm, 'worker', 0);
    for (let i = 0; i < 40; i++) await realm.ask(from, { type: 'postMany', to: [to], n: i });
    await realm.advance('5m');
    t.deepEqual(
      await seen(realm, to),
      Array.from({ length: 40 }, (_, i) => i),
      `seed ${seed}`,
    );
    realm.crash();
    await realm.restart();
    await realm.advance('1m');
    t.is(((await seen(realm, to)) as unknown[]).length, 40);
  }
});

test('a bundle whose predecessor is missing is not taken, and is taken when it comes again behind it (M2)', async (t) => {
  await using realm = await testRealm({ machines, shards: 2 });
  const to = inShard(realm, 'worker', 1);
  const bundle = (index: number, prev: number, n: number) =>
    realm.bus.publish(
      1,
      realm.bus.subjects.mail(1, 0),
      encode({
        source: 0,
        index,
        prev,
        items: [{ n: 0, mail: { to, from: 'worker/x', event: { type: 'note', n } } }],
      }),
    );
  bundle(9, 5, 2);
  bundle(5, -1, 1);
  bundle(9, 5, 2);
  bundle(5, -1, 1);
  bundle(9, 5, 2);
  await realm.idle();
  t.deepEqual(await seen(realm, to), [1, 2]);
});

test('mail that no shard writes is a dead letter and stops nothing, restart included (P6)', async (t) => {
  await using realm = await testRealm({ machines, shards: 2 });
  const foreign = inShard(realm, 'worker', 0);
  const bad: unknown[] = [
    1,
    null,
    'x',
    { source: 0, index: 0, prev: -1 },
    { source: 0, index: 0, prev: -1, items: [null] },
    {
      source: 0,
      index: 0,
      prev: -1,
      items: [{ n: 0, mail: { to: foreign, from: 'a/b', event: { type: 'note' } } }],
    },
    { source: 0, index: 0, prev: -1, items: [{ n: 0, mail: { to: 'no address', from: 'a/b', event: {} } }] },
    { source: 1, index: 0, prev: -1, items: [] },
  ];
  for (const body of bad) realm.bus.publish(1, realm.bus.subjects.mail(1, 0), encode(body));
  realm.bus.publish(1, realm.bus.subjects.mail(1, 0), Buffer.from([0xc1, 0xff]));
  await realm.idle();
  t.is(realm.dead().length, bad.length + 1);
  realm.crash();
  await realm.restart();
  t.is(realm.dead().length, bad.length + 1);
  t.truthy(await realm.ask(inShard(realm, 'counter', 1), { type: 'inc' }));
});

test('a send that names no actor is a dead letter that survives a crash right after its commit (P6)', async (t) => {
  await using realm = await testRealm({ machines });
  realm.crash('after_commit');
  realm.bus.publish(0, 'if.q.0.UPPER.x', Buffer.from('{"type":"inc"}'), { id: 'u1' });
  await realm.idle();
  t.true(realm.isCrashed);
  t.is(realm.dead().length, 0);
  await realm.restart();
  t.like(realm.dead()[0], { error: { code: 'bad_subject' } });
  t.is(Buffer.from(realm.dead()[0]?.body ?? []).toString(), '{"type":"inc"}');
});

test('every refusal of an ask has its code, and changes nothing', async (t) => {
  await using realm = await testRealm({
    machines,
    kinds: {
      worker: {},
      counter: { spawnOnMessage: false },
      inner: { machine: 'counter', door: 'closed' },
      sealed: { machine: 'worker', door: 'signed' },
    },
    limits: { bodyBytesMax: 1_000 },
  });
  const code = async (address: string, event: object, options = {}): Promise<unknown> =>
    await realm.ask(address, event, options).then(
      () => 'ok',
      (error: { code: string }) => error.code,
    );
  t.is(await code('nobody/a', { type: 'inc' }), 'unknown_kind');
  t.is(await code('counter/a', { type: 'inc' }), 'unknown_actor');
  t.is(await code('worker/a~b', { type: 'get' }), 'unknown_actor');
  t.is(await code('inner/a', { type: 'inc' }), 'door_closed');
  t.is(await code('sealed/a', { type: 'get' }), 'bad_envelope');
  t.is(await code('worker/a', { type: 'unheard' }), 'unknown_event');
  t.is(await code('worker/a', { type: 'xstate.stop' }), 'reserved_event');
  t.is(await code('worker/a', { type: 'child.started' }), 'reserved_event');
  t.is(await code('worker/a', { typ: 'get' }), 'bad_event');
  t.is(await code('worker/a', ['get']), 'bad_event');
  t.is(await code('worker/a', { type: 'keep', value: 'x'.repeat(1_000) }), 'body_too_big');
  t.is(await code('worker/a', { type: 'keep', value: '\ud83d' }), 'bad_body');
  t.is(await code('worker/a', { type: 'get' }, { id: 'i'.repeat(600) }), 'bad_header');
  t.is(await code('worker/a', { type: 'get' }, { contentType: 'application/msgpack' }), 'ok');
  t.is(await code('worker/a', { type: 'throw' }), 'machine_threw');
  t.is(await code('worker/a', { type: 'post', to: 'if.>', event: { type: 'note' } }), 'bad_action');
  t.is(await code('worker/a', { type: 'post', to: 'worker/b', event: null }), 'bad_action');
  t.is(await code('worker/a', { type: 'spawn', id: 'no id' }), 'bad_action');
  t.is(await code('worker/a', { type: 'later', ms: null, n: 1 }), 'bad_action');
  t.is(await code('worker/a', { type: 'finish' }), 'ok');
  t.is(await code('worker/a', { type: 'get' }), 'actor_done');
  t.is(await code('worker/f', { type: 'fail' }), 'ok');
  t.is(await code('worker/f', { type: 'get' }), 'actor_failed');
  realm.crash();
  await realm.restart();
  t.is(await code('worker/f', { type: 'get' }), 'actor_failed');
});

test('what a refused send held comes back whole in its dead letter, big bodies too (P6)', async (t) => {
  await using realm = await testRealm({ machines, bytesMax: 64 * 1024 });
  const small = realm.bus.send('worker/a', Buffer.from('{"type":'), { id: 'd1', from: 'me' });
  t.is(small, 1);
  const big = JSON.stringify({ type: 'throw', filler: 'x'.repeat(20_000) });
  realm.bus.send('worker/a', Buffer.from(big), { contentType: 'application/json' });
  await realm.idle();
  t.like(realm.dead()[0], { actor: 'worker/a', from: 'me', error: { code: 'bad_body' } });
  t.is(Buffer.from(realm.dead()[0]?.body ?? []).toString(), '{"type":');
  t.like(realm.dead()[1], { error: { code: 'machine_threw' }, contentType: 'application/json' });
  t.is(Buffer.from(realm.dead()[1]?.body ?? []).toString(), big);
});

test('asks beyond the bound are refused at once, the inbox waits, and nothing of it is lost (P7)', async (t) => {
  await using realm = await testRealm({ machines, limits: { queueMax: 10, batchMax: 4 } });
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, () => realm.ask('counter/a', { type: 'inc' })),
  );
  const refused = results.filter((r) => r.status === 'rejected');
  t.true(refused.length > 0);
  for (const r of refused) t.like(r.reason, { code: 'overloaded', retryable: true });
  for (let n = 0; n < 200; n++) realm.send('worker/a', { type: 'note', n });
  await realm.idle();
  t.deepEqual(
    await seen(realm, 'worker/a'),
    Array.from({ length: 200 }, (_, n) => n),
  );
});

test('a machine that throws keeps its state, or fails its actor where its kind says so (S2)', async (t) => {
  await using realm = await testRealm({
    machines,
    kinds: { worker: {}, strict: { machine: 'worker', onThrow: 'fail' } },
  });
  await realm.ask('worker/a', { type: 'note', n: 1 });
  await t.throwsAsync(realm.ask('worker/a', { type: 'throw' }), { code: 'machine_threw' });
  t.deepEqual(await seen(realm, 'worker/a'), [1]);
  await t.throwsAsync(realm.ask('strict/a', { type: 'throw' }), { code: 'machine_threw' });
  await realm.ask('strict/b', { type: 'note', n: 1 });
  await t.throwsAsync(realm.ask('strict/b', { type: 'throw' }), { code: 'machine_threw' });
  t.is((await realm.actor('strict/b')).status, 'error');
  realm.crash();
  await realm.restart();
  t.is((await realm.actor('strict/b')).status, 'error');
  t.deepEqual(await seen(realm, 'worker/a'), [1]);
});

test('live events come after the commit: the machine’s own, and those of the actor’s life (P2)', async (t) => {
  await using realm = await testRealm({ machines });
  const then = await realm.given('worker/a', [{ type: 'announce' }, { type: 'finish' }]);
  t.deepEqual(then.emitted, [{ type: 'announced' }, { type: 'done' }]);
  t.like(realm.log('worker/a')[0], { log: [{ message: 'said so', severity: 'INFO' }] });
});
