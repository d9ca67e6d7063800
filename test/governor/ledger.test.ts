import test from 'ava';
import fc from 'fast-check';
import type { BudgetContext } from '#machines/budget';
import { type Account, initialLedger, type LedgerContext } from '#machines/ledger/context';
import { decideLedger } from '#machines/ledger/decide';
import { readAction } from '#machines/ledger/read';
import { rowsOf } from '#machines/ledger/table';
import { type LedgerActionInput, type LedgerReply, ledgerActionSchema } from '#schemas/budget';
import { cases } from '../rig/effort.ts';
import { Books, NOW, OPERATOR, WORKER } from './books.ts';

const SELF = 'ledger/main';

/** A ledger without a realm: one step after another. */
class Pure {
  context: LedgerContext = initialLedger(undefined, SELF);
  at = NOW;

  say({ action, ...rest }: LedgerActionInput, from = WORKER): LedgerReply {
    return this.hear({ type: `ledger.${action}`, ...rest }, from) as LedgerReply;
  }

  hear(event: { type: string }, from = ''): unknown {
    const { patch, reply } = decideLedger(this.context, { event, self: SELF, at: this.at, from });
    this.context = { ...this.context, ...patch };
    return reply;
  }

  rows(): readonly Account[] {
    return rowsOf(this.context.accounts);
  }
}

test('what is reserved holds on an account and on all above it, or on none', async (t) => {
  await using books = await Books.open();
  await books.set('realm', { currency: 'EUR', limit: { micros: 100 } });
  await books.set('swarm:a', { parent: 'realm', limit: { micros: 80 } });
  await books.set('session:ndi', { parent: 'swarm:a' });
  await books.set('session:sip', { parent: 'swarm:a', limit: { micros: 60 } });
  t.like(await books.reserve('r1', 'session:ndi', 70), { accepted: true, reservation: { id: 'r1' } });
  t.like(await books.reserve('r2', 'session:sip', 20), {
    accepted: false,
    code: 'budget_exhausted',
    reason:
      'session/ndi asks for 0.00002 EUR of session:sip: budget swarm:a, above session:sip, has 0.00001 EUR left of 0.00008 EUR',
    shortage: { account: 'swarm:a', asked: 20, left: 10, limit: 80, resetsAt: null },
  });
  t.like(await books.reserve('r2', 'session:sip', 61), { code: 'budget_too_small' });
  t.like(await books.account('session:sip'), { reserved: { micros: 0 } }, 'nothing is held by a refusal');
  t.like(await books.commit('r1', 30), { accepted: true, outcome: 'within', settled: { how: 'committed' } });
  for (const name of ['session:ndi', 'swarm:a', 'realm'])
    t.like(await books.account(name), {
      spent: { micros: 30 },
      reserved: { micros: 0 },
      total: { micros: 30 },
    });
  t.like(await books.reserve('r2', 'session:sip', 50), { accepted: true });
  t.like(await books.say({ action: 'refund', id: 'r2' }), { settled: { how: 'refunded' } });
  t.like(await books.account('realm'), { spent: { micros: 30 }, reserved: { micros: 0 } });
});

test('only a swarm has a budget of its own to set: a session does not raise what it may spend', (t) => {
  const pure = new Pure();
  pure.say({ action: 'set', account: 'realm', currency: 'EUR', limit: { micros: 100 } }, OPERATOR);
  pure.say({ action: 'set', account: 'session:ndi', parent: 'realm', limit: { micros: 10 } }, OPERATOR);
  const more = { action: 'set' as const, account: 'session:ndi', limit: { micros: null, tokens: null } };
  t.like(pure.say(more, 'session/ndi'), { accepted: false, code: 'budget_not_permitted' });
  t.like(pure.say({ action: 'set', account: 'swarm:a', parent: 'realm' }, 'swarm/a'), { accepted: true });
  t.like(pure.say({ action: 'set', account: 'swarm:b', parent: 'realm' }, 'swarm/a'), {
    code: 'budget_not_permitted',
  });
});

