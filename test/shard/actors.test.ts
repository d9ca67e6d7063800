import test from 'ava';
import type { EffectCall } from '#runtime/effects/driver';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import { worker } from '../rig/kernel-machines.ts';

const machines = { worker };

interface Seen {
  readonly seen: readonly unknown[];
  readonly by: readonly string[];
  readonly kept: unknown;
}

async function context(realm: TestRealm, address: string): Promise<Seen> {
  return (await realm.actor(address)).context as Seen;
}

async function crashAndRestart(realm: TestRealm): Promise<void> {
  realm.crash();
  await realm.restart();
}

test('a timer fires once at its time, through crashes before and after (P1, S3)', async (t) => {
  await using realm = await testRealm({ machines });
  await realm.ask('worker/a', { type: 'later', ms: 60_000, n: 1 });
  await crashAndRestart(realm);
  await realm.advance(59_999);
  t.deepEqual((await context(realm, 'worker/a')).seen, []);
  realm.crash();
  await realm.advance('1h');
  await realm.restart();
  await realm.idle();
  t.deepEqual((await context(realm, 'worker/a')).seen, [1]);
  await crashAndRestart(realm);
  await realm.advance('1h');
  t.deepEqual((await context(realm, 'worker/a')).seen, [1]);
});

test('a cancelled timer never fires, a timer set anew fires once at the later time', async (t) => {
  await using realm = await testRealm({ machines });
  await realm.ask('worker/a', { type: 'later', ms: 1_000, n: 1 });
  await realm.ask('worker/a', { type: 'cancel', id: 'later' });
  await realm.ask('worker/b', { type: 'later', ms: 1_000, n: 1 });
  await realm.ask('worker/b', { type: 'later', ms: 5_000, n: 2 });
  await crashAndRestart(realm);
  await realm.advance(4_999);
  t.deepEqual((await context(realm, 'worker/b')).seen, []);
  await realm.advance('1h');
  t.deepEqual((await context(realm, 'worker/a')).seen, []);
  t.deepEqual((await context(realm, 'worker/b')).seen, [2]);
});

test('timers of one moment fire in the order they were set, from memory, log and snapshot (P5)', async (t) => {
  await using realm = await testRealm({ machines, limits: { snapshotEveryEntries: 20 } });
  for (let n = 0; n < 30; n++) {
    await realm.ask('worker/a', { type: 'post', to: 'worker/b', event: { type: 'note', n }, delay: 10_000 });
    if (n % 10 === 5) await crashAndRestart(realm);
  }
  await realm.ask('worker/c', { type: 'twice', ms: 500 });
  await realm.ask('worker/c', { type: 'twice', ms: 500 });
  await realm.advance('1m');
  t.deepEqual(
    (await context(realm, 'worker/b')).seen,
    Array.from({ length: 30 }, (_, n) => n),
  );
  t.deepEqual((await context(realm, 'worker/c')).seen, ['first', 'second']);
});

test('a delayed send can be taken back by its id', async (t) => {
  await using realm = await testRealm({ machines });
  const post = { type: 'post', to: 'worker/b', event: { type: 'note', n: 1 }, delay: 1_000, id: 'reminder' };
  await realm.ask('worker/a', post);
  await realm.ask('worker/a', { type: 'cancel', id: 'reminder' });
  await realm.advance('1m');
  await t.throwsAsync(realm.actor('worker/b'), { code: 'no_realm_actor' });
});

test('20,000 pending timers all fire, once each', async (t) => {
  await using realm = await testRealm({
    machines,
    limits: { queueMax: 200_000, snapshotEveryEntries: 1_000_000 },
  });
  const count = 20_000;
  for (let from = 0; from < count; from += 5_000) {
    for (let n = from; n < from + 5_000; n++) {
      realm.send(`worker/w${n}`, { type: 'later', ms: 60_000 + (n % 1_000), n });
    }
    await realm.idle();
  }
  t.is(realm.node.shard(0).status().timers, count);
  await realm.advance('2m');
  t.is(realm.node.shard(0).status().timers, 0);
  const fired = realm.log().filter((e) => e.cause.kind === 'timer');
  t.is(fired.length, count);
  t.is(new Set(fired.map((e) => e.actor)).size, count);
});

test('a spawned child lives at an address of its own, tells its parent of its end, and ends with it (S1, S4)', async (t) => {
  await using realm = await testRealm({ machines, shards: 4 });
  await realm.given('worker/a', [
    { type: 'spawn', id: 'k1' },
    { type: 'spawn', id: 'k2' },
    { type: 'spawn', id: 'k3' },
    { type: 'toKid', id: 'k1', event: { type: 'inc' } },
  ]);
  await crashAndRestart(realm);
  t.deepEqual((await realm.actor('worker/a~k1')).context, { n: 1 });
  await realm.given('worker/a', [{ type: 'toKid', id: 'k1', event: { type: 'finish' } }]);
  await realm.given('worker/a', [{ type: 'toKid', id: 'k3', event: { type: 'die' } }]);
  t.deepEqual((await context(realm, 'worker/a')).by, ['xstate.done.actor.k1', 'xstate.error.actor.k3']);
  await realm.given('worker/a', [{ type: 'finish' }]);
  await realm.idle();
  await t.throwsAsync(realm.actor('worker/a~k2'), { code: 'no_realm_actor' });
});

