import test from 'ava';
import fc from 'fast-check';
import { Attempts } from '#actors/costs/report/attempts';
import { sumsCsv } from '#actors/costs/report/csv';
import { Records } from '#actors/costs/report/records';
import { sumsOf } from '#actors/costs/report/sums';
import { wasteOf } from '#actors/costs/report/waste';
import type { LogItem } from '#runtime/cli/render/log';
import type { CostRecord } from '#schemas/cost';
import { TOKEN_CLASSES } from '#schemas/price';
import { NOW, World } from '../coordinator/world.ts';
import { recordOf } from './records.ts';

test('rows add up to the total, to the micro-unit, whatever the split', (t) => {
  const one = fc.record({
    session: fc.constantFrom('a', 'b', null),
    task: fc.constantFrom('t1', 't2', null),
    currency: fc.constantFrom('USD', 'EUR'),
    at: fc.nat({ max: 10 * 86_400_000 }),
    input: fc.nat({ max: 1_000_000_000 }),
    price: fc.nat({ max: 1_000_000_000 }),
  });
  fc.assert(
    fc.property(
      fc.array(one, { maxLength: 50 }),
      fc.subarray(['session', 'task', 'day', 'model'] as const),
      (list, by) => {
        const records = list.map(({ currency, price, input, at, ...rest }, n) =>
          recordOf(`r${n}`, {
            ...rest,
            at: NOW + at,
            tokens: { input },
            price: { row: 'x', currency, perMillion: { input: price, output: 0 } },
          }),
        );
        const { rows, total } = sumsOf(records, by, 'Europe/Berlin');
        for (const currency of ['USD', 'EUR']) {
          const parts = rows.reduce((sum, { amounts }) => sum + BigInt(amounts[currency] ?? 0), 0n);
          const all = records.reduce(
            (sum, { price, amountMicros }) =>
              sum + (price?.currency === currency ? BigInt(amountMicros ?? 0) : 0n),
            0n,
          );
          t.is(parts, all);
          t.is(BigInt(total.amounts[currency] ?? 0), all);
        }
        for (const of of TOKEN_CLASSES)
          t.is(
            rows.reduce((sum, { tokens }) => sum + tokens[of], 0),
            total.tokens[of],
          );
      },
    ),
  );
});

test('days begin where one lives, also when clocks change', (t) => {
  const at = (text: string, n: number): CostRecord => recordOf(`d${n}`, { at: Date.parse(text) });
  const records = [
    '2026-03-28T22:59:59Z',
    '2026-03-28T23:00:00Z',
    '2026-03-29T21:59:59Z',
    '2026-03-29T22:00:00Z',
  ].map(at);
  const days = (zone: string) =>
    sumsOf(records, ['day'], zone).rows.map(({ key, records: n }) => [key['day'], n]);
  t.deepEqual(days('Europe/Berlin'), [
    ['2026-03-28', 1],
    ['2026-03-29', 2],
    ['2026-03-30', 1],
  ]);
  t.deepEqual(days('UTC'), [
    ['2026-03-28', 2],
    ['2026-03-29', 2],
  ]);
  t.throws(() => sumsOf(records, ['day'], 'Berlin'), { code: 'bad_time_zone' });
});

test('CSV has a line for each row and currency, and no formula', (t) => {
  const records = [
    recordOf('1', { session: 'a' }),
    recordOf('2', { session: 'b', price: null, amountMicros: null }),
  ];
  t.deepEqual(sumsCsv(sumsOf(records, ['session']), ['session']), [
    'session,records,input,cachedInput,cacheWrite,cacheWriteLong,output,unpriced,estimated,currency,amountMicros,amount',
    'a,1,1000,0,0,0,100,0,0,USD,3500,0.0035',
    'b,1,1000,0,0,0,100,1,0,,0,0.00',
  ]);
  const odd = [recordOf('3', { model: '=1+1' }), recordOf('4', { model: '"x",y' })];
  const lines = sumsCsv(sumsOf(odd, ['model']), ['model']);
  t.true(lines.some((line) => line.startsWith('"openai/""x"",y",')));
});