test('sums are exact or refused', (t) => {
  const pure = new Pure();
  const big = { micros: 1e15 };
  pure.say({ action: 'set', account: 'realm', currency: 'EUR' }, OPERATOR);
  for (let n = 0; n < 9; n += 1)
    t.true(pure.say({ action: 'reserve', id: `r${n}`, account: 'realm', amount: big }).accepted);
  const more = { action: 'reserve' as const, id: 'r9', account: 'realm', amount: big };
  t.like(pure.say(more), { accepted: false, code: 'sum_too_big' });
  pure.say({ action: 'commit', id: 'r0', amount: { micros: 1 } });
  t.true(pure.say(more).accepted);
  t.like(pure.say({ action: 'commit', id: 'r1', amount: { micros: 1e15 } }), { accepted: true });
  t.like(
    pure.say({ action: 'reserve', id: 'small', account: 'realm', amount: { micros: 7_000_000_000_000 } }),
    {
      accepted: true,
    },
  );
  t.like(pure.say({ action: 'commit', id: 'small', amount: { micros: 7_199_254_740_991 } }), {
    code: 'sum_too_big',
  });
  t.is(pure.rows()[0]?.spent.micros, 1e15 + 1);
  // An override adds up, too.
  pure.say({ action: 'set', account: 'a', parent: 'realm', limit: { micros: 9e14 } }, OPERATOR);
  const override = { action: 'override' as const, account: 'a', extra: big, reason: 'more' };
  for (let n = 0; n < 8; n += 1) t.true(pure.say(override, OPERATOR).accepted);
  t.like(pure.say(override, OPERATOR), { code: 'sum_too_big' });
  t.like(pure.say({ ...override, extra: { micros: 1 }, reason: ' ' }, OPERATOR), {
    code: 'bad_ledger_action',
  });
});

test('no account closes over what is open, be it nothing; what comes late for it counts above it', (t) => {
  const pure = new Pure();
  pure.say({ action: 'set', account: 'realm', currency: 'EUR' }, OPERATOR);
  pure.say({ action: 'set', account: 'a', parent: 'realm' }, OPERATOR);
  pure.say({ action: 'reserve', id: 'nothing', account: 'a', amount: {} });
  pure.say({ action: 'reserve', id: 'late', account: 'a', amount: { micros: 5 }, leaseMs: 1_000 });
  pure.at += 1_000;
  pure.hear({ type: 'xstate.timer.lease' });
  t.like(pure.say({ action: 'close', account: 'a' }, OPERATOR), { code: 'account_in_use' });
  t.true(pure.say({ action: 'commit', id: 'nothing', amount: { micros: 2 } }).accepted);
  t.true(pure.say({ action: 'close', account: 'a' }, OPERATOR).accepted);
  t.like(pure.say({ action: 'commit', id: 'late', amount: { micros: 4 } }), { accepted: true, late: true });
  t.like(pure.rows(), [{ id: 'realm', total: { micros: 6 } }]);
});

test('nobody is forgotten who comes late, and one holder does not keep out all others', (t) => {
  const pure = new Pure();
  pure.say({ action: 'set', account: 'realm', currency: 'EUR' }, OPERATOR);
  const reserve = (id: string, by: string) =>
    pure.say({ action: 'reserve', id, account: 'realm', amount: { micros: 1 }, leaseMs: 1_000 }, by);
  for (let n = 0; n < 5_000; n += 1) reserve(`r${n}`, 'session/greedy');
  t.like(reserve('more', 'session/greedy'), { code: 'too_many_reservations' });
  t.true(reserve('other', 'session/modest').accepted);
  pure.at += 1_000;
  pure.hear({ type: 'xstate.timer.lease' });
  let late = 0;
  for (let n = 0; n < 5_000; n += 1)
    if (pure.say({ action: 'commit', id: `r${n}`, amount: { micros: 1 } }, 'session/greedy').accepted)
      late += 1;
  t.is(late, 5_000);
  t.like(pure.rows(), [{ total: { micros: 5_000 }, reserved: { micros: 0 } }]);
});

