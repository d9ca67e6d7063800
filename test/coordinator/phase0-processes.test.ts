/** The phase-0 board done by seven session processes: two of them over MCP, two killed on the way. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parse } from 'yaml';
import { openCoordinator } from '#actors/coordinator/client';
import type { Entry } from '#schemas/commit';
import type { TaskSpecInput } from '#schemas/task';
import { CliFolder } from '../rig/cli.ts';
import { TestRealm } from '../rig/realm.ts';

interface Board {
  readonly sessions: readonly { readonly id: string; readonly capabilities: readonly string[] }[];
  readonly tasks: readonly TaskSpecInput[];
  readonly fillers: readonly TaskSpecInput[];
}

const board = parse(readFileSync('deploy/examples/phase0-board.yaml', 'utf8')) as Board;
const { kinds } = parse(readFileSync('deploy/examples/coordinator.yaml', 'utf8')) as { kinds: object };
/** Of the two, one works over MCP. */
const KILLED = ['cli', 'ndi'];
const MCP = ['ndi', 'webrtc'];
const BLOCKED = ['P0.2.3', 'P0.5.2'];
const PATIENCE_MS = 200_000;

const TEMPLATE = {
  id: 'phase0',
  sessions: board.sessions.map(({ id, capabilities }) => ({ id, capabilities })),
  process: {
    command: process.execPath,
    args: [fileURLToPath(import.meta.resolve('./session-worker.ts'))],
    env: { WORKER_MCP: MCP.join(','), WORKER_BLOCKED: BLOCKED.join(','), PATH: `\${env:PATH}` },
    intensity: 20,
  },
};

test('26 tasks, each once and after what it needs; what was killed comes back; fillers while blocked; replayed and verified', async (t) => {
  await using folder = new CliFolder();
  await using realm = await TestRealm.start({
    config: {
      kinds,
      durability: 'relaxed',
      drivers: { 'session-process': { allow: [process.execPath], allowEnv: ['PATH'] } },
    },
  });
  const data = ['--data', realm.dataDir];
  const coordinator = openCoordinator(await realm.client({ from: 'operator/test' }));
  const fillers = board.fillers.map((filler) => ({ ...filler, filler: true }));
  const added = await coordinator.addTasks([...board.tasks, ...fillers]);
  t.true(added.accepted, JSON.stringify(added));

  // Each victim dies once, in the middle of a task.
  const killed = new Map<string, string>();
  const completed = new Set<string>();
  const done = Promise.withResolvers<void>();
  const stopWatching = coordinator.watch({ task: '*' }, (news) => {
    if (news.kind !== 'task') return;
    const { id, worker, milestone, filler, status } = news.task;
    const victim = KILLED.find((name) => worker === `session/${name}` && !killed.has(name));
    if (news.event === 'task.progress' && milestone === 50 && victim !== undefined) {
      killed.set(victim, id);
      process.kill(Number(readFileSync(join(folder.path, `${victim}.pid`), 'utf8')), 'SIGKILL');
    }
    if (status === 'completed' && !filler) completed.add(id);
    if (completed.size === board.tasks.length) done.resolve();
  });
  writeFileSync(join(folder.path, 'swarm.yaml'), JSON.stringify(TEMPLATE));
  const spawned = await folder.run(['swarm', 'spawn', 'swarm.yaml', ...data]);
  t.is(spawned.code, 0, spawned.err);
  t.regex(spawned.out, /phase0 running, 7 sessions/);

  const late = setTimeout(() => {
    done.reject(new Error(`only ${[...completed].join(' ')}\n${realm.tail()}`));
  }, PATIENCE_MS);
  try {
    await done.promise;
  } finally {
    clearTimeout(late);
    stopWatching();
  }
  t.deepEqual([...killed.keys()].sort(), [...KILLED].sort());

  const listed = await folder.run(['swarm', 'list', ...data]);
  t.regex(listed.out, /^phase0 {2}running/);
  for (const { id } of board.sessions) t.regex(listed.out, new RegExp(`^ {2}${id} `, 'm'));
  const stopped = await folder.run(['swarm', 'stop', 'phase0', ...data]);
  t.is(stopped.code, 0, stopped.err);
  for (const { id } of board.sessions) {
    const pid = Number(readFileSync(join(folder.path, `${id}.pid`), 'utf8'));
    t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, `${id} still runs`);
  }

  const entries = (await folder.run(['log', '--type', 'task', '-n', '0', '--json', ...data])).out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { entry: Entry }).entry);
  const entered = (state: string, id: string): number[] =>
    entries.flatMap(({ actor, before, after }, n) =>
      actor === `task/${id}` && after === state && before !== state ? [n] : [],
    );
  for (const { id, deps = [] } of board.tasks) {
    const [completedAt, ...again] = entered('completed', id);
    t.deepEqual(again, [], `${id} was done once`);
    t.truthy(completedAt, `${id} was done`);
    const [claimedAt = -1] = entered('claimed', id);
    for (const dep of deps)
      t.true((entered('completed', dep)[0] ?? Infinity) < claimedAt, `${id} came after ${dep}`);
  }
  for (const id of BLOCKED) {
    const meanwhile = entered('blocked', id).some((from) => {
      const until = entries.findIndex(
        ({ actor, before, after }, n) =>
          n > from && actor === `task/${id}` && before === 'blocked' && after !== 'blocked',
      );
      return fillers.some((filler) => entered('completed', filler.id).some((n) => n > from && n < until));
    });
    t.true(meanwhile, `a filler was done while ${id} was blocked`);
  }

  const replayed = await folder.run(['replay', ...data]);
  t.is(replayed.code, 0, replayed.out);
  t.regex(replayed.out, /state digests are equal/);
  const verified = await folder.run(['verify', ...data]);
  t.is(verified.code, 0, verified.out + verified.err);
});
