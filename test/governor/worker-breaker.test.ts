/** The breaker of a worker, by the results of its tasks: a realm in memory. */
import test from 'ava';
import { calendarDriver } from '#actors/governor/calendar-driver';
import { breaker } from '#machines/breaker';
import { budget } from '#machines/budget';
import { ledger } from '#machines/ledger';
import { registry } from '#machines/registry';
import { worker } from '#machines/worker';
import { testRealm } from '#runtime/testing/testing';
import type { WorkerView } from '#schemas/worker';

test('a worker whose budget is exhausted gets no work, until the budget goes on or is not asked about', async (t) => {
  await using realm = await testRealm({
    machines: [budget, ledger, registry, worker],
    drivers: { calendar: { run: calendarDriver.run } },
  });
  const say = async (from: string, to: string, event: object): Promise<unknown> => {
    const { reply } = await realm.ask(to, event, { from });
    await realm.idle();
    return reply;
  };
  const order = (to: string, event: object) => say('operator/o', to, event);
  const refusals = async (task: string): Promise<readonly { readonly filter: string }[]> => {
    await say(`task/${task}`, 'worker/a', { type: 'worker.permit', need: { task, requires: [] } });
    const { last } = (await order('worker/a', { type: 'worker.get' })) as WorkerView;
    return last?.refusals ?? [];
  };
  const set = (account: string, more: object) =>
    order('ledger/main', { type: 'ledger.set', account, ...more });
  await set('realm', { currency: 'EUR' });
  await set('session:a', { parent: 'realm', limit: { micros: 100 } });
  await order('registry/main', { type: 'registry.rules', rules: { budgets: true } });
  const register = () =>
    order('registry/main', { type: 'registry.register', profile: { id: 'a', maxConcurrent: 9 } });
  await register();
  t.deepEqual(await refusals('t1'), []);
  await say('session/a', 'ledger/main', {
    type: 'ledger.reserve',
    id: 'r',
    account: 'session:a',
    amount: { micros: 100 },
  });
  await say('session/a', 'ledger/main', { type: 'ledger.commit', id: 'r', amount: { micros: 100 } });
  t.like(await refusals('t2'), [{ filter: 'budget' }]);
  await say('session/a', 'worker/a', { type: 'budget.resumed' });
  t.like(await refusals('t2'), [{ filter: 'budget' }], 'only its own budget says so');
  await set('session:a', { limit: { micros: 200 } });
  t.deepEqual(await refusals('t2'), []);
  await set('session:a', { limit: { micros: 1 } });
  t.like(await refusals('t3'), [{ filter: 'budget' }]);
  await order('registry/main', { type: 'registry.rules', rules: {} });
  await register();
  t.deepEqual(await refusals('t3'), []);
});

test('three failures in a row open the breaker of a worker, and one task after the cool-down closes it', async (t) => {
  await using realm = await testRealm({ machines: [breaker, registry, worker] });
  const say = async (from: string, to: string, event: object): Promise<unknown> => {
    const { reply } = await realm.ask(to, event, { from });
    await realm.idle();
    return reply;
  };
  const view = async (): Promise<WorkerView> =>
    (await say('operator/o', 'worker/a', { type: 'worker.get' })) as WorkerView;
  // Reputation would refuse it before.
  const rules = { breakers: true, reputationMin: 0 };
  await say('operator/o', 'registry/main', { type: 'registry.rules', rules });
  const profile = { id: 'a', maxConcurrent: 2 };
  await say('operator/o', 'registry/main', { type: 'registry.register', profile });
  const want = (task: string): Promise<unknown> =>
    say(`task/${task}`, 'worker/a', { type: 'worker.permit', need: { task, requires: [] } });
  const end = (task: string, type: string): Promise<unknown> =>
    say(`task/${task}`, 'worker/a', { type, task, token: 1 });
  for (const task of ['t1', 't2', 't3']) {
    await want(task);
    t.deepEqual((await view()).last?.refusals, []);
    await end(task, 'task.failed');
  }
  t.like(await view(), { breaker: 'open', failed: 3, tasks: [] });
  await want('t4');
  t.deepEqual((await view()).last?.refusals, [{ filter: 'breaker', is: 'open', wants: 'closed' }]);
  await realm.advance('61s');
  await realm.idle();
  t.is((await view()).breaker, 'half-open');
  await want('t5');
  t.deepEqual((await view()).tasks, ['t5']);
  await want('t6');
  t.deepEqual((await view()).last?.refusals, [{ filter: 'breaker', is: 'half-open', wants: 'closed' }]);
  await end('t5', 'task.completed');
  t.like(await view(), { breaker: 'closed', completed: 1 });
});
