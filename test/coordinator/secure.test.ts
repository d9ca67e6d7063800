/** Workers where keys sign on: an agent over MCP and the process of a swarm find, claim and do work with keys of their own. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import test from 'ava';
import { openCoordinator } from '#actors/coordinator/client';
import { connect } from '#runtime/client/node';
import type { RunFile } from '#runtime/node/api';
import { CliFolder } from '../rig/cli.ts';
import { secureBoard } from '../rig/secure-board.ts';

const ENTRY = resolve('actors/infrafabric.js');
const WORKER = fileURLToPath(import.meta.resolve('./secure-worker.ts'));
/** A realm with keys, and four processes beside it, on a machine that is busy with others. */
const SLOW_MS = 240_000;

interface Said {
  readonly isError?: boolean;
  readonly content: readonly { readonly text?: string }[];
  readonly structuredContent?: Record<string, unknown>;
}

test('an agent and a swarm do work in a secure realm, each with its own key, and a person says yes with another', async (t) => {
  t.timeout(SLOW_MS);
  await using folder = new CliFolder();
  const ok = await secureBoard(t, folder, ['session/ndi', 'session/crew-1']);
  await ok('task', 'add', 'T1', 'By hand', '--requires', 'code:typescript');
  await ok('task', 'add', 'T2', 'By the crew', '--requires', 'code:python');

  const agent = new Client({ name: 'test', version: '1' });
  const seed = '.infrafabric/hello/keys/session%ndi.seed';
  await agent.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [ENTRY, 'mcp', '--capability', 'code:typescript', '--nkey', seed],
      cwd: folder.path,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' },
      stderr: 'ignore',
    }),
  );
  t.teardown(() => agent.close());
  const call = async (name: string, given: Record<string, unknown> = {}): Promise<Said> =>
    (await agent.callTool({ name, arguments: given })) as Said;
  const say = async (name: string, given: Record<string, unknown> = {}) => {
    const { isError, content, structuredContent } = await call(name, given);
    t.not(isError, true, `${name}: ${content[0]?.text}`);
    return structuredContent ?? {};
  };

  // Work is found by the realm for it: it may not list what there is.
  const { candidates } = await say('next_task');
  t.deepEqual(
    (candidates as { id: string }[]).map(({ id }) => id),
    ['T1'],
  );
  // Said by the server's refusal: an answer that never came could be asked for again.
  const listed = await call('list_tasks');
  t.like(listed.structuredContent, { error: { code: 'api_refused', retryable: false } });
  const unread = await call('read_messages');
  t.like(unread.structuredContent, { error: { code: 'api_refused', retryable: false } });
  t.deepEqual(await say('why_task', { task: 'T2' }), {
    reasons: ['It is free.'],
    unseen: ['This key does not see which sessions are there, so not who could do it.'],
  });
  t.like(await say('claim_task', { task: 'T1' }), { accepted: true });
  await say('report_progress', { task: 'T1', milestone: 50 });
  await say('say_in_task', { task: 'T1', content: 'half' });
  await say('log_to_witness', { text: 'chose B over A', task: 'task/T1' });
  await say('send_message', { to: 'task/T1', content: { ready: true } });

  // A person says yes, in the name of the key.
  await say('ask_approval', { id: 'deploy', question: 'Deploy?', default: 'no', waitMs: 600_000 });
  const waiting = say('check_approval', { id: 'deploy', waitMs: 45_000 });
  t.regex(await ok('approve', 'list'), /deploy {2}asked by session\/ndi/);
  t.is(await ok('approve', 'yes', 'deploy'), '✓ deploy: yes, by operator/admin\n');
  t.like(await waiting, { approval: { verdict: 'yes', answeredBy: 'operator/admin' } });
  await say('complete_task', { task: 'T1' });
  t.regex(await ok('why', 'T1'), /session\/ndi completed it/);

  // What it was offered another took: it is told of the next one.
  const data = join(folder.path, '.infrafabric/hello');
  const run = JSON.parse(readFileSync(join(data, 'run.json'), 'utf8')) as RunFile;
  const rival = await connect({
    url: run.url,
    prefix: run.prefix,
    from: 'session/crew-1',
    signOn: readFileSync(join(data, 'keys/session%crew-1.seed')),
    ca: readFileSync(run.secure?.ca ?? '', 'utf8'),
  });
  t.teardown(() => rival.close());
  const board = openCoordinator(rival);
  await ok('task', 'add', 'T3', 'Lost', '--requires', 'code:typescript');
  const nextOf = async () => ((await say('next_task'))['candidates'] as { id: string }[]).map(({ id }) => id);
  t.deepEqual(await nextOf(), ['T3']);
  t.true((await board.claim('T3')).won);
  await ok('task', 'add', 'T4', 'The next', '--requires', 'code:typescript');
  t.deepEqual(await nextOf(), ['T4']);
  t.true((await board.complete('T3')).accepted);
  await board[Symbol.asyncDispose]();

  // A swarm's process has the key of its session, and no other.
  const template = {
    id: 'crew',
    capabilities: ['code:python'],
    process: { command: 'node', args: [WORKER], cwd: resolve('.'), restart: 'temporary' },
  };
  writeFileSync(join(folder.path, 'swarm.yaml'), JSON.stringify(template));
  await ok('swarm', 'spawn', 'swarm.yaml');
  for (;;) {
    const { status, worker } = JSON.parse(await ok('task', 'show', 'T2', '--json')) as Record<
      string,
      unknown
    >;
    if (status !== 'completed') continue;
    t.is(worker, 'session/crew-1');
    break;
  }
  await ok('swarm', 'stop', 'crew');
  await ok('down');
});
