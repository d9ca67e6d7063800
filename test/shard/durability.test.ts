import test from 'ava';
import { decodeCommit } from '#runtime/bus/codec';
import type { CrashPoint } from '#runtime/shard/shard';
import { type Fate, type TestRealm, testRealm } from '#runtime/testing/testing';
import { worker } from '../rig/kernel-machines.ts';

const machines = { worker };

async function seen(realm: TestRealm, address: string): Promise<readonly unknown[]> {
  return ((await realm.actor(address)).context as { seen: unknown[] }).seen;
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

test('killed at any point of any commit, what was sent is done once and what was answered is kept (P1, P2)', async (t) => {
  const points: CrashPoint[] = ['before_commit', 'after_commit', 'before_reply', 'before_mail', 'after_mail'];
  for (const point of points) {
    for (const skip of [0, 1, 2, 3, 5]) {
      await using realm = await testRealm({ machines, shards: 2, limits: { snapshotEveryEntries: 6 } });
      realm.crash(point, { skip });
      const answered: number[] = [];
      for (let n = 0; n < 12; n++) {
        const post = { type: 'postMany', to: ['worker/m'], n };
        for (let done = false; !done; ) {
          if (realm.isCrashed) await realm.restart();
          done = await realm.ask('worker/a', post, { id: `m${n}` }).then(
            () => true,
            () => false,
          );
        }
        answered.push(n);
      }
      await realm.advance('1m');
      t.deepEqual(await seen(realm, 'worker/m'), upTo(12), `${point} ${skip}`);
    }
  }
});

test('an append without a clear answer is settled by the log: stored once, never twice (F1, F3)', async (t) => {
  for (const fates of [['lost'], ['unacked'], ['lost', 'lost', 'unacked'], ['unacked', 'lost']] as Fate[][]) {
    await using realm = await testRealm({ machines });
    const plan = [...fates];
    realm.bus.fate = ({ kind }) => (kind === 'append' ? (plan.shift() ?? 'ok') : 'ok');
    const answer = realm.ask('worker/a', { type: 'note', n: 0 });
    const next = realm.ask('worker/a', { type: 'note', n: 1 });
    await realm.advance('1m');
    t.deepEqual((await answer).reply, { count: 1 });
    t.deepEqual((await next).reply, { count: 2 });
    t.deepEqual(await seen(realm, 'worker/a'), [0, 1]);
    t.is(realm.log('worker/a').length, 2);
  }
});

test('a refused append refuses its asks, keeps its sends, and the shard goes on by itself (P6)', async (t) => {
  await using realm = await testRealm({ machines });
  await realm.ask('worker/a', { type: 'note', n: 0 });
  let refuse = true;
  realm.bus.fate = ({ kind }) => (kind === 'append' && refuse ? 'refused' : 'ok');
  const ask = t.throwsAsync(realm.ask('worker/a', { type: 'note', n: 'no' }), { code: 'storage_refused' });
  await realm.idle();
  await ask;
  realm.send('worker/a', { type: 'note', n: 1 });
  await t.throwsAsync(realm.ask('worker/a', { type: 'note', n: 'no' }), { code: 'log_refused' });
  await realm.advance('1m');
  refuse = false;
  await realm.advance('1m');
  t.deepEqual(await seen(realm, 'worker/a'), [0, 1]);
  t.deepEqual((await realm.ask('worker/a', { type: 'note', n: 2 })).reply, { count: 3 });
});

test('a stop while the shard waits after a refusal, or folds anew, leaves it closed', async (t) => {
  for (const waitMs of [0, 100, 250, 251]) {
    await using realm = await testRealm({ machines });
    realm.bus.fate = ({ kind }) => (kind === 'append' ? 'refused' : 'ok');
    await t.throwsAsync(realm.ask('worker/a', { type: 'note', n: 0 }));
    await realm.advance(waitMs);
    const shard = realm.node.shard(0);
    await shard.stop();
    t.is(shard.status().phase, 'closed');
    t.is(await shard.left, undefined);
  }
});

test('a second owner fences the first: it is refused, tells so, and leaves (P3, F2)', async (t) => {
  await using realm = await testRealm({ machines });
  await realm.ask('worker/a', { type: 'note', n: 0 });
  const first = realm.node;
  const second = await realm.secondNode();
  const late = t.throwsAsync(realm.askOf(first, 'worker/a', { type: 'note', n: 'stale' }), {
    code: 'shard_moved',
  });
  await realm.idle();
  await late;
  t.is((await first.shard(0).left)?.code, 'shard_moved');
  t.deepEqual((await realm.askOf(second, 'worker/a', { type: 'note', n: 1 })).reply, { count: 2 });
  second.kill();
});

test('a replaced owner that misses a page which its successor let go of leaves as replaced, and alarms nobody (N3)', async (t) => {
  const alarms: string[] = [];
  const quiet = (): void => undefined;
  const error = (_: object, event: string): void => void alarms.push(event);
  const limits = { snapshotEveryEntries: 1, residentMax: 1, passivateAfterMs: 1 };
  const logger = { debug: quiet, info: quiet, warn: quiet, error };
  await using realm = await testRealm({ machines, limits, logger });
  for (let n = 0; n < 4; n++) {
    await realm.ask(`worker/w${n}`, { type: 'note', n });
    await realm.advance(10);
  }
  t.true(realm.node.shard(0).status().resident < 4);
  const first = realm.node;
  const second = await realm.secondNode();
  const pages = [...realm.bus.blobs].filter(([name]) => /\/\d+$/.test(name));
  for (const [name] of pages) realm.bus.blobs.delete(name);
  await t.throwsAsync(realm.askOf(first, 'worker/w0', { type: 'note', n: 9 }), { code: 'shard_moved' });
  t.is((await first.shard(0).left)?.code, 'shard_moved');
  t.deepEqual(alarms, []);
  for (const [name, bytes] of pages) realm.bus.blobs.set(name, bytes);
  t.deepEqual((await realm.askOf(second, 'worker/w0', { type: 'note', n: 9 })).reply, { count: 2 });
  second.kill();
});

test('an idle owner that was fenced finds out by a look at the log; the present one stays (P3)', async (t) => {
  await using realm = await testRealm({ machines });
  await realm.ask('worker/a', { type: 'note', n: 0 });
  const first = realm.node;
  await first.shard(0).confirm();
  t.is(first.shard(0).status().phase, 'running');
  const second = await realm.secondNode();
  await first.shard(0).confirm();
  t.is((await first.shard(0).left)?.code, 'shard_moved');
  await second.shard(0).confirm();
  t.deepEqual((await realm.askOf(second, 'worker/a', { type: 'note', n: 1 })).reply, { count: 2 });
  second.kill();
});

test('an owner that recovers late finds the snapshot of a later one: it leaves, and calls no log damaged', async (t) => {
  await using realm = await testRealm({ machines, limits: { snapshotEveryEntries: 1 } });
  const first = realm.node;
  let refuse = true;
  realm.bus.fate = ({ kind }) => (kind === 'append' && refuse ? 'refused' : 'ok');
  await t.throwsAsync(realm.ask('worker/a', { type: 'note', n: 0 }), { code: 'storage_refused' });
  refuse = false;
  const second = await realm.secondNode();
  await realm.askOf(second, 'worker/a', { type: 'note', n: 1 });
  await realm.askOf(second, 'worker/a', { type: 'note', n: 2 });
  await realm.advance('5s');
  t.is((await first.shard(0).left)?.code, 'shard_moved');
  t.deepEqual((await realm.askOf(second, 'worker/a', { type: 'note', n: 3 })).reply, { count: 3 });
  second.kill();
});

test('snapshots are incremental, hide what was removed, are merged, and drop what nobody names (N1-N3)', async (t) => {
  await using realm = await testRealm({ machines, limits: { snapshotEveryEntries: 10 } });
  for (let round = 0; round < 40; round++) {
    for (let n = 0; n < 10; n++)
      await realm.ask(`worker/w${(round * 7 + n) % 60}`, { type: 'note', n: round });
    if (round % 4 === 1) {
      const child = { to: `worker/w${round}`, childId: 'x' };
      await realm.given('worker/boss', [{ type: 'halt', child }]);
    }
  }
  await realm.idle();
  const live = await everything(realm);
  realm.crash();
  await realm.restart();
  t.true(realm.node.shard(0).status().resident < realm.node.shard(0).status().actors);
  t.deepEqual(await everything(realm), live);
  const names = [...realm.bus.blobs.keys()];
  t.true(names.filter((name) => /\/index$/.test(name)).length <= 10, names.join('\n'));
  const [manifest] = names.filter((name) => name.includes('manifest'));
  t.truthy(manifest);
  // From the log alone the same.
  realm.crash();
  realm.bus.blobs.clear();
  await realm.restart();
  t.deepEqual(await everything(realm), live);
});

test('idle actors leave memory and the next message brings them back as they were', async (t) => {
  await using realm = await testRealm({
    machines,
    limits: { snapshotEveryEntries: 20, passivateAfterMs: 1_000, residentMax: 5 },
  });
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 30; n++) await realm.ask(`worker/w${n}`, { type: 'note', n: round });
    await realm.advance('10s');
  }
  t.true(realm.node.shard(0).status().resident < 30);
  t.is(realm.node.shard(0).status().actors, 30);
  for (let n = 0; n < 30; n++) t.deepEqual(await seen(realm, `worker/w${n}`), upTo(5));
});

