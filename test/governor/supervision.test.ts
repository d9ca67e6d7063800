/** Budgets follow the supervision tree: an exhausted one stops its subtree, and nothing else. */
import test from 'ava';
import { calendarDriver } from '#actors/governor/calendar-driver';
import { budget } from '#machines/budget';
import { counter } from '#machines/counter';
import { ledger } from '#machines/ledger';
import { runner } from '#machines/runner';
import { supervisor } from '#machines/supervisor';
import { swarm } from '#machines/swarm';
import { testRealm } from '#runtime/testing/testing';
import type { ChildSpec, SupervisorSpec } from '#schemas/supervisor';

const OPERATOR = { from: 'operator/ann' };

test('an exhausted budget stops exactly its subtree, over a crash too; a new period starts it anew', async (t) => {
  await using realm = await testRealm({
    machines: [budget, counter, ledger, supervisor],
    drivers: { calendar: { run: calendarDriver.run } },
    now: '2026-03-02T12:00:00Z',
  });
  const say = async (event: object) => {
    const { reply } = await realm.ask('ledger/main', event, OPERATOR);
    await realm.idle();
    return reply;
  };
  await say({ type: 'ledger.set', account: 'realm', currency: 'EUR', limit: { micros: 1_000 } });
  const day = { limit: { micros: 100 }, period: 'day', zone: 'UTC' };
  await say({ type: 'ledger.set', account: 'swarm:a', parent: 'realm', ...day });
  const worker = (id: string): ChildSpec => ({
    id,
    address: `counter/${id}`,
    machine: 'counter@1',
    restart: 'permanent',
  });
  const spec: SupervisorSpec = {
    strategy: 'one_for_one',
    intensity: 3,
    periodMs: 5_000,
    children: [
      worker('free'),
      {
        id: 'a',
        address: 'supervisor/root:a',
        machine: 'supervisor@1',
        restart: 'permanent',
        supervisor: {
          strategy: 'one_for_one',
          intensity: 3,
          periodMs: 5_000,
          budget: 'budget/main:swarm:a',
          children: [worker('a1'), worker('a2')],
        },
      },
    ],
  };
  await realm.spawn('supervisor/root', { machine: 'supervisor@1', input: spec });
  await realm.idle();
  for (const id of ['free', 'a1']) await realm.ask(`counter/${id}`, { type: 'inc' });
  const lives = async (id: string): Promise<boolean> => (await realm.cell(`counter/${id}`)) !== undefined;
  await say({ type: 'ledger.reserve', id: 'r', account: 'swarm:a', amount: { micros: 100 } });
  t.true(await lives('a1'), 'what is held is not spent');
  await say({ type: 'ledger.commit', id: 'r', amount: { micros: 100 } });
  t.deepEqual([await lives('free'), await lives('a1'), await lives('a2')], [true, false, false]);
  t.is((await realm.actor('supervisor/root:a')).state, 'halted');
  realm.crash();
  await realm.restart();
  t.is((await realm.actor('supervisor/root:a')).state, 'halted');
  t.false(await lives('a1'));
  await realm.advance('13h');
  t.is((await realm.actor('supervisor/root:a')).state, 'running');
  t.deepEqual([await lives('a1'), await lives('a2')], [true, true]);
  t.deepEqual((await realm.ask('counter/free', { type: 'inc' })).reply, { n: 2 }, 'it was left alone');
  t.deepEqual((await realm.ask('counter/a1', { type: 'inc' })).reply, { n: 1 }, 'it began anew');
  // Nobody but the budget it names halts it.
  realm.send('supervisor/root:a', { type: 'budget.exhausted' }, OPERATOR);
  await realm.idle();
  t.is((await realm.actor('supervisor/root:a')).state, 'running');
});

test('the budget of a swarm is an account of the tree, and its processes stop with it', async (t) => {
  const never = { waits: true, run: () => new Promise(() => undefined) };
  await using realm = await testRealm({
    machines: [budget, ledger, runner, supervisor, swarm],
    drivers: { calendar: { run: calendarDriver.run }, 'session-process': never },
  });
  const say = async (to: string, event: object): Promise<unknown> => {
    const { reply } = await realm.ask(to, event, OPERATOR);
    await realm.idle();
    return reply;
  };
  await say('ledger/main', { type: 'ledger.set', account: 'realm', currency: 'EUR' });
  const template = { id: 'a', budget: { costMicros: 100, parent: 'realm' }, process: { command: 'work' } };
  await say('swarm/a', { type: 'swarm.form', template });
  t.like(await say('ledger/main', { type: 'ledger.get', account: 'swarm:a' }), {
    account: { parent: 'realm', limit: { micros: 100, tokens: null } },
  });
  const crew = async () => (await realm.actor('supervisor/swarm:a')).state;
  t.is(await crew(), 'running');
  await say('ledger/main', { type: 'ledger.reserve', id: 'r', account: 'swarm:a', amount: { micros: 100 } });
  await say('ledger/main', { type: 'ledger.commit', id: 'r', amount: { micros: 100 } });
  t.is(await crew(), 'halted');
  await say('swarm/a', {
    type: 'swarm.form',
    template: { ...template, budget: { costMicros: 200, parent: 'realm' } },
  });
  t.is(await crew(), 'running');
  // One that cannot be opened is told: nobody hears the answer to mail.
  await say('swarm/b', {
    type: 'swarm.form',
    template: { ...template, id: 'b', budget: { parent: 'nowhere' } },
  });
  t.like(realm.log('ledger/main').at(-1)?.log, [{ message: { type: 'budget_not_set', account: 'swarm:b' } }]);
});
