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

  // Why a task is not running is said as far as the key sees, and what it does not see is said, too.
  await ok('task', 'add', 'A2', 'Client', '--after', 'A1');
  const { out: why, err: note } = await folder.run(['why', 'A2', ...asCli]);
  t.regex(why, /It waits for A1: in_progress, session\/cli has it \(20 %\)\./);
  t.regex(why, /This key does not see what waits for it\.\n +This key does not see the log/);
  t.regex(note, /sign on with the key of an operator or auditor/);
  t.like(JSON.parse(await ok('why', 'A2', '--json', ...asCli)), {
    waitsFor: ['A1'],
    blocks: null,
    story: null,
    entries: null,
  });

  writeFileSync(
    join(folder.path, 'b.md'),
    '| Task | Owner | Status |\n|---|---|---|\n| M1: One | Session 6 (BUS) | done |\n',
  );
  t.regex(await ok('import', 'b.md'), /Imported: 1 new, 1 changed/);
  t.regex(await ok('import', 'b.md'), /Nothing to change/);
  const asAuditor = ['--nkey', '.infrafabric/hello/keys/auditor%audit.seed'];
  t.regex(await ok('board', ...asAuditor), /3 tasks: 1 in progress, 1 waiting, 1 completed/);
  t.like(JSON.parse(await ok('why', 'A2', '--json', ...asAuditor)), { unseen: [], blocks: [] });
  await ok('down');
});
