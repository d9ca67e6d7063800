import { readFileSync } from 'node:fs';
import test from 'ava';
import { assign, setup } from 'xstate';
import { testRealm } from '#runtime/testing/testing';
import { invocation, kernelActions } from '#schemas/machine-kit';

const order = setup({
  types: {} as {
    context: { item: string; paidBy: string };
    events: { type: 'place'; item: string } | { type: 'pay' };
  },
  actions: { ...kernelActions },
  actors: { http: invocation<{ receipt: string }, { url: string }>() },
}).createMachine({
  version: '1',
  context: { item: '', paidBy: '' },
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
        input: { url: 'https://bank.example/pay' },
        onDone: { target: 'paid', actions: assign({ paidBy: ({ event }) => event.output.receipt }) },
        onError: 'placed',
      },
    },
    paid: {},
    expired: { type: 'final' },
  },
});

const stock = setup({
  types: {} as { context: { reserved: number }; events: { type: 'reserve'; item: string } },
}).createMachine({
  version: '1',
  context: { reserved: 0 },
  on: { reserve: { actions: assign({ reserved: ({ context }) => context.reserved + 1 }) } },
});

test('an order is paid once, though the bank fails and the node dies', async (t) => {
  const keys: string[] = [];
  await using realm = await testRealm({
    machines: { order, stock },
    drivers: {
      http: async (call) => {
        keys.push(call.key);
        if (call.attempt === 1) throw new Error('the bank sleeps');
        return { receipt: call.key };
      },
    },
  });

  const then = await realm.given('order/o1', [{ type: 'place', item: 'tea' }]);
  t.is(then.state, 'placed');
  t.deepEqual(then.replies, [{ placed: 'tea' }]);
  t.like(then.mail[0], { to: 'stock/main', event: { type: 'reserve', item: 'tea' } });
  t.is(then.timers[0]?.dueInMs, 1_800_000);

  // The node dies right after the commit, before it could answer: the retry is answered, not done again.
  realm.crash('after_commit');
  await t.throwsAsync(realm.ask('order/o1', { type: 'pay' }, { id: 'pay-1' }), { code: 'realm_crashed' });
  await realm.restart();
  t.is((await realm.ask('order/o1', { type: 'pay' }, { id: 'pay-1' })).value, 'paying');

  // The driver's retries wait for the clock.
  await realm.advance('1m');
  t.is((await realm.actor('order/o1')).state, 'paid');
  t.is(new Set(keys).size, 1);
  t.deepEqual((await realm.actor('stock/main')).context, { reserved: 1 });
  t.deepEqual(realm.dead(), []);
});

test('an order nobody pays expires after half an hour, also when the node was down meanwhile', async (t) => {
  await using realm = await testRealm({ machines: { order, stock } });
  await realm.ask('order/o2', { type: 'place', item: 'rice' });
  realm.crash();
  await realm.advance('2h');
  await realm.restart();
  t.is((await realm.actor('order/o2')).status, 'done');
  t.is(realm.log('order/o2').at(-1)?.cause.kind, 'timer');
});

test('docs/testing.md shows these very tests', (t) => {
  const plain = (text: string): string =>
    text
      .replaceAll("'#runtime/testing/testing'", "'infrafabric/testing'")
      .replaceAll("'#schemas/machine-kit'", "'infrafabric/machine'")
      .replaceAll(/import .*\n/g, '')
      .replaceAll(/\s/g, '');
  const docs = readFileSync(new URL('../../docs/testing.md', import.meta.url), 'utf8');
  const shown = docs.split('```ts\n')[1]?.split('```')[0] ?? 'no code';
  t.true(plain(readFileSync(new URL(import.meta.url), 'utf8')).includes(plain(shown)));
});
