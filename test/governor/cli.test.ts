/** Budgets and breakers from the command line, against a realm that runs. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openBreakers } from '#actors/governor/breakers';
import { openBudgets } from '#actors/governor/budgets';
import { connect } from '#runtime/client/node';
import { CliFolder } from '../rig/cli.ts';

const SLOW_MS = 240_000;

test('limits are set, watched, overridden and forecast; a breaker opens with its budget and is reset with a new one', async (t) => {
  t.timeout(SLOW_MS);
  await using folder = new CliFolder();
  copyFileSync('deploy/examples/governor.yaml', join(folder.path, 'realm.yaml'));
  const ok = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await folder.run(args);
    t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
    return out;
  };
  const fails = async (pattern: RegExp, code: number, ...args: string[]): Promise<void> => {
    const ended = await folder.run(args);
    t.is(ended.code, code, `${args.join(' ')}\n${ended.out}${ended.err}`);
    t.regex(ended.err, pattern);
  };
  await ok('up', '--detach');
  t.regex(await ok('budget', 'tree'), /There are no budgets in tree main yet/);
  await fails(
    /error\[currency_differs\][\s\S]*help: Name its currency: --currency EUR/,
    4,
    'budget',
    'set',
    'realm',
    '--limit',
    '50',
  );
  await fails(/error\[usage\]: .*'a b'/, 2, 'budget', 'set', 'a b', '--currency', 'EUR');
  await fails(/error\[usage\]: .*ISO 4217 such as EUR/, 2, 'budget', 'set', 'realm', '--currency', 'EURO');
  await fails(/error\[bad_zone\]: "Mars\/North"/, 2, 'budget', 'set', 'realm', '--zone', 'Mars/North');
  await ok(
    'budget',
    'set',
    'realm',
    '--currency',
    'EUR',
    '--limit',
    '50',
    '--period',
    'day',
    '--zone',
    'UTC',
  );
  t.regex(
    await ok('budget', 'set', 'session:ndi', '--parent', 'realm', '--limit', '2', '--degrade', 'model:small'),
    /✓ session:ndi {2}0 %\n {2}money {5}0\.00 EUR of 2\.00 EUR, 0\.00 EUR held/,
  );
  await fails(/error\[parent_differs\][\s\S]*--parent realm/, 4, 'budget', 'set', 'orphan', '--limit', '1');
  await ok('budget', 'set', 'z:free', '--parent', 'realm', '--limit', '3', '--tokens', '7');
  const unbound = await ok('budget', 'set', 'z:free', '--limit', 'none', '--tokens', 'none', '--json');
  t.like(JSON.parse(unbound), { limit: { micros: null, tokens: null } });
  await fails(/error\[bad_degrade\]/, 2, 'budget', 'set', 'realm', '--degrade', 'pray');
  await fails(/error\[unknown_account\]: There is no account nobody/, 4, 'budget', 'show', 'nobody');

  await using client = await connect({ runFile: runFile(folder), from: 'session/ndi' });
  await using operator = await connect({ runFile: runFile(folder), from: 'operator/ann' });
  const breakers = openBreakers(operator);
  await breakers.guard('session:ndi', 'budget/main:session:ndi');
  const budgets = openBudgets(client);
  const held = await budgets.reserve('session:ndi', { micros: 1_900_000 });
  t.true(held.granted && held.degrade?.to === 'model');
  if (held.granted) await budgets.commit(held.reservation.id, { micros: 1_950_000 });
  const denied = await budgets.reserve('session:ndi', { micros: 100_000 });
  t.is(
    denied.granted ? '' : `${denied.error.code}: ${denied.error.message}`,
    'budget_exhausted: session/ndi asks for 0.10 EUR of session:ndi: budget session:ndi has 0.05 EUR left of 2.00 EUR',
  );
  t.regex(
    await ok('budget', 'show', 'session:ndi'),
    /session:ndi {2}97 %.*exhausted\n[\s\S]*model small\n[\s\S]*above {5}realm/,
  );
  t.regex(
    await ok('budget', 'tree'),
    /realm +3 % +1\.95 EUR +0\.00 EUR +50\.00 EUR .*day\n {2}session:ndi +97 % +1\.95 EUR/,
  );
  t.regex(await ok('budget', 'forecast'), /realm +\S+ EUR +0 +(exhausted at \d\d:\d\d|lasts until)/);
  t.regex(await ok('budget', 'forecast', 'session:ndi'), /session:ndi +\S+ EUR +0 +exhausted/);
  await fails(/error\[reason_missing\]/, 2, 'budget', 'set', 'realm', '--extra', '5');
  const more = await ok('budget', 'set', 'realm', '--extra', '5', '--reason', 'release day', '--json');
  t.like(JSON.parse(more), { account: 'realm', extra: { micros: 5_000_000 } });

  // By mail, a moment later.
  while ((await breakers.get('session:ndi')).status !== 'open');
  t.regex(
    await ok('governor', 'breakers'),
    /session:ndi +open +0 +.* ago +waits for a reset +budget\/main:session:ndi is exhausted/,
  );
  await fails(
    /error\[budget_still_exhausted\].*has nothing left/,
    4,
    'governor',
    'reset',
    'session:ndi',
    '--reason',
    'try',
  );
  await ok('governor', 'reset', 'session:ndi', '--limit', '20', '--reason', 'the customer pays for more');
  t.is(await ok('governor', 'breakers'), 'No breaker is open.\n');
  t.regex(await ok('governor', 'breakers', '--all'), /session:ndi +closed .*the customer pays for more/);
  t.regex(await ok('budget', 'show', 'session:ndi'), /1\.95 EUR of 20\.00 EUR/);
  // Every decision is an entry with its reasons.
  const log = await ok('log', '--actor', 'ledger/main', '--json');
  t.regex(log, /"type":"budget_overridden".*"reason":"release day"/);
  await fails(/error\[breaker_closed\]/, 4, 'governor', 'reset', 'session:ndi', '--reason', 'again');
});

function runFile(folder: CliFolder): string {
  return join(folder.path, '.infrafabric/governor/run.json');
}
