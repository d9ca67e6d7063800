import test from 'ava';
import fc from 'fast-check';
import { costs } from '#machines/costs';
import { swarm } from '#machines/swarm';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import type { BookView, CostRecord, CostReport, CostsReply } from '#schemas/cost';
import { NOW, recordOf } from './records.ts';

async function add(
  realm: TestRealm,
  record: CostRecord,
  from = 'meter/main',
  book = 'main',
): Promise<CostsReply> {
  return (await realm.ask(`costs/${book}`, { type: 'costs.record', record }, { from })).reply as CostsReply;
}

async function view(realm: TestRealm, book = 'main'): Promise<BookView> {
  return (await realm.ask(`costs/${book}`, { type: 'costs.get' })).reply as BookView;
}

function reports(realm: TestRealm): CostReport[] {
  return realm.bus.events
    .filter(({ name }) => name === 'costs.report')
    .map(({ body }) => (body as { report: CostReport }).report);
}

test('a record counts once, at the amount that its tokens and prices make', async (t) => {
  await using realm = await testRealm({ machines: [costs], now: NOW });
  const record = recordOf('r1');
  t.is(record.amountMicros, 3_500);
  t.deepEqual(await add(realm, record), { accepted: true, known: false, amountMicros: 3_500 });
  t.deepEqual(await add(realm, record), { accepted: true, known: true, amountMicros: 3_500 });
  t.like(await add(realm, recordOf('r2', { amountMicros: 1 })), { accepted: false, code: 'wrong_amount' });
  t.like(await add(realm, { ...recordOf('r3'), amountMicros: null }), {
    accepted: false,
    code: 'wrong_amount',
  });
  t.like(await add(realm, { ...record, id: 'two words' }), { accepted: false, code: 'bad_action' });
  t.like(await view(realm), { total: { records: 1, tokens: 1_100, amounts: { USD: 3_500 } }, unpriced: 0 });
});

test('sessions record for themselves, meters and operators for anyone', async (t) => {
  await using realm = await testRealm({ machines: [costs], now: NOW });
  t.true((await add(realm, recordOf('r1'), 'session/a')).accepted);
  t.like(await add(realm, recordOf('r2'), 'session/b'), { accepted: false, code: 'not_permitted' });
  t.like(await add(realm, recordOf('r3', { session: null }), 'session/b'), { code: 'not_permitted' });
  t.true((await add(realm, recordOf('r4'), 'operator/ann')).accepted);
  await t.throwsAsync(realm.ask('costs/other', { type: 'costs.get' }), { code: 'unknown_costs' });
});

test('a book sums so many currencies, and no more', async (t) => {
  await using realm = await testRealm({ machines: [costs], now: NOW });
  const price = recordOf('x').price;
  if (price === null) throw new Error('it has one');
  const code = (n: number) => `A${String.fromCharCode(65 + n)}A`;
  for (let n = 0; n < 16; n += 1)
    t.true(
      (await add(realm, recordOf(`r${n}`, { price: { ...price, currency: code(n) } }), 'session/a')).accepted,
    );
  t.like(await add(realm, recordOf('one', { price: { ...price, currency: code(17) } }), 'session/a'), {
    code: 'book_full',
  });
  t.true(
    (await add(realm, recordOf('two', { price: { ...price, currency: code(3) } }), 'session/a')).accepted,
  );
});

test('what has no price is counted as such, and told', async (t) => {
  await using realm = await testRealm({ machines: [costs], now: NOW });
  t.like(await add(realm, recordOf('r1', { price: null, amountMicros: null })), {
    accepted: true,
    amountMicros: null,
  });
  t.like(await view(realm), { unpriced: 1, total: { records: 1, amounts: {} } });
});

test('while it is written a book reports every ten minutes by itself, over restarts too, and then rests', async (t) => {
  await using realm = await testRealm({ machines: [costs], now: NOW });
  await add(realm, recordOf('r1'));
  await add(realm, recordOf('r2', { session: 'b', model: 'other' }));
  await realm.advance('9m');
  realm.crash();
  await realm.restart();
  t.is(reports(realm).length, 0);
  await realm.advance('61s');
  const [first] = reports(realm);
  t.like(first, { book: 'main', from: NOW, unpriced: 0, spent: { records: 2, amounts: { USD: 7_000 } } });
  t.deepEqual(Object.keys(first?.bySession ?? {}), ['a', 'b']);
  t.deepEqual(Object.keys(first?.byModel ?? {}), ['openai/large-1', 'openai/other']);
  await add(realm, recordOf('r3'));
  await realm.advance('10m');
  t.like(reports(realm)[1], { spent: { records: 1 }, total: { records: 3, amounts: { USD: 10_500 } } });
  await realm.advance('1h');
  t.is(reports(realm).length, 2);
  t.is((await view(realm)).status, 'quiet');
  await add(realm, recordOf('r4'));
  await realm.advance('10m');
  t.is(reports(realm).length, 3);
});

test('a swarm that runs is reported on although it spends nothing', async (t) => {
  await using realm = await testRealm({ machines: [costs], now: NOW });
  const say = (type: string, from = 'swarm/s') => realm.ask('costs/s', { type }, { from });
  t.like((await say('costs.follow', 'session/a')).reply, { accepted: false, code: 'not_permitted' });
  await say('costs.follow');
  await realm.advance('30m');
  t.is(reports(realm).length, 3);
  await say('costs.unfollow');
  await realm.advance('30m');
  t.is(reports(realm).length, 4, 'the last one when it ended');
});

test('a swarm that wants reports has its book followed while it runs', async (t) => {
  await using realm = await testRealm({ machines: [costs, swarm], now: NOW });
  const say = async (event: object): Promise<void> => {
    await realm.ask('swarm/s', event, { from: 'operator/o' });
    await realm.idle();
  };
  await say({ type: 'swarm.form', template: { id: 's', reports: true } });
  await realm.advance('20m');
  t.is(reports(realm).length, 2);
  await say({ type: 'swarm.stop' });
  await realm.advance('20m');
  t.is(reports(realm).length, 3);
  t.is((await view(realm, 's').catch(() => undefined))?.status, undefined, 'nothing was ever recorded');
});

test('sums are exact and the state stays small, whatever comes', async (t) => {
  await using realm = await testRealm({ machines: [costs], now: NOW });
  const one = fc.record({
    input: fc.nat({ max: 1_000_000 }),
    output: fc.nat({ max: 100_000 }),
    session: fc.nat({ max: 400 }).map((n) => `s${n}`),
    currency: fc.constantFrom('USD', 'EUR'),
    price: fc.nat({ max: 30_000_000 }),
  });
  const records = fc
    .sample(one, { numRuns: 600, seed: 7 })
    .map(({ input, output, session, currency, price }, n) =>
      recordOf(`r${n}`, {
        session,
        tokens: { input, output },
        price: { row: 'x', currency, perMillion: { input: price, output: price } },
      }),
    );
  const sums = new Map<string, bigint>();
  for (const record of records) {
    t.true((await add(realm, record)).accepted);
    const currency = record.price?.currency ?? '';
    sums.set(currency, (sums.get(currency) ?? 0n) + BigInt(record.amountMicros ?? 0));
  }
  const { total, current } = await view(realm);
  for (const [currency, sum] of sums) t.is(BigInt(total.amounts[currency] ?? -1), sum);
  t.true(Object.keys(current.bySession).length <= 201);
  const parts = Object.values(current.bySession).reduce((sum, { amounts }) => sum + (amounts['USD'] ?? 0), 0);
  t.is(parts, total.amounts['USD'] ?? -1);
});
