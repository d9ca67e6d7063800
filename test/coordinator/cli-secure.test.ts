/** The commands about tasks where keys sign on. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { CliFolder } from '../rig/cli.ts';
import { secureBoard } from '../rig/secure-board.ts';

/** Twenty commands, on a machine that is busy with others. */
const SLOW_MS = 240_000;

test('in a secure realm who acts is whose key signs on; only an operator speaks for others', async (t) => {
  t.timeout(SLOW_MS);
  await using folder = new CliFolder();
  const ok = await secureBoard(t, folder, ['session/cli']);
  const asCli = ['--nkey', '.infrafabric/hello/keys/session%cli.seed'];

  await ok('task', 'add', 'A1', 'Event bus');
  t.regex(await ok('why', 'A1'), /added by operator\/admin/);
  const other = await folder.run(['task', 'claim', 'A1', '--as', 'bus', ...asCli]);
  t.is(other.code, 2);
  t.regex(other.err, /error\[bad_actor\]: The key is that of session\/cli: it cannot act as session\/bus/);
  t.is(await ok('task', 'claim', 'A1', ...asCli), 'task/A1 claimed\n');
  t.is(await ok('task', 'progress', 'A1', '20', ...asCli), 'task/A1 in progress, 20 %\n');
  const list = await folder.run(['task', 'list', ...asCli]);
  t.regex(list.err, /error\[list_refused\]: The key of session\/cli may not list/);
  t.regex(await ok('task', 'show', 'A1', ...asCli), /worker +session\/cli, token 1/);

  writeFileSync(
    join(folder.path, 'b.md'),
    '| Task | Owner | Status |\n|---|---|---|\n| M1: One | Session 6 (BUS) | done |\n',
  );
  t.regex(await ok('import', 'b.md'), /Imported: 1 new, 1 changed/);
  t.regex(await ok('import', 'b.md'), /Nothing to change/);
  const asAuditor = ['--nkey', '.infrafabric/hello/keys/auditor%audit.seed'];
  t.regex(await ok('board', ...asAuditor), /2 tasks: 1 in progress, 1 completed/);
  await ok('down');
});
