/** What somebody meets who starts the example of the README: a realm whose doors take signed messages alone, without a board. */
import { cpSync, readFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import { distribution } from '#actors/distribution';
import { CliFolder } from '../rig/cli.ts';

/** A dozen commands, on a machine that is busy with others. */
const SLOW_MS = 240_000;

test('tasks of the example are shown, claimed and explained; what the realm lacks is named with where to find it', async (t) => {
  t.timeout(SLOW_MS);
  await using folder = new CliFolder();
  cpSync('deploy/examples', folder.path, {
    recursive: true,
    filter: (file) => !file.includes('.infrafabric'),
  });
  const config = ['--config', 'phase0.yaml'];
  const ok = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await folder.run([...args, ...config]);
    t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
    return out;
  };
  const refused = async (pattern: RegExp, ...args: string[]): Promise<void> => {
    const { code, err } = await folder.run([...args, ...config]);
    t.is(code, 4, `${args.join(' ')}\n${err}`);
    t.regex(err, pattern);
  };
  await folder.run(['up', 'phase0.yaml', '--detach']);
  t.regex(await ok('session', 'show', 'ndi'), /^ndi {2}idle\n/);
  t.regex(await ok('task', 'show', 'P0.1.1'), /P0\.1\.1 .* available\n/);
  await refused(/error\[task_unknown\]: There is no task nope/, 'task', 'show', 'nope');
  t.is(await ok('task', 'claim', 'P0.1.1', '--as', 'cli'), 'task/P0.1.1 claimed\n');
  await refused(/error\[already_claimed\]: .*session\/cli has it/, 'task', 'claim', 'P0.1.1', '--as', 'bus');
  t.is(await ok('task', 'progress', 'P0.1.1', '50', '--as', 'cli'), 'task/P0.1.1 in progress, 50 %\n');
  t.regex(await ok('why', 'P0.1.1', '-n', '0'), /session\/cli claimed it under token 1/);
  await refused(
    /error\[unknown_kind\]: .*"board"[\s\S]*help: deploy\/examples\/coordinator\.yaml has this kind/,
    'task',
    'add',
    'X1',
  );
  await refused(/error\[unknown_kind\][\s\S]*help: deploy\/examples\/governor\.yaml/, 'budget', 'tree');
  await ok('down');
});

test('each config that is named for a kind has it', (t) => {
  for (const [kind, file] of Object.entries(distribution.examples)) {
    const { kinds } = parse(readFileSync(file, 'utf8')) as { kinds: Record<string, { machine: string }> };
    t.is(kinds[kind]?.machine, kind, `${kind} in ${file}`);
  }
  t.true(Object.keys(distribution.examples).length > 10);
});
