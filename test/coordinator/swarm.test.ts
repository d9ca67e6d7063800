/** Swarms from the command line: a spawn and a stop are over when the processes are. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { runner } from '#machines/runner';
import { supervisor } from '#machines/supervisor';
import { swarm } from '#machines/swarm';
import { testRealm } from '#runtime/testing/testing';
import { CliFolder } from '../rig/cli.ts';
import { until } from '../rig/load.ts';
import { TestRealm } from '../rig/realm.ts';

const { kinds } = parse(readFileSync('deploy/examples/coordinator.yaml', 'utf8')) as { kinds: object };

/** Says its pid, and takes its time to end. */
const SLOW = `
  process.on('SIGTERM', () => setTimeout(() => process.exit(), 700));
  require('node:fs').writeFileSync(process.env.INFRAFABRIC_SESSION.slice(8) + '.pid', String(process.pid));
  setInterval(() => {}, 1000);`;

test('a spawn is over when every process runs or cannot, a stop when none is there', async (t) => {
  await using folder = new CliFolder();
  await using realm = await TestRealm.start({
    config: { kinds, drivers: { 'session-process': { allow: [process.execPath] } } },
  });
  const swarm = async (command: string, ...args: string[]) =>
    await folder.run(['swarm', command, ...args, '--data', realm.dataDir]);
  const write = (id: string, size: number, command: string, script: string): void =>
    writeFileSync(
      join(folder.path, `${id}.yaml`),
      JSON.stringify({ id, size, process: { command, args: ['-e', script] } }),
    );
  write('slow', 2, process.execPath, SLOW);
  const spawned = await swarm('spawn', 'slow.yaml');
  t.is(spawned.code, 0, spawned.err);
  const listed = await swarm('list');
  t.regex(listed.out, /^ {2}slow-1 +running/m);
  t.regex(listed.out, /^ {2}slow-2 +running/m);

  const pids = (): number[] =>
    ['slow-1', 'slow-2'].map((id) => Number(textOf(join(folder.path, `${id}.pid`))));
  await until(async () => pids().every((pid) => pid > 0), 'their pids');
  const before = pids();
  const stopped = await swarm('stop', 'slow');
  t.is(stopped.code, 0, stopped.err);
  for (const pid of before) t.throws(() => process.kill(pid, 0), { code: 'ESRCH' });

  // At once, while its supervisor may not have ended yet.
  const again = await swarm('spawn', 'slow.yaml');
  t.is(again.code, 0, again.err);
  await until(async () => pids().every((pid, i) => pid !== before[i]), 'their new pids');
  t.regex((await swarm('list')).out, /^slow +running.*\n {2}slow-1 +running/m);
  const named = { id: 'other', sessions: [{ id: 'slow-1' }], process: { command: process.execPath } };
  writeFileSync(join(folder.path, 'named.yaml'), JSON.stringify(named));
  t.regex((await swarm('spawn', 'named.yaml')).err, /session_of_another.*slow-1 .*in swarm slow/s);
  t.is((await swarm('stop', 'slow')).code, 0);

  write('refused', 1, 'true', '');
  const refused = await swarm('spawn', 'refused.yaml');
  t.not(refused.code, 0);
  t.regex(refused.err, /swarm_not_started.*refused-1.*Running true is not allowed/s);

  write('quick', 3, process.execPath, '');
  const quick = await swarm('spawn', 'quick.yaml');
  t.is(quick.code, 0, quick.err);
});

test('a swarm that is formed again while its processes end runs those of its last form, once', async (t) => {
  const running = new Set<string>();
  await using realm = await testRealm({
    machines: [runner, supervisor, swarm],
    drivers: {
      'session-process': {
        waits: true,
        run: async ({ input, signal }) => {
          const { command } = input as { command: string };
          running.add(command);
          signal.addEventListener('abort', () => running.delete(command));
          return await new Promise(() => undefined);
        },
      },
    },
  });
  const by = { from: 'operator/ann' };
  const form = (command?: string) => ({
    type: 'swarm.form',
    template: { id: 'a', size: 2, ...(command !== undefined && { process: { command } }) },
  });
  const stop = { type: 'swarm.stop' };
  const say = async (...events: object[]): Promise<void> => {
    for (const event of events) realm.send('swarm/a', event, by);
    await realm.idle();
  };
  const status = async () => (await realm.actor('swarm/a')).state;

  await say(form('first'));
  await say(stop, form('second'));
  t.is(await status(), 'running');
  t.deepEqual([...running], ['second']);

  await say(form(), form('third'), form('fourth'));
  t.is(await status(), 'running');
  t.deepEqual([...running], ['fourth']);

  await say(form(), form('fifth'), stop);
  t.is(await status(), 'stopped');
  t.deepEqual([...running], []);

  await say(form('sixth'));
  t.is(await status(), 'running');
  await say(stop, form());
  t.is(await status(), 'running', 'its sessions come by themselves');
  t.deepEqual([...running], []);
});

function textOf(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
