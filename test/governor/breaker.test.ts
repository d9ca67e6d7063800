import test from 'ava';
import fc from 'fast-check';
import { calendarDriver } from '#actors/governor/calendar-driver';
import { breaker } from '#machines/breaker';
import { budget } from '#machines/budget';
import { ledger } from '#machines/ledger';
import { session } from '#machines/session';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import type { BreakerReply, BreakerView } from '#schemas/breaker';
import { cases } from '../rig/effort.ts';

const OPERATOR = 'operator/ann';
const METER = 'meter/main';
const NDI = 'breaker/session:ndi';

async function open(): Promise<TestRealm> {
  const never = { waits: true, run: () => new Promise(() => undefined) };
  return await testRealm({
    machines: [breaker, budget, ledger, session],
    kinds: { breaker: { input: { tells: ['council/main'] } }, budget: {}, ledger: {}, session: {} },
    drivers: { calendar: { run: calendarDriver.run }, lease: never, match: never },
  });
}

async function say(realm: TestRealm, action: string, more: object = {}, from = METER): Promise<BreakerReply> {
  const { reply } = await realm.ask(NDI, { type: `breaker.${action}`, ...more }, { from });
  await realm.idle();
  return reply as BreakerReply;
}

const fails = (realm: TestRealm, from = METER) =>
  say(realm, 'report', { ok: false, reason: 'HTTP 500' }, from);

test('three failures in a row open it, a success in between does not count as one', async (t) => {
  await using realm = await open();
  await fails(realm);
  await fails(realm);
  await say(realm, 'report', { ok: true });
  await fails(realm);
  t.like(await fails(realm), { breaker: { status: 'closed', failures: 2 } });
  t.like(await fails(realm), { breaker: { status: 'open', cause: 'failures', probe: null } });
  t.like(await say(realm, 'may'), {
    accepted: false,
    code: 'breaker_open',
    reason:
      'the breaker of session:ndi is open: 3 failures in a row, the last: HTTP 500; it is tried again in 60 s',
  });
  t.like(realm.log(NDI).at(-2), { severity: 'HIGH' });
});

test('after the cool-down one probe at a time goes through; its end decides', async (t) => {
  await using realm = await open();
  for (let n = 0; n < 3; n += 1) await fails(realm);
  await realm.advance('60s');
  t.like(await say(realm, 'may'), { accepted: true, probe: true });
  t.like(await say(realm, 'may', {}, 'meter/other'), { accepted: false, code: 'breaker_open' });
  t.like(await say(realm, 'may'), { accepted: false, code: 'breaker_open' }, 'one at a time, whoever asks');
  t.like(await fails(realm, 'meter/other'), { breaker: { status: 'half_open' } }, 'only the probe counts');
  t.like(await fails(realm), { breaker: { status: 'open' } });
  await realm.advance('60s');
  t.like(await say(realm, 'may'), { accepted: false }, 'twice as long');
  realm.crash();
  await realm.restart();
  await realm.advance('60s');
  t.like(await say(realm, 'may'), { probe: true });
  // Nothing is heard of it.
  await realm.advance('5m');
  t.like(await say(realm, 'get'), { breaker: { status: 'open' } });
  await realm.advance('4m');
  await say(realm, 'may');
  t.like(await say(realm, 'report', { ok: true }), { breaker: { status: 'closed', failures: 0 } });
  t.like(await say(realm, 'may'), { accepted: true });
});

test('an exhausted budget opens it for good: it takes a new budget, a reason, and somebody who may', async (t) => {
  await using realm = await open();
  const ask = async (event: object, from = OPERATOR) => {
    const { reply } = await realm.ask('ledger/main', event, { from });
    await realm.idle();
    return reply;
  };
  const set = (micros: number) =>
    ask({ type: 'ledger.set', account: 'realm', currency: 'EUR', limit: { micros } });
  await set(100);
  await say(realm, 'guard', { budget: 'budget/main:realm' }, OPERATOR);
  t.like(await say(realm, 'guard', { budget: 'budget/main:x' }, 'session/ndi'), {
    code: 'breaker_not_permitted',
  });
  await ask({ type: 'ledger.reserve', id: 'r', account: 'realm', amount: { micros: 100 } }, METER);
  await ask({ type: 'ledger.commit', id: 'r', amount: { micros: 100 } }, METER);
  t.like(await say(realm, 'may'), { accepted: false, breaker: { cause: 'budget', retryAt: null } });
  for (let n = 0; n < 3; n += 1) await fails(realm);
  await realm.advance('1d');
  t.like(await say(realm, 'get'), { breaker: { status: 'open', cause: 'budget' } });
  const reset = { reason: 'the customer pays for more' };
  t.like(await say(realm, 'reset', reset, 'session/ndi'), { code: 'breaker_not_permitted' });
  t.like(await say(realm, 'reset', reset, OPERATOR), { code: 'budget_still_exhausted' });
  t.like(await say(realm, 'reset', {}, OPERATOR), { code: 'bad_breaker_action' }, 'a reason is needed');
  await set(300);
  t.like(await say(realm, 'get'), { breaker: { status: 'open' } }, 'more money alone does not close it');
  t.like(await say(realm, 'reset', reset, OPERATOR), {
    breaker: { status: 'closed', reason: 'operator/ann: the customer pays for more' },
  });
  t.like(await say(realm, 'reset', reset, OPERATOR), { code: 'breaker_closed' });
});

