import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import OpenAI from 'openai';
import { openCosts } from '#actors/costs/client';
import { CliFolder } from '../rig/cli.ts';
import { TestRealm } from '../rig/realm.ts';
import { StandInProvider } from './stand-in-provider.ts';

const open = (machine: string) => ({ machine, spawnOnMessage: true, door: 'open' });
const KINDS = {
  costs: open('costs'),
  prices: open('prices'),
  task: open('task'),
  session: open('session'),
  board: open('board'),
};

const test = anyTest as TestFn<{ realm: TestRealm; folder: CliFolder }>;

test.before(async (t) => {
  t.context.realm = await TestRealm.start({ config: { kinds: KINDS, durability: 'relaxed' } });
  t.context.folder = new CliFolder();
});
test.after.always(async (t) => {
  await t.context.folder?.[Symbol.asyncDispose]();
  await t.context.realm?.[Symbol.asyncDispose]();
});

test.serial(
  'prices in, records in, sums out: by session, task and day, as table, JSON and CSV',
  async (t) => {
    const { realm, folder } = t.context;
    const run = (...args: string[]) => folder.run(['cost', ...args, '--data', realm.dataDir]);
    writeFileSync(
      join(folder.path, 'bad.yaml'),
      'prices:\n  - provider: openai\n    model: m\n    from: 2026-01-01\n    input: x\n    output: 1\n',
    );
    const bad = await run('rates', '--import', 'bad.yaml');
    t.is(bad.code, 1);
    t.regex(bad.err, /bad_prices[\s\S]*bad\.yaml:5:12: /);
    const table = 'provider,model,from,input,output\nopenai,m,2026-01-01,2.50,10\nopenai,n,2026-01-01,1,4\n';
    writeFileSync(join(folder.path, 'prices.csv'), table);
    t.regex((await run('rates', '--import', 'prices.csv')).out, /2 new, 0 changed, 0 the same/);
    writeFileSync(join(folder.path, 'dearer.csv'), table.replace('2.50', '3'));
    const dearer = await run('rates', '--import', 'dearer.csv');
    t.is(dearer.code, 4);
    t.regex(dearer.err, /prices_refused[\s\S]*openai\/m@2026-01-01/);

    using a = openCosts(await realm.client({ from: 'session/a' }));
    using b = openCosts(await realm.client({ from: 'session/b' }));
    const at = Date.parse('2026-03-01T23:30:00Z');
    const first = {
      id: 'r1',
      provider: 'openai',
      model: 'm',
      tokens: { input: 1_000, output: 10 },
      task: 't1',
      at,
    };
    t.like(await a.record(first), { known: false, record: { amountMicros: 2_600 } });
    t.is((await a.record(first)).record.amountMicros, 2_600);
    await b.record({ ...first, id: 'r2', model: 'n', at: at + 3_600_000 });
    t.like(await b.record({ ...first, id: 'r3', model: 'who', task: 't2' }), {
      record: { amountMicros: null, price: null },
      unpriced: { code: 'unknown_model' },
    });
    await t.throwsAsync(a.record({ ...first, id: 'r4', session: 'b' }), { code: 'cost_refused' });
    await t.throwsAsync(a.record({ ...first, id: 'r5', tokens: { input: -1 } }), { code: 'cost_refused' });
    t.like(await a.book(), { total: { records: 3, amounts: { USD: 3_640 } }, unpriced: 1 });

    const json = (out: string) =>
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    const bySession = json((await run('report', '--json')).out);
    t.like(bySession[0], { key: { session: 'a' }, records: 1, amounts: { USD: 2_600 } });
    t.like(bySession.at(-1), { total: { records: 3, unpriced: 1, amounts: { USD: 3_640 } } });
    const days = await run(
      'report',
      '--by',
      'day,model',
      '--time-zone',
      'Europe/Berlin',
      '--task',
      't1',
      '--csv',
    );
    t.deepEqual(
      days.out.trim().split('\n').slice(1),
      [
        '2026-03-02,openai/m,1,1000,0,0,0,10,0,0,USD,2600,0.0026',
        '2026-03-02,openai/n,1,1000,0,0,0,10,0,0,USD,1040,0.00104',
      ],
      days.err,
    );
    const until = await run('report', '--until', '2026-03-02T00:00:00Z', '--by', 'task');
    t.regex(until.out, /t1 +1 +1 000 +0 +10 +0\.0026 USD/);
    t.regex(until.out, /1 record has no price/);
    t.is((await run('report', '--by', 'weather')).code, 2);
    t.regex((await run('report', '--time-zone', 'Mars')).err, /bad_time_zone/);
    t.regex((await run('report', '--waste')).out, /wasted +– of 0\.00364 USD/);

    const exported = await run('rates', '--export', 'csv');
    writeFileSync(join(folder.path, 'again.csv'), exported.out);
    t.regex((await run('rates', '--import', 'again.csv')).out, /0 new, 0 changed, 2 the same/);
    t.regex((await run('rates')).out, /openai\/m +2026-01-01 +– +2\.50 +– +– +10\.00 +USD/);
  },
);