test('calendars that no account needs any more are let go', (t) => {
  const pure = new Pure();
  pure.say({ action: 'set', account: 'realm', currency: 'EUR', period: 'day', zone: 'UTC' }, OPERATOR);
  for (let n = 0; n < 5; n += 1) {
    const zone = `Test/Zone${n}`;
    pure.say({ action: 'set', account: 'realm', period: 'day', zone }, OPERATOR);
    const calendars = { [`day ${zone}`]: { edges: [NOW - 1, NOW + 86_400_000], problem: null } };
    pure.hear({ type: 'xstate.done.actor.calendar', output: { calendars } } as never);
  }
  t.deepEqual(Object.keys(pure.context.calendars), ['day Test/Zone4']);
});

test('asked twice is done once, and other words under the same id are refused', async (t) => {
  await using books = await Books.open();
  await books.set('realm', { currency: 'EUR', limit: { micros: 100 } });
  const first = await books.reserve('r', 'realm', 40);
  t.deepEqual(await books.reserve('r', 'realm', 40), first);
  t.like(await books.reserve('r', 'realm', 41), { code: 'reservation_differs' });
  t.like(await books.reserve('r', 'realm', 40, 'session/sip'), { code: 'reservation_differs' });
  t.like(await books.commit('r', 25, 'session/sip'), { code: 'budget_not_permitted' });
  t.like(await books.commit('r', 25), { outcome: 'within' });
  t.like(await books.commit('r', 25), {
    accepted: true,
    settled: { how: 'committed', amount: { micros: 25 } },
  });
  t.like(await books.commit('r', 26), { code: 'reservation_settled' });
  t.like(await books.say({ action: 'refund', id: 'r' }), { code: 'reservation_settled' });
  t.like(await books.reserve('r', 'realm', 40), { code: 'reservation_settled' });
  t.like(await books.commit('never', 1), { code: 'unknown_reservation' });
  t.like(await books.account('realm'), { spent: { micros: 25 }, reserved: { micros: 0 } });
});

test('the money of a dead worker returns, and what it spent all the same is told', async (t) => {
  await using books = await Books.open();
  await books.set('realm', { currency: 'EUR', limit: { micros: 100 } });
  await books.say({
    action: 'reserve',
    id: 'dead',
    account: 'realm',
    amount: { micros: 90 },
    leaseMs: 10_000,
  });
  await books.say({
    action: 'reserve',
    id: 'alive',
    account: 'realm',
    amount: { micros: 10 },
    leaseMs: 20_000,
  });
  t.like(await books.reserve('r', 'realm', 20), { code: 'budget_exhausted' });
  await books.realm.advance(8_000);
  await books.say({ action: 'extend', id: 'alive', leaseMs: 60_000 });
  books.realm.crash();
  await books.realm.restart();
  await books.realm.advance(2_001);
  t.like(await books.account('realm'), { reserved: { micros: 10 } });
  await books.realm.advance(20_000);
  t.like(await books.account('realm'), { reserved: { micros: 10 } }, 'it was given more time');
  // There is room for 50 of the 60 that the dead one spent.
  t.like(await books.reserve('r', 'realm', 40), { accepted: true });
  t.like(await books.commit('dead', 60), { accepted: true, late: true, outcome: 'over' });
  t.like(await books.account('realm'), {
    spent: { micros: 50 },
    over: { micros: 10 },
    reserved: { micros: 50 },
  });
  const overrun = books.realm.log('ledger/main').at(-1);
  t.is(overrun?.severity, 'HIGH');
  t.like(overrun?.log?.[0]?.message, { type: 'budget_overrun', reservation: 'dead' });
  t.like(await books.commit('dead', 60), { accepted: true, settled: { how: 'committed' } });
  await books.realm.advance(120_000);
  t.like(await books.account('realm'), { reserved: { micros: 40 } });
});