test('a sum that would not be exact is refused, not rounded', (t) => {
  const dear = { row: 'x', currency: 'USD', perMillion: { input: 1e12, output: 0 } };
  const records = Array.from({ length: 10 }, (_, n) =>
    recordOf(`r${n}`, { tokens: { input: 1e9 }, price: dear }),
  );
  t.throws(() => sumsOf(records, []), { code: 'sum_not_exact' });
});

test('of an id that came twice the first counts, and refused ones do not', (t) => {
  const item = (record: CostRecord, reply: object): LogItem => ({
    shard: 0,
    index: 0,
    n: 0,
    at: NOW,
    entry: { cause: { kind: 'ask' }, actor: 'costs/main', event: { type: 'costs.record', record }, reply },
  });
  const found = new Records({ since: NOW, until: NOW + 1_000 });
  found.add(item(recordOf('r1', { at: NOW }), { accepted: true }));
  found.add(item(recordOf('r1', { at: NOW, session: 'b' }), { accepted: true }));
  found.add(item(recordOf('r2', { at: NOW }), { accepted: false }));
  found.add(item(recordOf('r3', { at: NOW + 1_000 }), { accepted: true }));
  t.deepEqual(
    found.all.map(({ id, session }) => [id, session]),
    [['r1', 'a']],
  );
});

test('waste: what failed, was cancelled, done again, or went to who could not', async (t) => {
  await using world = await World.open();
  const skills = { capabilities: ['x', 'y', 'z'] };
  await world.register('able', skills);
  await world.register('poor', { capabilities: ['x'] });
  await world.add(
    ...['good', 'failed', 'dropped', 'redone', 'mismatch', 'open'].map((id) => ({
      id,
      requires: ['x', 'y'],
    })),
  );
  const records: CostRecord[] = [];
  const spend = (task: string | null, session: string, tokens: number): void => {
    records.push(
      recordOf(`r${records.length}`, {
        task,
        session,
        at: world.realm.clock.now(),
        tokens: { input: tokens },
      }),
    );
  };
  let revision = 0;
  const work = async (task: string, session: string, tokens: number, end?: string): Promise<void> => {
    const token = await world.claim(`session/${session}`, task, ++revision);
    await world.realm.advance('1s');
    spend(task, session, tokens);
    await world.realm.advance('1s');
    if (end !== undefined) t.true((await world.say(`session/${session}`, task, end, { token })).accepted);
  };
  await work('good', 'able', 1_000, 'complete');
  await work('failed', 'able', 2_000, 'fail');
  await work('dropped', 'able', 4_000, 'cancel');
  await work('redone', 'able', 8_000, 'release');
  await work('redone', 'able', 16_000, 'complete');
  await work('mismatch', 'poor', 32_000, 'complete');
  await work('open', 'able', 64_000);
  spend(null, 'able', 128_000);
  // A worker that had the task once, and not when it spent.
  spend('good', 'poor', 256_000);

  const attempts = new Attempts();
  for (const entry of world.realm.log()) attempts.add({ at: entry.at, entry });
  const { total, wasted, byReason, share, tasks, unattributed } = wasteOf(records, attempts);
  const input = (sum: { readonly tokens: { readonly input: number } }): number => sum.tokens.input;
  t.is(input(total), 511_000);
  t.deepEqual(
    Object.entries(byReason).map(([reason, sum]) => [reason, input(sum)]),
    [
      ['failed', 2_000],
      ['cancelled', 4_000],
      ['redone', 8_000],
      ['mismatch', 32_000],
    ],
  );
  t.is(input(wasted), 46_000);
  t.is(share['USD'], 46 / 511);
  t.deepEqual(
    tasks.map(({ key, reasons }) => [key['task'], ...reasons]),
    [
      ['mismatch', 'mismatch'],
      ['redone', 'redone'],
      ['dropped', 'cancelled'],
      ['failed', 'failed'],
    ],
  );
  t.is(input(unattributed), 128_000);
});
