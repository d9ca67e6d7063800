/** `log`, `index` and `report` on a realm that runs. */
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { CliFolder, type Ended } from '../rig/cli.ts';

const CONFIG = `realm: r
durability: relaxed
kinds:
  counter: { machine: counter, spawnOnMessage: true, door: open }
  task: { machine: task, spawnOnMessage: true }
supervisor: { children: [] }
`;

interface Item {
  readonly shard: number;
  readonly index: number;
  readonly n: number;
  readonly entry: { readonly actor: string; readonly event?: { readonly type: string } };
}

test('log answers with and without an index alike, follows from any point, and report shows the claims', async (t) => {
  await using folder = new CliFolder();
  writeFileSync(join(folder.path, 'realm.yaml'), CONFIG);
  const run = async (...args: string[]): Promise<Ended> => {
    const ended = await folder.run(args);
    t.is(ended.code, 0, `${args.join(' ')}\n${ended.out}${ended.err}`);
    return ended;
  };
  await run('up', '-d');
  for (let nth = 0; nth < 6; nth++) await run('ask', `counter/k${nth % 3}`, 'inc');
  const message = (content: object, performative = 'inform'): string =>
    JSON.stringify({
      performative,
      from: 'if://session/s',
      to: ['if://counter/k1'],
      conversation: 'talk',
      content,
    });
  writeFileSync(
    join(folder.path, 'm.jsonl'),
    `${message({ note: 'because' })}\n${message({}, 'contradict')}\n`,
  );
  await folder.run(['send', '--file', 'm.jsonl']);

  const questions = [
    ['--actor', 'counter/k1'],
    ['--type', 'counter'],
    ['--conversation', 'talk'],
    ['--severity', 'HIGH'],
    ['--actor', 'counter/k1', '-n', '1'],
    ['--type', 'counter', '--from-index', '0.3'],
    ['--task', 'T1'],
  ];
  const ask = async (question: readonly string[]): Promise<Item[]> =>
    (await run('log', ...question, '--json')).out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Item);
  const scanned = await Promise.all(questions.map(ask));
  t.true((scanned[0]?.length ?? 0) >= 2);
  t.is(scanned[4]?.length, 1);
  t.regex((await run('index', 'status')).out, /There is no index yet/);
  t.regex((await run('index', 'build')).out, /nothing waits/);
  t.true(existsSync(resolve(folder.path, '.infrafabric/r/index.sqlite')));
  t.deepEqual(await Promise.all(questions.map(ask)), scanned);
  t.regex((await run('log', '--actor', 'counter/k1')).err, /By the index, as far as sequence \d+/);

  await run('ask', 'counter/k1', 'inc');
  const status = JSON.parse((await run('index', 'status', '--json', '--check')).out) as {
    lag: number;
    last: number;
  };
  t.true(status.lag > 0);
  const last = (await ask(['--actor', 'counter/k1'])).at(-1);
  t.is(last?.entry.event?.type, 'inc', 'and it is brought up to date before it answers');

  const following = folder.start([
    'log',
    '--follow',
    '--json',
    '--actor',
    'counter/k1',
    '--from-index',
    String(status.last),
  ]);
  await following.until(/"inc"/);
  await run('ask', 'counter/k1', 'add', '{"by":77}');
  await following.until(/"by":77/);
  following.process.kill('SIGINT');
  t.is((await following.ended).code, 130);

  t.is((await folder.run(['log', '--from-index', '0.99999'])).code, 1);
  t.is((await folder.run(['log', '--trace', 'no'])).code, 2);
  const report = JSON.parse((await run('report', 'ttt', '--json')).out) as {
    claims: unknown[];
    refusals: unknown[];
  };
  t.true(report.claims.length + report.refusals.length > 0);
  t.regex((await run('report', 'ttt')).out, /# TTT report: r/);
  t.regex((await run('report', 'ttt', '--task', 'none')).out, /Nobody claimed anything/);
  t.regex((await run('index', 'drop')).out, /Removed/);
  t.regex((await run('index', 'drop')).out, /There is no index/);
});