test('more than was reserved takes the room there is', async (t) => {
  await using books = await Books.open();
  await books.set('realm', { currency: 'EUR', limit: { micros: 100 } });
  await books.reserve('r', 'realm', 10);
  t.like(await books.commit('r', 60), { outcome: 'more' });
  await books.reserve('s', 'realm', 10);
  t.like(await books.commit('s', 70), { outcome: 'over' });
  t.like(await books.account('realm'), {
    spent: { micros: 100 },
    over: { micros: 30 },
    total: { micros: 130 },
  });
});

test('a day ends where its time zone has it, spring forward included, and what is held stays held', async (t) => {
  await using books = await Books.open();
  // Noon on Saturday; Berlin puts its clocks forward that night.
  await books.set('realm', { currency: 'EUR', limit: { micros: 100 }, period: 'day', zone: 'Europe/Berlin' });
  await books.set('month', {
    parent: 'realm',
    limit: { micros: 500 },
    period: 'month',
    zone: 'Europe/Berlin',
  });
  const { since, until } = await books.account('realm');
  t.is(new Date(since).toISOString(), '2026-03-27T23:00:00.000Z');
  t.is(new Date(until ?? 0).toISOString(), '2026-03-28T23:00:00.000Z');
  await books.reserve('r', 'month', 60);
  await books.reserve('held', 'month', 30);
  await books.commit('r', 60);
  t.like(await books.reserve('s', 'realm', 20), { code: 'budget_exhausted', shortage: { resetsAt: until } });
  await books.say({ action: 'extend', id: 'held', leaseMs: 86_400_000 });
  await books.realm.advance('12h');
  t.like(await books.account('realm'), {
    spent: { micros: 0 },
    reserved: { micros: 30 },
    total: { micros: 60 },
  });
  t.like(await books.account('month'), { spent: { micros: 60 }, reserved: { micros: 30 } });
  t.is(new Date((await books.account('realm')).until ?? 0).toISOString(), '2026-03-29T22:00:00.000Z');
  t.like(await books.reserve('s', 'realm', 71), { code: 'budget_exhausted' });
  t.like(await books.reserve('s', 'realm', 70), { accepted: true });
  // Longer than the edges that were asked for at first.
  await books.realm.advance('30d');
  t.is(new Date((await books.account('realm')).until ?? 0).toISOString(), '2026-04-28T22:00:00.000Z');
  t.is(new Date((await books.account('month')).since).toISOString(), '2026-03-31T22:00:00.000Z');
});

test('alerts are raised once a period, in words, and tell who follows', async (t) => {
  await using books = await Books.open();
  await books.set('realm', { currency: 'EUR', limit: { micros: 10_000_000 }, period: 'day', zone: 'UTC' });
  await books.realm.ask('budget/main:realm', { type: 'budget.follow' }, { from: 'swarm/a' });
  const spend = async (id: string, micros: number) => {
    await books.reserve(id, 'realm', micros);
    return await books.commit(id, micros);
  };
  const face = async () => (await books.realm.actor('budget/main:realm')).context as BudgetContext;
  await spend('a', 4_900_000);
  t.is((await face()).status, 'open');
  await spend('b', 3_200_000);
  t.is((await face()).status, 'at80', 'one step, one alert: the highest');
  await spend('c', 100_000);
  await spend('d', 1_400_000);
  t.is((await face()).status, 'at95');
  t.like(await books.reserve('e', 'realm', 500_000), { code: 'budget_exhausted' });
  t.is((await face()).status, 'exhausted');
  await books.reserve('f', 'realm', 600_000);
  const told = books.realm.bus.events.filter(({ name }) => name === 'budget.alert').map(({ body }) => body);
  t.deepEqual(
    told.map((body) => (body as { text: string }).text),
    [
      'budget main:realm is at 80 %: 8.10 of 10.00 EUR',
      'budget main:realm is at 95 %: 9.60 of 10.00 EUR',
      'budget main:realm is used up: what is left of 9.60 of 10.00 EUR is not enough for what was asked',
    ],
  );
  const mail = books.realm.log('swarm/a').map(({ event }) => (event as { type: string }).type);
  t.deepEqual(mail, ['budget.alert', 'budget.alert', 'budget.exhausted']);
  await books.realm.advance('1d');
  t.is((await face()).status, 'open');
  t.like(books.realm.log('swarm/a').at(-1)?.event, { type: 'budget.resumed' });
  await spend('g', 5_000_000);
  t.is((await face()).status, 'at50', 'another period, another alert');
});

