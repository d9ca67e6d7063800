import test from 'ava';
import fc from 'fast-check';
import { readPrices } from '#actors/costs/prices/read';
import { pricesCsv, pricesYaml } from '#actors/costs/prices/write';
import { prices } from '#machines/prices';
import { quote } from '#machines/prices/table';
import { testRealm } from '#runtime/testing/testing';
import type { FabricError } from '#schemas/fabric-error';
import { type PricePage, type PriceReply, type PriceRow, priceRowSchema } from '#schemas/price';

const DAY = Date.parse('2026-03-01T00:00:00Z');
const YAML = `prices:
  - provider: openai
    model: large-1
    aliases: [large-latest, "large-1-*"]
    from: 2026-01-01
    until: 2026-06-01
    input: "2.50"
    cachedInput: 0.25
    output: 10
    outputMax: 16384
  - provider: openai
    model: large-1
    from: 2026-06-01
    input: 2
    output: 8
  - provider: anthropic
    model: poet-4
    currency: EUR
    from: 2026-01-01T12:00:00+01:00
    input: 3
    cacheWrite: 3.75
    cacheWriteLong: 6
    output: 15
`;

function problemsOf(file: string, text: string): string[] {
  try {
    readPrices(file, text);
    return [];
  } catch (thrown) {
    return (thrown as FabricError).message.split('\n');
  }
}

test('a table is read with its dates, aliases and exact prices', (t) => {
  const [first, second, third] = readPrices('p.yaml', YAML);
  t.deepEqual(first, {
    id: 'openai/large-1@2026-01-01',
    provider: 'openai',
    model: 'large-1',
    aliases: ['large-latest', 'large-1-*'],
    currency: 'USD',
    from: Date.parse('2026-01-01T00:00:00Z'),
    until: Date.parse('2026-06-01T00:00:00Z'),
    perMillion: { input: 2_500_000, cachedInput: 250_000, output: 10_000_000 },
    outputMax: 16_384,
  });
  t.is(second?.until, null);
  t.like(third, { id: 'anthropic/poet-4@2026-01-01T11:00:00.000Z', currency: 'EUR' });
});

test('what is written is read again as it was, in both forms', (t) => {
  const rows = readPrices('p.yaml', YAML);
  t.deepEqual(readPrices('q.yml', pricesYaml(rows)), rows);
  t.deepEqual(readPrices('q.csv', pricesCsv(rows)), rows);
  const names = fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/);
  const micros = fc.nat({ max: 999_999_999_999 });
  const row = fc.record({
    model: names,
    from: fc.nat({ max: 10_000 }),
    input: micros,
    output: micros,
    cachedInput: micros,
  });
  fc.assert(
    fc.property(fc.uniqueArray(row, { selector: ({ model }) => model, maxLength: 20 }), (list) => {
      const table = list.map(({ model, from, ...perMillion }) => {
        const at = from * 86_400_000;
        const id = `openai/${model}@${new Date(at).toISOString().slice(0, 10)}`;
        return priceRowSchema.parse({ id, provider: 'openai', model, currency: 'USD', from: at, perMillion });
      });
      t.deepEqual(readPrices('q.yaml', pricesYaml(table)), table);
      t.deepEqual(readPrices('q.csv', pricesCsv(table)), table);
    }),
    { numRuns: 30 },
  );
});

test('everything wrong with a YAML table is told at its place, and nothing is taken', (t) => {
  const text = YAML.replace('cachedInput: 0.25', 'cachedInput: 0.0000001')
    .replace('from: 2026-06-01', 'from: 2026-02-30')
    .replace('currency: EUR', 'currency: Euro')
    .replace('outputMax', 'outputmax');
  const problems = problemsOf('p.yaml', text);
  t.is(problems.length, 4);
  t.regex(problems[0] ?? '', /^p\.yaml:8:18: .*six digits/);
  t.regex(problems[1] ?? '', /^p\.yaml:10:5: unknown key "outputmax" — did you mean "outputMax"/);
  t.regex(problems[2] ?? '', /^p\.yaml:13:11: .*expected a date/);
  t.regex(problems[3] ?? '', /^p\.yaml:18:15: .*three capital letters/);
  t.regex(problemsOf('p.yaml', '- 1\n')[0] ?? '', /expected "prices"/);
});

test('prices of one model at one moment, and names of two models, are conflicts', (t) => {
  t.regex(
    problemsOf('p.yaml', YAML.replace('until: 2026-06-01', 'until: 2026-07-01'))[0] ?? '',
    /^p\.yaml:11:5: .*overlaps/,
  );
  t.regex(
    problemsOf('p.yaml', YAML.replace('until: 2026-06-01', 'until: 2025-06-01'))[0] ?? '',
    /ends before it begins/,
  );
  const other = `  - { provider: openai, model: large-latest, from: 2026-01-01, input: 1, output: 1 }\n`;
  t.regex(
    problemsOf('p.yaml', YAML + other)[0] ?? '',
    /^p\.yaml:24:5: "large-latest" is a name of openai\/large-1 already/,
  );
});