test('a budget that is closed holds nothing open, and says how it stands when it is opened anew', async (t) => {
  await using realm = await open();
  const ask = async (event: object) => {
    await realm.ask('ledger/main', event, { from: OPERATOR });
    await realm.idle();
  };
  const set = (micros: number) =>
    ask({ type: 'ledger.set', account: 'a', parent: 'realm', limit: { micros } });
  await ask({ type: 'ledger.set', account: 'realm', currency: 'EUR' });
  await set(100);
  await say(realm, 'guard', { budget: 'budget/main:a' }, OPERATOR);
  await ask({ type: 'ledger.reserve', id: 'r', account: 'a', amount: { micros: 100 } });
  await ask({ type: 'ledger.commit', id: 'r', amount: { micros: 100 } });
  const reset = { reason: 'another budget' };
  t.like(await say(realm, 'reset', reset, OPERATOR), { code: 'budget_still_exhausted' });
  await ask({ type: 'ledger.close', account: 'a' });
  t.like(await say(realm, 'get'), { breaker: { status: 'open' } }, 'it does not close by itself');
  t.like(await say(realm, 'reset', reset, OPERATOR), { breaker: { status: 'closed' } });
  await set(0);
  t.like(await say(realm, 'get'), { breaker: { status: 'open', cause: 'budget' } });
  await ask({ type: 'ledger.close', account: 'a' });
  await set(50);
  t.like(await say(realm, 'get'), { breaker: { budgets: [{ budget: 'budget/main:a', exhausted: false }] } });
});

test('whom it guards has no word about itself', async (t) => {
  await using realm = await open();
  await fails(realm);
  await fails(realm);
  t.like(await say(realm, 'report', { ok: true }, 'session/ndi'), { code: 'breaker_not_permitted' });
  await fails(realm);
  await realm.advance('60s');
  t.like(await say(realm, 'may', {}, 'session/ndi'), { code: 'breaker_not_permitted' });
  t.like(await say(realm, 'get'), { breaker: { status: 'half_open', probe: null } });
  t.like(await say(realm, 'reset', { reason: '  ' }, OPERATOR), { code: 'bad_breaker_action' });
});

test('opening and closing are told to the worker, its session and the council', async (t) => {
  await using realm = await open();
  const ndi = async () =>
    (await realm.actor('session/ndi')).context as { status: string; escalations: object[] };
  await realm.ask('session/ndi', { type: 'session.register' }, { from: 'session/ndi' });
  for (let n = 0; n < 3; n += 1) await fails(realm);
  t.is((await ndi()).status, 'away', 'no work is offered to it');
  t.like((await ndi()).escalations[0], {
    content: { action: 'breaker', status: 'open', breaker: 'session:ndi' },
  });
  t.like(realm.log('council/main').at(-1)?.event, { type: 'if.escalate' });
  await say(realm, 'reset', { reason: 'mended' }, OPERATOR);
  t.is((await ndi()).status, 'idle');
  const names = realm.bus.events.filter(({ actor }) => actor === NDI).map(({ name }) => name);
  t.deepEqual(names, ['breaker.open', 'breaker.closed']);
});

test('whatever is reported and asked: never two probes, never closed by itself over an empty budget', async (t) => {
  const step = fc.record({
    what: fc.constantFrom('may', 'ok', 'fail', 'fail', 'wait', 'reset', 'empty', 'full'),
    by: fc.constantFrom('meter/a', 'meter/b', 'meter/c'),
    s: fc.nat(200),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }), async (steps) => {
      await using realm = await open();
      await say(realm, 'guard', { budget: 'budget/main:x' }, OPERATOR);
      const view = async (): Promise<BreakerView> => (await say(realm, 'get')).breaker;
      let inRow = 0;
      let empty = false;
      for (const { what, by, s } of steps) {
        const before = await view();
        if (what === 'may') {
          const { accepted } = await say(realm, 'may', {}, by);
          const mayProbe = before.status === 'half_open' && before.probe === null;
          t.is(accepted, before.status === 'closed' || mayProbe);
        } else if (what === 'ok' || what === 'fail') {
          const { status } = (await say(realm, 'report', { ok: what === 'ok' }, by)).breaker;
          if (before.status === 'closed') {
            inRow = what === 'ok' ? 0 : inRow + 1;
            t.is(status, inRow >= 3 ? 'open' : 'closed', 'K1');
          } else if (before.status === 'open' || before.probe !== by) t.is(status, before.status);
          else t.is(status, what === 'ok' ? 'closed' : 'open', 'K2');
        } else if (what === 'wait') await realm.advance(s * 1_000);
        else if (what === 'reset') {
          const { accepted } = await say(realm, 'reset', { reason: 'try' }, OPERATOR);
          t.is(accepted, before.status !== 'closed' && !empty);
        } else {
          empty = what === 'empty';
          const type = empty ? 'budget.exhausted' : 'budget.resumed';
          await realm.ask(NDI, { type }, { from: 'budget/main:x' });
        }
        const after = await view();
        if (after.status === 'closed' && before.status !== 'closed') inRow = 0;
        if (empty) t.is(after.status, 'open', 'K3');
        if (before.cause === 'budget' && what !== 'reset') t.is(after.status, 'open', 'K3');
      }
    }),
    { numRuns: cases(15, 6) },
  );
});
