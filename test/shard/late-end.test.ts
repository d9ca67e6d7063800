/** The end of a child counts for the start that its parent waits for, and for no other. */
import test from 'ava';
import { setup } from 'xstate';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import { kernelActions } from '#schemas/machine-kit';

const kid = setup({ types: {} as { events: { type: 'finish' } } }).createMachine({
  id: 'kid',
  initial: 'on',
  states: { on: { on: { finish: 'off' } }, off: { type: 'final' } },
});
const boss = setup({
  types: {} as { events: { type: 'reset' } | { type: 'leave' } | { type: 'later' } },
  actors: { kid },
  actions: { ...kernelActions },
}).createMachine({
  id: 'boss',
  version: '1',
  initial: 'a',
  on: {
    reset: { target: '.a', reenter: true },
    leave: '.left',
    later: {
      actions: { type: 'send', params: { to: 'boss/nobody', event: { type: 'leave' }, delay: 1_000 } },
    },
  },
  states: {
    a: { invoke: { src: 'kid', id: 'c', onDone: 'end' } },
    left: { on: { 'xstate.done.actor.c': 'end' } as object },
    end: {},
  },
});

/** The parent leaves or begins its child anew in the very batch in which the child ends. */
async function race(realm: TestRealm, type: 'reset' | 'leave'): Promise<void> {
  realm.bus.delayMs = ({ kind }) => (kind === 'append' ? 5 : 0);
  const child = realm.ask('boss/b~c', { type: 'finish' });
  await realm.advance(1);
  const parent = realm.ask('boss/b', { type });
  await realm.advance(100);
  await Promise.all([child, parent]);
  realm.bus.delayMs = () => 0;
}

for (const snapshotEveryEntries of [1, 1_000]) {
  test(`a late end is noted and its successor’s end counts, snapshots every ${snapshotEveryEntries}`, async (t) => {
    await using realm = await testRealm({ machines: { boss }, limits: { snapshotEveryEntries } });
    await realm.spawn('boss/b');
    await realm.idle();
    await race(realm, 'reset');
    t.is((await realm.actor('boss/b')).state, 'a');
    t.is(realm.log('boss/b').at(-1)?.op, 'note');
    t.is((await realm.actor('boss/b~c')).status, 'active');
    await realm.advance('1m');
    realm.crash();
    await realm.restart();
    t.is((await realm.actor('boss/b')).state, 'a');
    await realm.ask('boss/b~c', { type: 'finish' });
    await realm.idle();
    t.is((await realm.actor('boss/b')).state, 'end');
  });
}

test('the end of a child that its parent has left is noted', async (t) => {
  await using realm = await testRealm({ machines: { boss } });
  await realm.spawn('boss/b');
  await realm.idle();
  await race(realm, 'leave');
  t.is((await realm.actor('boss/b')).state, 'left');
  realm.crash();
  await realm.restart();
  t.is((await realm.actor('boss/b')).state, 'left');
});

for (const snapshotEveryEntries of [1, 1_000]) {
  test(`a child that began behind a delayed send is heard to the end, snapshots every ${snapshotEveryEntries}`, async (t) => {
    await using realm = await testRealm({ machines: { boss }, limits: { snapshotEveryEntries } });
    await realm.spawn('boss/b');
    await realm.ask('boss/b', { type: 'later' });
    await realm.advance(998);
    // One commit takes what is due and what began the child anew: no machine steps the first, and its mail comes before.
    realm.bus.delayMs = ({ kind }) => (kind === 'append' ? 10 : 0);
    const before = realm.ask('boss/b', { type: 'later' });
    await realm.advance(5);
    const reset = realm.ask('boss/b', { type: 'reset' });
    await realm.advance(100);
    await Promise.all([before, reset]);
    realm.bus.delayMs = () => 0;
    const [due, begun] = realm.log('boss/b').slice(-2);
    t.is(due?.op, 'note');
    t.deepEqual(begun?.event, { type: 'reset' });
    realm.crash();
    await realm.restart();
    await realm.ask('boss/b~c', { type: 'finish' });
    await realm.idle();
    t.is((await realm.actor('boss/b')).state, 'end');
  });
}