test('CSV is checked line by line, whatever its quotes hold', (t) => {
  const head =
    'provider,model,aliases,currency,from,until,input,cachedInput,cacheWrite,cacheWriteLong,output,outputMax';
  const good = 'openai,"m-1","a b*",USD,2026-01-01,,1.5,,,,6,';
  t.is(problemsOf('p.csv', `\uFEFF${head}\r\n${good}\r\n`).length, 0);
  t.deepEqual(readPrices('p.csv', `${head}\n${good}\n`)[0]?.aliases, ['a', 'b*']);
  const problems = problemsOf(
    'p.csv',
    `${head}\n${good}\nopenai,m-2,,USD,soon,,1,,,,x,\nopenai,m-3,,USD,2026-01-01,,,,,,6,\n`,
  );
  t.deepEqual(
    problems.map((line) => line.slice(0, 8)),
    ['p.csv:3:', 'p.csv:3:', 'p.csv:4:'],
  );
  t.regex(problems.at(-1) ?? '', /"input": is missing/);
  t.regex(problemsOf('p.csv', `provider,price\nx,1\n`)[0] ?? '', /unknown column "price"/);
  t.regex(problemsOf('p.csv', `${head}\n"openai`)[0] ?? '', /^p\.csv:\d+:1: /);
});

test('a name finds its model, a moment its row; what is not there is told, and costs nothing by mistake never', (t) => {
  const rows = readPrices('p.yaml', YAML);
  const idOf = (model: string, at = DAY, provider = 'openai'): string => {
    const found = quote(rows, provider, model, at);
    return found.found ? found.row.id : found.code;
  };
  t.is(idOf('large-1'), 'openai/large-1@2026-01-01');
  t.is(idOf('large-latest'), 'openai/large-1@2026-01-01');
  t.is(idOf('large-1-2026-02-03'), 'openai/large-1@2026-01-01');
  t.is(idOf('large-1', Date.parse('2026-06-01T00:00:00Z')), 'openai/large-1@2026-06-01');
  t.is(idOf('large-1', Date.parse('2026-05-31T23:59:59.999Z')), 'openai/large-1@2026-01-01');
  t.is(idOf('large-1', 0), 'no_price_then');
  t.is(idOf('large-2'), 'unknown_model');
  t.is(idOf('large-1', DAY, 'anthropic'), 'unknown_model');
});

test('the realm’s table: bounded, without conflicts, changed by who may and on purpose only', async (t) => {
  await using realm = await testRealm({ machines: [prices], now: DAY });
  const apply = async (rows: readonly PriceRow[], more = {}, from = 'operator/ann'): Promise<PriceReply> =>
    (await realm.ask('prices/main', { type: 'price.apply', rows, ...more }, { from })).reply as PriceReply;
  const rows = readPrices('p.yaml', YAML);
  const [first, second] = rows as [PriceRow, PriceRow, PriceRow];
  t.like(await apply(rows, {}, 'session/a'), { accepted: false, code: 'not_permitted' });
  const reply = await apply(rows);
  t.is(reply.accepted && reply.added.length, 3);
  t.like(await apply(rows), { accepted: true, revision: 1, same: 3 });
  const dearer = { ...first, perMillion: { ...first.perMillion, input: 1 } };
  t.like(await apply([dearer]), { accepted: false, code: 'price_conflict' });
  t.like(await apply([dearer], { replace: true }), { accepted: true, revision: 2, changed: [first.id] });
  t.like(await apply([{ ...second, id: 'openai/large-1@x', from: second.from - 1 }]), {
    accepted: false,
    code: 'price_conflict',
  });
  t.like(await apply([{ ...second, currency: 'x' }]), { accepted: false, code: 'bad_action' });
  const many = Array.from({ length: 500 }, (_, n) => ({ ...second, id: `openai/m${n}@x`, model: `m${n}` }));
  const named = (k: number): PriceRow[] =>
    many.map((row) => ({ ...row, id: `${k}${row.id}`, model: `${k}${row.model}` }));
  for (const k of [1, 2, 3]) t.true((await apply(named(k))).accepted);
  t.like(await apply(named(4)), { accepted: false, code: 'table_full' });
  const all: PriceRow[] = [];
  for (let skip: number | null = 0; skip !== null; ) {
    const page = (await realm.ask('prices/main', { type: 'price.get', skip })).reply as PricePage;
    all.push(...page.rows);
    skip = page.next;
  }
  t.is(all.length, 1_503);
  t.deepEqual(all.map(({ provider }) => provider).slice(0, 2), ['anthropic', 'openai']);
});