test('only who may sets limits, an override needs a person, and both are entries with their reasons', async (t) => {
  await using books = await Books.open();
  t.like(await books.say({ action: 'set', account: 'realm', currency: 'EUR' }), {
    code: 'budget_not_permitted',
  });
  t.like(await books.say({ action: 'set', account: 'realm' }, OPERATOR), { code: 'currency_differs' });
  await books.set('realm', { currency: 'EUR', limit: { micros: 100 } });
  const set = (account: string, more: object) => books.say({ action: 'set', account, ...more }, OPERATOR);
  t.like(await set('x', { parent: 'nobody' }), { code: 'unknown_account' });
  t.like(await set('x', {}), { code: 'parent_differs' });
  t.like(await set('x', { parent: 'realm', currency: 'USD' }), { code: 'currency_differs' });
  for (let depth = 2; depth <= 8; depth += 1)
    await books.set(`d${depth}`, { parent: depth === 2 ? 'realm' : `d${depth - 1}` });
  t.like(await set('d9', { parent: 'd8' }), { code: 'too_deep' });
  t.like(await set('d8', { parent: 'realm' }), { code: 'parent_differs' });
  t.like(await books.say({ action: 'close', account: 'd7' }, OPERATOR), { code: 'account_in_use' });
  t.like(await books.say({ action: 'close', account: 'd8' }, OPERATOR), { closed: 'd8' });
  await books.reserve('r', 'd7', 100);
  await books.commit('r', 100);
  t.like(await books.reserve('s', 'd7', 5), { code: 'budget_exhausted' });
  const extra = {
    action: 'override',
    account: 'realm',
    extra: { micros: 10 },
    reason: 'release day',
  } as const;
  t.like(await books.say(extra, 'governor/main'), { code: 'budget_not_permitted' });
  t.like(await books.say(extra, OPERATOR), { accepted: true, account: { extra: { micros: 10 } } });
  t.like(books.realm.log('ledger/main').at(-1), { severity: 'HIGH' });
  t.like(books.realm.log('ledger/main').at(-1)?.log?.[0]?.message, {
    type: 'budget_overridden',
    by: OPERATOR,
    reason: 'release day',
  });
  t.like(await books.reserve('s', 'd7', 5), { accepted: true });
  // A swarm has the account of its own name.
  t.like(await books.say({ action: 'set', account: 'swarm:a', parent: 'realm' }, 'swarm/a'), {
    accepted: true,
  });
});

test('who comes near the limit is told what to do instead', async (t) => {
  await using books = await Books.open();
  await books.set('realm', {
    currency: 'EUR',
    limit: { micros: 100 },
    degrade: { to: 'model', model: 'small', at: 80 },
  });
  await books.set('x', { parent: 'realm', limit: { micros: 90 }, degrade: { to: 'queue' } });
  t.like(await books.reserve('a', 'realm', 70), { accepted: true, degrade: null });
  t.like(await books.reserve('b', 'x', 15), { degrade: { to: 'model', model: 'small' } });
  t.like(await books.reserve('c', 'x', 80), { shortage: { account: 'x', degrade: { to: 'queue' } } });
});

