/** The doors of docs/agents.md that need nothing of ours: the `nats` commands, and the worker in Python. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers } from '@nats-io/nats-core';
import test from 'ava';
import { openCoordinator } from '#actors/coordinator/client';
import { withToken } from '#runtime/bus/servers';
import { blocksOf } from '../docs/page.ts';
import { CliFolder } from '../rig/cli.ts';
import { TestRealm } from '../rig/realm.ts';

const open = (machine: string) => ({ machine, spawnOnMessage: true, door: 'open' });
const CONFIG = {
  kinds: { board: open('board'), task: open('task'), session: open('session') },
};
const blocks = blocksOf('docs/agents.md');
const REQUEST = /^nats request -H (\S+?):(\S+) (\S+) '(.*)'$/;

interface Reply {
  readonly ok: boolean;
  readonly reply?: { readonly accepted?: boolean; readonly token?: number };
}

test('the commands of the page do a task, sent by a NATS client that knows nothing else', async (t) => {
  await using realm = await TestRealm.start({ config: CONFIG });
  const client = await realm.client({ from: 'operator/test' });
  const board = openCoordinator(client);
  await board.addTasks([{ id: 'B1', title: 'by hand' }]);
  const lines = blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.trim().split('\n'));
  const commands = lines.map((line) => REQUEST.exec(line)).filter((match) => match !== null);
  t.is(commands.length, 6);
  // What the page says stands for a number that an earlier answer gave.
  let token = 1;
  for (const [line, name = '', value = '', subject = '', body = ''] of commands) {
    const sent = headers();
    sent.set(name, value);
    const event = JSON.parse(body) as Record<string, unknown>;
    if ('token' in event) event['token'] = token;
    const options = { timeout: 60_000, headers: sent };
    const answer = (await client.connection.request(subject, JSON.stringify(event), options)).json<Reply>();
    t.true(answer.ok && answer.reply?.accepted !== false, `${line}\n${JSON.stringify(answer)}`);
    token = answer.reply?.token ?? token;
  }
  t.like(await board.task('B1'), { status: 'completed', worker: 'session/ann', milestone: 100 });
});

const python = spawnSync('python3', ['-c', 'import nats'], { encoding: 'utf8' });
const withPython = python.status === 0 ? test : test.skip;

withPython(
  'the worker in Python (skipped where python3 cannot import nats) does what it is offered',
  async (t) => {
    await using folder = new CliFolder();
    await using realm = await TestRealm.start({ config: CONFIG });
    const board = openCoordinator(await realm.client({ from: 'operator/test' }));
    await board.addTasks([
      { id: 'P1.1', title: 'one', requires: ['code:python'] },
      { id: 'P1.2', title: 'two', deps: ['P1.1'], requires: ['code:python'] },
    ]);
    const script = blocks.find(({ file }) => file === 'worker.py');
    writeFileSync(join(folder.path, 'worker.py'), script?.text ?? '');
    const url = withToken(realm.url, realm.token);
    const worker = folder.startShell(`export NATS_URL='${url}'\nexec python3 worker.py`);
    await worker.until(/P1\.2 done/);
    t.is(worker.out, 'task/P1.1 done\ntask/P1.2 done\n');
    t.like(await board.task('P1.2'), { status: 'completed', worker: 'session/py' });
  },
);