test('an actor captured by a slow snapshot is not passivated to where it was before (N1)', async (t) => {
  await using realm = await testRealm({
    machines,
    limits: { snapshotEveryEntries: 4, passivateAfterMs: 1, residentMax: 1 },
  });
  realm.bus.delayMs = ({ kind }) => (kind === 'blob' ? 50 : 0);
  for (let n = 0; n < 60; n++) {
    for (const w of ['a', 'b', 'c']) await realm.ask(`worker/${w}`, { type: 'note', n });
    await realm.advance(n % 7 === 0 ? 400 : 20);
  }
  for (const w of ['a', 'b', 'c']) t.deepEqual(await seen(realm, `worker/${w}`), upTo(60));
  realm.crash();
  await realm.restart();
  for (const w of ['a', 'b', 'c']) t.deepEqual(await seen(realm, `worker/${w}`), upTo(60));
});

test('a body too big for the log lies in the blob store, and replays from there', async (t) => {
  await using realm = await testRealm({ machines, bytesMax: 64 * 1024 });
  const value = 'x'.repeat(30_000);
  await realm.ask('worker/a', { type: 'note', n: value });
  t.deepEqual(realm.log('worker/a')[0]?.event, { type: 'note' });
  realm.crash();
  await realm.restart();
  t.deepEqual(await seen(realm, 'worker/a'), [value]);
});

