/** The MCP server with the inspector's command line: every tool with good and with bad arguments. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { openCoordinator } from '#actors/coordinator/client';
import { tools } from '#actors/coordinator/mcp/server';
import { CliFolder } from '../rig/cli.ts';
import { Inspector } from '../rig/inspector.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';

const MACHINES = ['board', 'task', 'session', 'approval', 'journal', 'costs', 'prices'];
const KINDS = Object.fromEntries(
  MACHINES.map((machine) => [machine, { machine, spawnOnMessage: true, door: 'open' }]),
);

/** What a worker does with a task from beginning to end: each tool once at least. */
const CALLS: readonly (readonly [name: string, given: Readonly<Record<string, unknown>>])[] = [
  ['list_tasks', { status: ['available'] }],
  ['next_task', {}],
  ['get_task', { task: 'T1' }],
  ['why_task', { task: 'T1' }],
  ['claim_task', { task: 'T1' }],
  ['report_progress', { task: 'T1', milestone: 40, note: 'half way' }],
  ['block_task', { task: 'T1', on: 'ann', kind: 'person', reason: 'a question' }],
  ['unblock_task', { task: 'T1' }],
  ['ask_for_help', { task: 'T1', reason: 'stuck' }],
  ['say_in_task', { task: 'T1', content: 'I look at the tests', performative: 'inform' }],
  ['send_message', { to: 'session/kim', performative: 'query-if', content: { ready: true } }],
  ['read_messages', { task: 'T1' }],
  ['log_to_witness', { text: 'chose B over A', severity: 'WARN', task: 'task/T1' }],
  ['ask_approval', { id: 'deploy', question: 'Deploy?', default: 'no', waitMs: 60_000 }],
  ['check_approval', { id: 'deploy' }],
  ['record_cost', { id: 'c1', provider: 'openai', model: 'm', tokens: { input: 5 } }],
  ['complete_task', { task: 'T1', artifacts: [{ kind: 'code', path: 'made.ts' }], deliverable: 'made.ts' }],
  ['claim_task', { task: 'T2' }],
  ['release_task', { task: 'T2', reason: 'lunch' }],
  ['claim_task', { task: 'T2' }],
  ['fail_task', { task: 'T2', reason: 'cannot be done' }],
  ['join_task', { task: 'T3' }],
];

function options(name: string, given: Readonly<Record<string, unknown>>): string[] {
  const words = Object.entries(given).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return ['--tool-name', name, ...words.flatMap((word) => ['--tool-arg', word])];
}

test.skipIf(isEveryday)(
  'the inspector’s command line calls every tool; what is wrong is an error of the tool that says what',
  async (t) => {
    await using realm = await TestRealm.start({ config: { kinds: KINDS } });
    await using folder = new CliFolder();
    writeFileSync(join(folder.path, 'made.ts'), 'export const made = true;\n');
    const board = openCoordinator(await realm.client({ from: 'session/rtc' }));
    await board.addTasks([
      { id: 'T1', title: 'first' },
      { id: 'T2', title: 'second' },
      { id: 'T3', title: 'third' },
    ]);
    const inspector = await Inspector.install(folder.path);

    // A server that stays, as a worker has: its claims last while it lives.
    const place = ['--as', 'session/kim', '--data', realm.dataDir, '--root', folder.path];
    const server = folder.start(['mcp', ...place, '--http', '--json']);
    await server.until(/\n/);
    const { url, tokenFile } = JSON.parse(server.out) as { url: string; tokenFile: string };
    // Only who is there is asked.
    await board.claim('T3');
    await board.askHelp('T3', 'stuck');
    const token = readFileSync(tokenFile, 'utf8').trim();
    const http = [url, '--transport', 'http', '--header', `Authorization: Bearer ${token}`];
    for (const [name, given] of CALLS) {
      const { code, said } = await inspector.run(http, 'tools/call', options(name, given));
      t.is(code, 0, `${name}: ${JSON.stringify(said)}`);
      t.truthy(said['structuredContent'], name);
    }
    const done = tools.map(({ name }) => name).sort();
    t.deepEqual([...new Set(CALLS.map(([name]) => name))].sort(), done, 'every tool was called');
    t.like(await board.task('T1'), { status: 'completed', worker: 'session/kim' });
    t.like(await board.task('T2'), { status: 'failed' });

    // A server of its own for each call.
    const stdio = [process.execPath, resolve('actors/infrafabric.js'), 'mcp', ...place];
    const listed = await inspector.run(stdio, 'tools/list', ['--strict']);
    t.is(listed.code, 0, 'no schema that a client could not read');
    t.deepEqual((listed.said['tools'] as { name: string }[]).map(({ name }) => name).sort(), done);
    const resources = await inspector.run(stdio, 'resources/read', ['--uri', 'infrafabric://board']);
    t.regex(JSON.stringify(resources.said), /T3/);
    for (const { name } of tools) {
      const { code, said } = await inspector.run(stdio, 'tools/call', options(name, { nonsense: 1 }));
      t.is(code, 5, name);
      t.like(said, { isError: true, structuredContent: { error: { code: 'mcp_bad_arguments' } } }, name);
    }
    server.process.kill('SIGTERM');
    t.is((await server.ended).code, 0);
  },
);