test('a supervised start begins an actor, adopts one that lives, and begins anew one that ended', async (t) => {
  await using realm = await testRealm({ machines, shards: 2 });
  const child = { to: 'worker/c', childId: 'c', machine: 'worker@1' };
  await realm.given('worker/boss', [{ type: 'start', child }]);
  await realm.ask('worker/c', { type: 'note', n: 1 });
  await realm.given('worker/boss', [{ type: 'start', child }]);
  t.deepEqual((await context(realm, 'worker/c')).seen, [1]);
  await realm.ask('worker/c', { type: 'finish' });
  await realm.idle();
  await crashAndRestart(realm);
  await realm.given('worker/boss', [{ type: 'start', child }]);
  t.deepEqual((await context(realm, 'worker/c')).seen, []);
  await realm.given('worker/boss', [{ type: 'halt', child: { to: 'worker/c', childId: 'c' } }]);
  await t.throwsAsync(realm.actor('worker/c'), { code: 'no_realm_actor' });
  t.deepEqual((await context(realm, 'worker/boss')).by, [
    'child.started',
    'child.started',
    'xstate.done.actor.c',
    'child.started',
    'child.stopped',
  ]);
});

test('an invocation’s result comes back as an event, through crashes under one key', async (t) => {
  const keys: string[] = [];
  let hang = true;
  const http = async (call: EffectCall): Promise<unknown> => {
    keys.push(call.key);
    if (hang) await new Promise(() => undefined);
    return { status: 200 };
  };
  await using realm = await testRealm({ machines, drivers: { http } });
  await realm.ask('worker/a', { type: 'call' });
  t.is((await realm.actor('worker/a')).state, 'calling');
  hang = false;
  await crashAndRestart(realm);
  t.deepEqual((await context(realm, 'worker/a')).kept, { status: 200 });
  t.is((await realm.actor('worker/a')).state, 'idle');
  t.deepEqual(new Set(keys).size, 1);
  t.is(keys.length, 2);
  await crashAndRestart(realm);
  t.is(keys.length, 2);
});

test('leaving the invoking state cancels the effect; a failed one is an event too; a failed loose effect is dead', async (t) => {
  let aborted = 0;
  const http = async (call: EffectCall): Promise<unknown> => {
    if ('n' in (call.input as object)) throw new Error('no luck');
    if (call.actor === 'worker/f') throw new Error('no route');
    await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()));
    aborted += 1;
    return 'too late';
  };
  await using realm = await testRealm({ machines, drivers: { http } });
  await realm.ask('worker/a', { type: 'call' });
  await realm.given('worker/a', [{ type: 'stay' }]);
  t.is(aborted, 1);
  t.is((await context(realm, 'worker/a')).kept, null);
  t.is(realm.node.shard(0).status().effects, 0);
  await realm.ask('worker/f', { type: 'call' });
  await realm.advance('10m');
  t.like((await context(realm, 'worker/f')).kept, { code: 'driver_error' });
  await realm.given('worker/e', [{ type: 'effect', n: 1 }]);
  t.like(realm.dead().at(-1), { actor: 'worker/e', error: { code: 'driver_error' } });
});

test('an actor stays on its machine version until a migration carries it over, an entry of the log (S2)', async (t) => {
  const definitions = [
    { name: 'worker', version: 1, machine: worker },
    {
      name: 'worker',
      version: 2,
      machine: worker,
      migrate: (data: unknown) => {
        const { context: old, ...rest } = data as { context: Seen };
        if (old.seen.includes('poison')) throw new Error('cannot carry this over');
        return { ...rest, context: { ...old, kept: 'migrated' } };
      },
    },
  ];
  await using realm = await testRealm({ machines: definitions, kinds: { worker: { version: 1 } } });
  await realm.ask('worker/a', { type: 'note', n: 1 });
  await realm.ask('worker/p', { type: 'note', n: 'poison' });
  await realm.given('worker/boss', [
    { type: 'move', child: { to: 'worker/a', machine: 'worker@2' } },
    { type: 'move', child: { to: 'worker/p', machine: 'worker@2' } },
  ]);
  await crashAndRestart(realm);
  t.like(await realm.actor('worker/a'), { machine: 'worker@2', context: { seen: [1], kept: 'migrated' } });
  t.is((await realm.actor('worker/p')).machine, 'worker@1');
  t.is(realm.dead().length, 1);
});
