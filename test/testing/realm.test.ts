import test from 'ava';
import { assign, setup } from 'xstate';
import type { EffectCall } from '#runtime/effects/driver';
import { testRealm } from '#runtime/testing/testing';
import { invocation, kernelActions } from '#schemas/machine-kit';

const order = setup({
  types: {} as {
    context: { item: string; status: number };
    events: { type: 'place'; item: string } | { type: 'pay' };
  },
  actions: { ...kernelActions },
  actors: { http: invocation<{ status: number }, { url: string }>() },
}).createMachine({
  id: 'order',
  version: '1',
  context: { item: '', status: 0 },
  initial: 'empty',
  states: {
    empty: {
      on: {
        place: {
          target: 'placed',
          actions: [
            assign({ item: ({ event }) => event.item }),
            { type: 'reply', params: ({ event }) => ({ placed: event.item }) },
            {
              type: 'send',
              params: ({ event }) => ({ to: 'stock/main', event: { type: 'reserve', item: event.item } }),
            },
          ],
        },
      },
    },
    placed: { on: { pay: 'paying' }, after: { 1800000: 'expired' } },
    paying: {
      invoke: {
        id: 'pay',
        src: 'http',
        input: () => ({ url: 'https://bank.example/pay' }),
        onDone: { target: 'paid', actions: assign({ status: ({ event }) => event.output.status }) },
        onError: 'placed',
      },
    },
    paid: {},
    expired: { type: 'final' },
  },
});

test('smoke', async (t) => {
  const calls: EffectCall[] = [];
  await using realm = await testRealm({
    machines: { order },
    shards: 2,
    drivers: {
      http: async (call) => {
        calls.push(call);
        if (call.attempt === 1) throw new Error('the bank sleeps');
        return { status: 200 };
      },
    },
  });
  const placed = await realm.given('order/o1', [{ type: 'place', item: 'tea' }]);
  t.is(placed.state, 'placed');
  t.deepEqual(placed.replies, [{ placed: 'tea' }]);
  t.deepEqual(
    placed.mail.map((m) => [m.to, m.event]),
    [['stock/main', { type: 'reserve', item: 'tea' }]],
  );
  t.deepEqual(
    placed.timers.map((x) => x.dueInMs),
    [1_800_000],
  );
  t.is(realm.dead().length, 1);
  realm.crash();
  await t.throwsAsync(realm.ask('order/o1', { type: 'pay' }), { code: 'realm_crashed' });
  await realm.restart();
  const paying = await realm.given('order/o1', [{ type: 'pay' }]);
  t.is(paying.state, 'paying');
  await realm.advance('1m');
  t.is((await realm.actor('order/o1')).state, 'paid');
  t.is(calls[0]?.key, calls[1]?.key);
  await realm.given('order/o2', [{ type: 'place', item: 'x' }]);
  await realm.advance('30m');
  t.is((await realm.actor('order/o2')).status, 'done');
  realm.crash('after_commit');
  await t.throwsAsync(realm.ask('order/o3', { type: 'place', item: 'y' }, { id: 'm1' }), {
    code: 'realm_crashed',
  });
  await realm.restart();
  const again = await realm.ask('order/o3', { type: 'place', item: 'y' }, { id: 'm1' });
  t.deepEqual(again.reply, { placed: 'y' });
  t.is(realm.log('order/o3').length, 1);
});
