/** Workers registered, listed and matched on the command line, against a realm that runs. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { CliFolder } from '../rig/cli.ts';

/** Some twenty commands, on a machine that is busy with others. */
const SLOW_MS = 240_000;
const OPEN = { door: 'open', spawnOnMessage: true };
const KINDS = ['board', 'task', 'session', 'registry', 'worker'].map((kind) => [
  kind,
  { machine: kind, ...OPEN },
]);

const test = anyTest as TestFn<{ folder: CliFolder }>;
type T = ExecutionContext<{ folder: CliFolder }>;

test.beforeEach(async (t) => {
  const folder = new CliFolder();
  t.context.folder = folder;
  const config = { realm: 'governed', durability: 'relaxed', kinds: Object.fromEntries(KINDS) };
  writeFileSync(join(folder.path, 'realm.yaml'), JSON.stringify(config));
  const { code, out, err } = await folder.run(['up', '--detach']);
  t.is(code, 0, `${out}${err}`);
});

test.afterEach.always(async (t) => {
  await t.context.folder[Symbol.asyncDispose]();
});

async function ok(t: T, ...args: string[]): Promise<string> {
  const { code, out, err } = await t.context.folder.run(args);
  t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
  return `${out}${err}`;
}

async function json<Row>(t: T, ...args: string[]): Promise<Row[]> {
  const { code, out, err } = await t.context.folder.run([...args, '--json']);
  t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

async function refused(t: T, ...args: string[]): Promise<string> {
  const { code, err } = await t.context.folder.run(args);
  t.not(code, 0, args.join(' '));
  return err;
}

test('workers are registered, listed and matched, and every refusal names its filter', async (t) => {
  t.timeout(SLOW_MS);
  t.regex(await ok(t, 'governor', 'list'), /No worker is registered/);
  t.regex(await ok(t, 'governor', 'taxonomy'), /taxonomy 1: \d+ skills in \d+ categories, in force/);
  t.regex(await refused(t, 'governor', 'taxonomy'), /error\[registration_refused\]: version 1 is in force/);

  const register = ['governor', 'register'] as const;
  const first = await ok(t, ...register, 'session/ann', '--capabilities', 'voip,code:go', '--cost', '12.50');
  t.regex(first, /✓ worker\/ann {2}12\.50 USD\/h, 1 at once, can code:go, integration:sip/);
  t.regex(first, /note: "voip" is read as integration:sip/);
  t.regex(
    await ok(t, ...register, 'ann', '--max-concurrent', '1'),
    /✓ worker\/ann {2}12\.50 USD\/h, 1 at once, can code:go, integration:sip/,
    'what is not named stays',
  );
  t.regex(await refused(t, ...register), /error\[usage\]: Name a worker/);
  const typo = await ok(t, ...register, 'ben', '--capabilities', 'integration:siip', '--cost', '3');
  t.regex(typo, /warning: "integration:siip" is not in taxonomy 1 — did you mean "integration:sip"\?/);
  const strict = ['--capabilities', 'integration:siip', '--strict'];
  t.regex(await refused(t, ...register, 'ben', ...strict), /error\[registration_refused\].*did you mean/);
  t.regex(await refused(t, ...register, 'ben', '--capabilities', 'sipp'), /is not category:skill/);
  t.regex(await refused(t, ...register, 'ben', '--currency', 'EUR'), /prices are in USD here, not EUR/);
  t.regex(await refused(t, ...register, 'ben', '--as', 'ann'), /session\/ann may not/);
  t.regex(await refused(t, ...register, 'b c'), /error\[bad_profile\]: id/);

  const { folder } = t.context;
  writeFileSync(
    join(folder.path, 'workers.yaml'),
    `workers:
  - id: cheap
    capabilities: [integration:sip:tls, code:go]
    costPerHour: { micros: 5000000 }
    bloom: { fromTokens: 1000, toTokens: 8000 }
  - id: cat
    capabilities: [code:go]
`,
  );
  t.regex(await ok(t, ...register, '--file', 'workers.yaml'), /worker\/cheap[\s\S]*worker\/cat/);
  writeFileSync(join(folder.path, 'bad.yaml'), 'workers:\n  - id: x\n    maxConcurent: 2\n');
  t.regex(
    await refused(t, ...register, '--file', 'bad.yaml'),
    /bad\.yaml:3:5: unknown key "maxConcurent" — did you mean/,
  );

  const listed = await json<{ id: string; reputationNow: number }>(t, 'governor', 'list');
  t.deepEqual(
    listed.map(({ id }) => id),
    ['ann', 'ben', 'cat', 'cheap'],
  );
  t.is(listed[0]?.reputationNow, 0.7);
  t.deepEqual(
    (await json<{ id: string }>(t, 'governor', 'list', '--capability', 'integration:sip')).map(
      ({ id }) => id,
    ),
    ['ann', 'cheap'],
  );
  t.regex(await ok(t, 'governor', 'list'), /ann +0\.70 +0 +0 +0\/1 +12\.50 USD +closed +code:go/);

  await ok(t, 'task', 'add', 'T1', 'A call', '--requires', 'integration:sip,code:go', '--hours', '2');
  const [ranking] = await json<{
    candidates: { worker: string; factors: { score: number; estimateMicros: number } }[];
    refused: Record<string, number>;
    verdicts: { worker: string; refusals: { filter: string; is: number }[] }[];
  }>(t, 'governor', 'match', 'T1', '--explain');
  t.deepEqual(
    ranking?.candidates.map(({ worker }) => worker),
    ['cheap', 'ann'],
  );
  t.like(ranking?.candidates[0]?.factors, { score: 0.14, estimateMicros: 10_000_000 });
  t.deepEqual(ranking?.refused, { match: 2 });
  t.deepEqual(ranking?.verdicts.find(({ worker }) => worker === 'cat')?.refusals, [
    { filter: 'match', is: 0.5, wants: 0.7 } as never,
  ]);
  const shown = await ok(t, 'governor', 'match', 'T1', '--explain');
  t.regex(shown, /2 workers were refused, first by: match 2\./);
  t.regex(shown, /cat +match 0\.50, wanted 0\.70/);
  t.regex(await ok(t, 'governor', 'match', '--requires', 'media:video'), /Nobody can be given it/);
  t.regex(await refused(t, 'governor', 'match', 'T9'), /error\[task_unknown\]/);
});