test('a batch larger than one message is cut, garbage and long ids included, and nothing of it is lost', async (t) => {
  await using realm = await testRealm({ machines, bytesMax: 64 * 1024, limits: { batchMax: 500 } });
  const filler = 'y'.repeat(4_000);
  for (let n = 0; n < 100; n++) {
    realm.send('worker/a', { type: 'note', n, filler }, { id: `${n}`.padEnd(500, '.') });
    realm.bus.send('worker/b', Buffer.from(`not json ${filler}`));
  }
  await realm.idle();
  t.deepEqual(await seen(realm, 'worker/a'), upTo(100));
  t.is(realm.dead().length, 100);
  for (const { bytes } of realm.bus.commits(0)) t.true(bytes.byteLength <= 64 * 1024);
});

test('what cannot be encoded fails its own step only: the batch is done again, each step checked (S2)', async (t) => {
  const { assign, setup } = await import('xstate');
  const looped = setup({
    types: {} as { context: { self: unknown }; events: { type: 'loop' } | { type: 'fine' } },
  }).createMachine({
    id: 'looped',
    version: '1',
    context: { self: null },
    on: {
      loop: {
        actions: assign(() => {
          const self: { self?: unknown } = {};
          self.self = self;
          return { self };
        }),
      },
      fine: { actions: assign({ self: 1 }) },
    },
  });
  await using realm = await testRealm({ machines: { looped, worker } });
  realm.send('looped/a', { type: 'loop' });
  realm.send('worker/a', { type: 'note', n: 0 });
  await realm.advance('1m');
  t.like(realm.dead()[0], { actor: 'looped/a', error: { code: 'not_encodable' } });
  t.deepEqual(await seen(realm, 'worker/a'), [0]);
  t.truthy(await realm.ask('looped/a', { type: 'fine' }));
});

test('text cut in the middle of a character survives a snapshot with the digest it had (C2)', async (t) => {
  await using realm = await testRealm({
    machines: { cutter: await cutter() },
    limits: { snapshotEveryEntries: 2 },
  });
  await realm.ask('cutter/a', { type: 'cut', text: '🜂🜂🜂' });
  for (let n = 0; n < 5; n++) {
    await realm.ask('cutter/a', { type: 'more' });
    await realm.idle();
    if (n % 2 === 1) realm.crash();
    else continue;
    await realm.restart();
  }
  t.like(await realm.actor('cutter/a'), { context: { n: 5 } });
});

test('no field name of a body keeps it from being stored', async (t) => {
  await using realm = await testRealm({ machines });
  for (const name of [
    'constructor',
    'toJSON',
    'hasOwnProperty',
    'toString',
    'valueOf',
    'length',
    'then',
    'type',
  ]) {
    for (const odd of [1, 'x', null, {}, []]) {
      realm.send('worker/a', { type: 'keep', value: { [name]: odd, constructor: 1, toJSON: odd } });
    }
  }
  realm.send('worker/a', { type: 'note', n: 0 });
  await realm.idle();
  t.deepEqual(await seen(realm, 'worker/a'), [0]);
  t.is(realm.dead().length, 0);
});

test('the chain of a log is whole: every commit carries the hash of the one before, and its index (P3)', async (t) => {
  await using realm = await testRealm({ machines });
  for (let n = 0; n < 5; n++) await realm.ask('worker/a', { type: 'note', n });
  t.deepEqual(
    realm.bus.commits(0).map(({ bytes }) => decodeCommit(bytes).index),
    upTo(6),
  );
});

async function cutter() {
  const { assign, setup } = await import('xstate');
  return setup({
    types: {} as {
      context: { head: string; n: number };
      events: { type: 'cut'; text: string } | { type: 'more' };
    },
  }).createMachine({
    id: 'cutter',
    version: '1',
    context: { head: '', n: 0 },
    on: {
      cut: { actions: assign({ head: ({ event }) => event.text.slice(0, 1) }) },
      more: { actions: assign({ n: ({ context }) => context.n + 1 }) },
    },
  });
}

/** Every actor of shard 0 as it is. */
async function everything(realm: TestRealm): Promise<Record<string, unknown>> {
  const shard = realm.node.shard(0);
  const found: Record<string, unknown> = {};
  for (const address of [...shard.addresses()].map(([name]) => name).sort()) {
    found[address] = (await realm.actor(address)).context;
  }
  return found;
}