test('a reservation that is drawn upon holds anew, counts sums once, and holds ahead only where there is ample room', async (t) => {
  await using books = await Books.open();
  await books.set('realm', { currency: 'EUR', limit: { micros: 1_000 } });
  await books.reserve('a', 'realm', 100);
  const draw = (n: number, spent: number, hold: number, upTo = hold) =>
    books.say({
      action: 'draw',
      id: 'a',
      n,
      spent: { micros: spent },
      hold: { micros: hold },
      upTo: { micros: upTo },
      leaseMs: 10_000,
    });
  t.like(await draw(1, 30, 70, 500), {
    outcome: 'within',
    // A sixteenth of what is left above the last fifth: 1,000 − 30 − 70 − 200.
    drawn: { spent: { micros: 30 }, hold: { micros: 70 + 43 } },
  });
  t.like(await books.account('realm'), { spent: { micros: 30 }, reserved: { micros: 113 } });
  t.like(await draw(1, 30, 113), { drawn: { spent: { micros: 30 }, hold: { micros: 113 } } });
  t.like(await draw(3, 50, 900, 950), { drawn: { hold: { micros: 900 } } });
  t.like(await draw(2, 40, 10), { drawn: { spent: { micros: 50 }, hold: { micros: 900 } } }, 'overtaken');
  t.like(await draw(4, 60, 941), {
    drawn: { spent: { micros: 60 }, hold: { micros: 890 } },
    refusal: { code: 'budget_exhausted', shortage: { asked: 51, left: 50 } },
  });
  t.like(await books.say({ action: 'draw', id: 'a', n: 5, spent: {}, hold: {} }, 'session/sip'), {
    code: 'budget_not_permitted',
  });
  await books.realm.advance('6m');
  t.like(await books.account('realm'), { spent: { micros: 60 }, reserved: { micros: 0 } });
  t.like(await draw(5, 75, 10), { drawn: { spent: { micros: 75 }, hold: { micros: 0 }, expiresAt: null } });
  t.like(books.realm.log('ledger/main').at(-1)?.log?.[0]?.message, {
    type: 'late_commit',
    spent: { micros: 15 },
  });
  t.like(await books.commit('a', 80), { late: true, settled: { amount: { micros: 80 } } });
  t.like(await books.account('realm'), { spent: { micros: 80 }, reserved: { micros: 0 } });
});

test('what is read by hand is what the schema reads', (t) => {
  const amount = fc.oneof(
    fc.constantFrom(0, 1, -1, 0.5, 1e15, 1e15 + 1, 2 ** 53, Number.NaN, '1', null, undefined, -0),
    fc.nat(),
  );
  const amounts = fc.oneof(
    fc.record({ micros: amount, tokens: amount }, { requiredKeys: [] }),
    fc.record({ micros: amount, other: amount }, { requiredKeys: ['other'] }),
    fc.constantFrom(null, undefined, [], 1, 'x'),
  );
  const name = fc.oneof(
    fc.constantFrom(
      'realm',
      'session:a',
      '',
      ':x',
      'a'.repeat(120),
      'a'.repeat(121),
      'a\n',
      7,
      null,
      undefined,
    ),
    fc.string(),
  );
  const id = fc.oneof(
    fc.constantFrom('', 'x'.repeat(200), 'x'.repeat(201), '😀'.repeat(150), 3, undefined),
    fc.string(),
  );
  const lease = fc.constantFrom(undefined, null, 999, 1_000, 86_400_000, 86_400_001, 5_000.5, '5000');
  const event = fc.record(
    {
      type: fc.constantFrom('ledger.reserve', 'ledger.commit', 'ledger.draw'),
      account: name,
      id,
      n: fc.oneof(amount, fc.constantFrom(2 ** 53 - 1)),
      amount: amounts,
      spent: amounts,
      hold: amounts,
      upTo: amounts,
      leaseMs: lease,
      action: fc.constantFrom('reserve', 'set', undefined),
      more: fc.anything(),
    },
    { requiredKeys: ['type'] },
  );
  let read = 0;
  fc.assert(
    fc.property(event, (asked) => {
      const { type, ...rest } = asked;
      const parsed = ledgerActionSchema.safeParse({ ...rest, action: type.slice('ledger.'.length) });
      t.deepEqual(readAction(asked), parsed.data);
      if (parsed.success) read += 1;
    }),
    { numRuns: cases(2_000, 500) },
  );
  t.true(read > 0, 'all were wrong');
});

