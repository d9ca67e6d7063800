/** Swarms from the command line: a spawn and a stop are over when the processes are. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
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

  write('refused', 1, 'true', '');
  const refused = await swarm('spawn', 'refused.yaml');
  t.not(refused.code, 0);
  t.regex(refused.err, /swarm_not_started.*refused-1.*Running true is not allowed/s);

  write('quick', 3, process.execPath, '');
  const quick = await swarm('spawn', 'quick.yaml');
  t.is(quick.code, 0, quick.err);
});

function textOf(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