test.serial('who watches sees each record as it is spent', async (t) => {
  const { realm, folder } = t.context;
  const watching = folder.start(['cost', 'watch', '--json', '--data', realm.dataDir]);
  using a = openCosts(await realm.client({ from: 'session/a' }));
  let n = 0;
  const seen = watching.until(/"record"/);
  // Until it listens, what is told goes by.
  const timer = setInterval(() => {
    n += 1;
    a.record({ id: `w${n}`, provider: 'openai', model: 'm', tokens: { input: 1_000 } }).catch(
      () => undefined,
    );
  }, 200);
  await seen.finally(() => clearInterval(timer));
  watching.process.kill('SIGINT');
  const { out, code } = await watching.ended;
  t.like(JSON.parse(out.split('\n')[0] ?? ''), { record: { session: 'a', amountMicros: 2_500 } });
  t.is(code, 130);
});

test.serial('`meter` serves agents on loopback, with a token that it makes, and counts', async (t) => {
  const { realm, folder } = t.context;
  await using provider = await StandInProvider.open();
  const config = `providers:\n  openai: { wire: openai, url: "${provider.url}", keyEnv: PROVIDER_KEY }\n`;
  writeFileSync(join(folder.path, 'meter.yaml'), config);
  const missing = await folder.run(['meter', 'meter.yaml', '--data', realm.dataDir]);
  t.is(missing.code, 1);
  t.regex(missing.err, /provider_key_missing[\s\S]*PROVIDER_KEY is not set/);
  const key = 'PROVIDER_KEY=sk-secret';
  const meter = folder.startShell(
    `${key} exec infrafabric meter meter.yaml --no-budget --data '${realm.dataDir}'`,
  );
  await meter.until(/as the key/);
  const [, baseURL = ''] = /OPENAI_BASE_URL=(\S+)/.exec(meter.out) ?? [];
  const [, file = ''] = /token in (\S+)/.exec(meter.out) ?? [];
  t.is(statSync(file).mode & 0o077, 0);
  const openai = new OpenAI({
    baseURL,
    apiKey: readFileSync(file, 'utf8').trim(),
    defaultHeaders: { 'if-session': 'm' },
  });
  await openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'x' }] });
  // 1,200 at 2.50 and 50 at 10 for a million.
  await meter.until(/m {2}openai\/m {2}1 200 in, 50 out {2}0\.0035 USD/);
  t.is(provider.seen[0]?.headers.authorization, 'Bearer sk-secret');
  meter.process.kill('SIGINT');
  const { out, err } = await meter.ended;
  t.false(`${out}${err}`.includes('sk-secret'));
  const report = await folder.run([
    'cost',
    'report',
    '--session',
    'm',
    '--by',
    'source',
    '--data',
    realm.dataDir,
  ]);
  t.regex(report.out, /meter +1 +1 000 +200 +50 +0\.0035 USD/);
});