test('whatever is asked in whatever order: no overshoot, exact sums, and no refusal where there was room', (t) => {
  const parents = { realm: null, a: 'realm', b: 'realm', aa: 'a', ab: 'a', aaa: 'aa' } as const;
  const names = Object.keys(parents) as (keyof typeof parents)[];
  const step = fc.record({
    what: fc.constantFrom('reserve', 'reserve', 'draw', 'draw', 'commit', 'refund', 'wait', 'limit', 'extra'),
    account: fc.constantFrom(...names),
    n: fc.nat(19),
    micros: fc.nat(60),
    tokens: fc.nat(60),
    ms: fc.nat(3_000),
    ahead: fc.nat(40),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const ledger = new Pure();
      const limits = new Map<string, { micros: number; tokens: number }>();
      for (const name of names) {
        const limit = { micros: name === 'realm' ? 200 : 100, tokens: 150 };
        limits.set(name, limit);
        const parent = parents[name];
        const place = parent === null ? { currency: 'EUR' } : { parent };
        ledger.say({ action: 'set', account: name, limit, ...place }, OPERATOR);
      }
      // What an honest bookkeeper writes down.
      interface Written {
        readonly account: string;
        readonly micros: number;
        readonly tokens: number;
        readonly expiresAt: number;
        readonly drawn: { readonly micros: number; readonly tokens: number };
        readonly draws: number;
      }
      const open = new Map<string, Written>();
      const late = new Map<string, Written>();
      const done = new Set<string>();
      const total = new Map(names.map((name) => [name as string, { micros: 0, tokens: 0 }]));
      const above = (name: string): string[] => {
        const parent = parents[name as keyof typeof parents];
        return [name, ...(parent === null ? [] : above(parent))];
      };
      const book = (account: string, amount: { micros: number; tokens: number }) => {
        for (const name of above(account)) {
          const sum = total.get(name) ?? { micros: 0, tokens: 0 };
          total.set(name, { micros: sum.micros + amount.micros, tokens: sum.tokens + amount.tokens });
        }
      };
      for (const { what, account, n, micros, tokens, ms, ahead } of steps) {
        const id = `r${n}`;
        const amount = { micros, tokens };
        const before = new Map(ledger.rows().map((row) => [row.id, row]));
        const held = open.get(id);
        switch (what) {
          case 'reserve': {
            const isKnown = held !== undefined || late.has(id) || done.has(id);
            const reply = ledger.say({ action: 'reserve', id, account, amount, leaseMs: 1_000 + ms });
            if (isKnown) break;
            const fits = above(account).every((name) => {
              const row = before.get(name);
              return (['micros', 'tokens'] as const).every(
                (m) =>
                  row !== undefined &&
                  amount[m] <=
                    Math.max(
                      0,
                      (row.limit[m] ?? 0) + row.extra[m] - row.spent[m] - row.over[m] - row.reserved[m],
                    ),
              );
            });
            t.is(reply.accepted, fits, JSON.stringify(reply));
            const fresh = { drawn: { micros: 0, tokens: 0 }, draws: 0 };
            if (reply.accepted)
              open.set(id, { account, ...amount, expiresAt: ledger.at + 1_000 + ms, ...fresh });
            break;
          }
          case 'draw': {
            const was = held ?? late.get(id);
            const spent = { micros: (was?.drawn.micros ?? 0) + micros, tokens: was?.drawn.tokens ?? 0 };
            const hold = { micros: tokens, tokens: ms % 60 };
            const upTo = { micros: hold.micros + ahead, tokens: hold.tokens + ahead };
            const draws = (was?.draws ?? 0) + 1;
            const reply = ledger.say({
              action: 'draw',
              id,
              n: draws,
              spent,
              hold,
              upTo,
              leaseMs: 1_000 + ms,
            });
            if (was === undefined) {
              t.false(reply.accepted);
              break;
            }
            if (!('drawn' in reply)) return t.fail(JSON.stringify(reply));
            const { drawn, refusal } = reply;
            book(was.account, { micros, tokens: 0 });
            t.deepEqual(drawn.spent, spent);
            if (held === undefined) {
              t.deepEqual([drawn.hold, drawn.expiresAt], [{ micros: 0, tokens: 0 }, null]);
              late.set(id, { ...was, drawn: spent, draws });
              break;
            }
            const left = { micros: Math.max(0, held.micros - micros), tokens: held.tokens };
            const rows = new Map(ledger.rows().map((row) => [row.id, row]));
            for (const m of ['micros', 'tokens'] as const) {
              if (refusal === undefined) t.true(drawn.hold[m] >= hold[m] && drawn.hold[m] <= upTo[m]);
              else t.is(drawn.hold[m], Math.min(hold[m], left[m]), 'as much as before');
            }
            const misses = above(was.account).some((name) =>
              (['micros', 'tokens'] as const).some((m) => {
                const row = rows.get(name);
                if (row === undefined) return false;
                const room =
                  (row.limit[m] ?? 0) + row.extra[m] - row.spent[m] - row.over[m] - row.reserved[m];
                return hold[m] - drawn.hold[m] > Math.max(0, room);
              }),
            );
            t.is(refusal !== undefined, misses, 'refused where there is no room, and only there');
            const expiresAt = drawn.expiresAt ?? 0;
            open.set(id, { account: was.account, ...drawn.hold, expiresAt, drawn: spent, draws });
            // What a later one overtook says nothing.
            ledger.say({ action: 'draw', id, n: draws - 1 || 1, spent, hold: drawn.hold, leaseMs: 1_000 });
            break;
          }
          case 'commit': {
            const where = held ?? late.get(id);
            const reply = ledger.say({ action: 'commit', id, amount });
            if (where === undefined) break;
            t.true(reply.accepted);
            const { drawn } = where;
            book(where.account, {
              micros: Math.max(0, micros - drawn.micros),
              tokens: Math.max(0, tokens - drawn.tokens),
            });
            open.delete(id);
            late.delete(id);
            done.add(id);
            break;
          }
          case 'refund':
            ledger.say({ action: 'refund', id });
            if (held === undefined) break;
            open.delete(id);
            done.add(id);
            break;
          case 'wait': {
            ledger.at += ms;
            if (ledger.context.leaseDue === null || ledger.context.leaseDue > ledger.at) break;
            ledger.hear({ type: 'xstate.timer.lease' });
            for (const [name, one] of open) {
              if (one.expiresAt > ledger.at) continue;
              open.delete(name);
              late.set(name, one);
            }
            break;
          }
          case 'limit':
            ledger.say({ action: 'set', account, limit: { micros: micros + 50, tokens } }, OPERATOR);
            break;
          case 'extra':
            ledger.say(
              { action: 'override', account, extra: { micros: micros % 5, tokens: 0 }, reason: 'more' },
              OPERATOR,
            );
            break;
        }
        for (const row of ledger.rows()) {
          const was = before.get(row.id) ?? row;
          for (const m of ['micros', 'tokens'] as const) {
            const used = row.spent[m] + row.reserved[m];
            const bound = Math.max((row.limit[m] ?? 0) + row.extra[m], was.spent[m] + was.reserved[m]);
            t.true(used <= bound, `B1: ${row.id} has ${used} of ${bound}`);
            t.is(row.spent[m] + row.over[m], row.total[m], 'one period: what was spent is in the books');
            t.is(row.total[m], total.get(row.id)?.[m] ?? -1, 'B8: the sum of all below');
            const holding = [...open.values()].filter((one) => above(one.account).includes(row.id));
            t.is(
              row.reserved[m],
              holding.reduce((sum, one) => sum + one[m], 0),
            );
          }
        }
      }
    }),
    { numRuns: cases(300, 80) },
  );
});
