/** What ended, went or was taken over stays so: in the next snapshot, in a fold, and for who waits to hear of it. */
import test, { type ExecutionContext } from 'ava';
import { assign, sendTo, setup, spawnChild } from 'xstate';
import { capture, restoreCapture } from '#runtime/shard/capture';
import { emptyState } from '#runtime/shard/state';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import { kernelActions } from '#schemas/machine-kit';
import { worker } from '../rig/kernel-machines.ts';

/** More than what happens between two snapshots here. */
const EVERY = 40;
const BODY_BYTES_MAX = 100_000;

/** Enough entries for a snapshot, and for the commit that states it. */
async function snapshot(realm: TestRealm): Promise<void> {
  for (let n = 0; n <= EVERY; n += 1) await realm.ask('worker/other', { type: 'note', n });
  await realm.idle();
  await realm.ask('worker/other', { type: 'note', n: 'states it' });
}

async function again(realm: TestRealm): Promise<void> {
  realm.crash();
  await realm.restart();
}

/** A child in a snapshot, stopped, begun anew and stopped before the next one. */
async function stoppedTwice(): Promise<TestRealm> {
  const realm = await testRealm({ machines: { worker }, limits: { snapshotEveryEntries: EVERY } });
  await realm.ask('worker/p', { type: 'spawn', id: 'c' });
  await realm.ask('worker/p', { type: 'toKid', id: 'c', event: { type: 'inc' } });
  await snapshot(realm);
  for (const type of ['unspawn', 'spawn', 'unspawn']) await realm.ask('worker/p', { type, id: 'c' });
  await realm.idle();
  await snapshot(realm);
  return realm;
}

test('a child that was stopped, begun anew and stopped between two snapshots stays away', async (t) => {
  await using realm = await stoppedTwice();
  await again(realm);
  t.is(await realm.cell('worker/p~c'), undefined);
});

test('one that is begun once more after them is another one, in a fold as well', async (t) => {
  await using realm = await stoppedTwice();
  await realm.ask('worker/p', { type: 'spawn', id: 'c' });
  await realm.idle();
  await again(realm);
  t.deepEqual((await realm.actor('worker/p~c')).context, { n: 0 });
  t.is((await realm.ask('worker/other', { type: 'note', n: 'goes on' })).commit.shard, 0);
});

test('a snapshot that failed behind its manifest hides nothing that is written there', async (t) => {
  await using realm = await testRealm({ machines: { worker } });
  const state = emptyState({
    shard: 0,
    registry: realm.registry,
    shardOf: () => 0,
    dedupeWindow: 0,
    dedupeSeed: 0,
  });
  for (const address of ['worker/gone', 'worker/back']) state.actors.removed.add(address);
  const taken = capture(state, []);
  state.actors.putCold('worker/back', 1);
  restoreCapture(state, taken);
  t.deepEqual([...state.actors.removed], ['worker/gone']);
});

const kid = setup({ types: {} as { events: { type: 'finish' } } }).createMachine({
  id: 'kid',
  initial: 'on',
  states: { on: { on: { finish: 'off' } }, off: { type: 'final' } },
});
const deaf = setup({
  types: {} as { events: { type: 'begin' } | { type: 'remind' } | { type: `xstate.done.actor.${string}` } },
  actors: { kid },
  actions: { ...kernelActions },
}).createMachine({
  id: 'deaf',
  version: '1',
  on: {
    begin: { actions: spawnChild('kid', { id: 'c' }) },
    'xstate.done.actor.*': {
      actions: assign(() => {
        throw new Error('as told');
      }),
    },
    remind: {
      actions: [
        sendTo('c', { type: 'finish' }, { delay: 1_000 }),
        {
          type: 'send',
          params: { to: 'worker/w', event: { type: 'note', n: 'reminded' }, delay: 1_000 },
        },
      ],
    },
  },
});

async function seen(t: ExecutionContext, realm: TestRealm, expected: unknown[]): Promise<void> {
  t.deepEqual(((await realm.actor('worker/w')).context as { seen: unknown[] }).seen, expected);
}

test('a parent that throws at the end of its child has no child in a fold either: what it sends late arrives once', async (t) => {
  await using realm = await testRealm({ machines: { worker, deaf } });
  await realm.spawn('worker/w');
  await realm.ask('deaf/d', { type: 'begin' });
  await realm.idle();
  await realm.ask('deaf/d~c', { type: 'finish' });
  await realm.idle();
  t.is(realm.log('deaf/d').at(-1)?.op, 'dead');
  await realm.ask('deaf/d', { type: 'remind' });
  await realm.advance('2s');
  await seen(t, realm, ['reminded']);
  await again(realm);
  await realm.advance('2s');
  await seen(t, realm, ['reminded']);
});

test('a supervisor that stops a child which another took over hears that it is gone, and the child lives on', async (t) => {
  await using realm = await testRealm({ machines: { worker } });
  const child = { to: 'worker/x', childId: 'x', machine: 'worker@1' };
  for (const parent of ['a', 'b']) {
    await realm.ask(`worker/${parent}`, { type: 'start', child });
    await realm.idle();
  }
  await realm.ask('worker/a', { type: 'halt', child });
  await realm.idle();
  t.like((await realm.actor('worker/a')).context, { by: ['child.started', 'child.stopped'] });
  t.like((await realm.actor('worker/b')).context, { by: ['child.started'] });
  t.is((await realm.actor('worker/x')).status, 'active');
  await again(realm);
  await realm.ask('worker/b', { type: 'halt', child });
  await realm.idle();
  t.like((await realm.actor('worker/b')).context, { by: ['child.started', 'child.stopped'] });
  t.is(await realm.cell('worker/x'), undefined);
});

test('what a guard makes of a body too large for the log is what a fold hears', async (t) => {
  await using realm = await testRealm({
    machines: { worker },
    bytesMax: BODY_BYTES_MAX,
    guard: { check: () => ({ go: 'on', event: { type: 'note', n: 'decided' } }) },
  });
  await realm.ask('worker/w', { type: 'note', n: 1, pad: 'x'.repeat(BODY_BYTES_MAX / 2) });
  await seen(t, realm, ['decided']);
  await again(realm);
  await seen(t, realm, ['decided']);
});
