/** The MCP server with the official client: every tool, over stdio and HTTP, in the older and the newer protocol. */
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import test, { type ExecutionContext } from 'ava';
import { openCoordinator } from '#actors/coordinator/client';
import { failed } from '#actors/coordinator/mcp/outcome';
import { tools } from '#actors/coordinator/mcp/server';
import { tokenIn } from '#runtime/cli/token-file';
import { FabricError } from '#schemas/fabric-error';
import { CliFolder, type Running } from '../rig/cli.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';

const ENTRY = resolve('actors/infrafabric.js');
const open = (machine: string) => ({ machine, spawnOnMessage: true, door: 'open' });
const KINDS = {
  board: open('board'),
  task: open('task'),
  session: open('session'),
  approval: open('approval'),
  journal: open('journal'),
  costs: open('costs'),
  prices: open('prices'),
};

interface Said {
  readonly isError?: boolean;
  readonly content: readonly { readonly type: string; readonly text?: string }[];
  readonly structuredContent?: Record<string, unknown>;
}

/** A realm with a board, and a folder for artifacts. */
class Place implements AsyncDisposable {
  readonly realm: TestRealm;
  readonly folder = new CliFolder();

  private constructor(realm: TestRealm) {
    this.realm = realm;
  }

  static async start(): Promise<Place> {
    const place = new Place(await TestRealm.start({ config: { kinds: KINDS } }));
    writeFileSync(join(place.folder.path, 'made.ts'), 'export const made = true;\n');
    return place;
  }

  get options(): string[] {
    return ['--data', this.realm.dataDir];
  }

  async board(as = 'operator/test') {
    return openCoordinator(await this.realm.client({ from: as }));
  }

  /** An agent that starts its own server. */
  async agent(as: string, capabilities: readonly string[], modern = false): Promise<Client> {
    const client = agentClient(modern);
    const flags = capabilities.flatMap((name) => ['--capability', name]);
    await client.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [ENTRY, 'mcp', '--as', as, ...flags, ...this.options, '--root', this.folder.path],
        env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' },
        stderr: 'ignore',
      }),
    );
    return client;
  }

  async http(as: string): Promise<{ url: URL; token: string; server: Running }> {
    const server = this.folder.start(['mcp', '--as', as, '--http', ...this.options, '--json']);
    await server.until(/\n/);
    const { url, tokenFile } = JSON.parse(server.out) as { url: string; tokenFile: string };
    return { url: new URL(url), token: readFileSync(tokenFile, 'utf8').trim(), server };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
    await this.realm[Symbol.asyncDispose]();
  }
}

function agentClient(modern: boolean): Client {
  return new Client({ name: 'test', version: '1' }, modern ? { versionNegotiation: { mode: 'auto' } } : {});
}

async function call(client: Client, name: string, given: Record<string, unknown> = {}): Promise<Said> {
  return (await client.callTool({ name, arguments: given })) as Said;
}

async function ok(t: ExecutionContext, client: Client, name: string, given: Record<string, unknown> = {}) {
  const said = await call(client, name, given);
  t.not(said.isError, true, `${name}: ${said.content[0]?.text}`);
  return said.structuredContent ?? {};
}

async function refused(
  t: ExecutionContext,
  client: Client,
  name: string,
  given: Record<string, unknown>,
  code: string,
) {
  const said = await call(client, name, given);
  t.true(said.isError, `${name} ${JSON.stringify(said)}`);
  t.like(said.structuredContent, { ok: false, error: { code } }, `${name}: ${said.content[0]?.text}`);
  const text = said.content[0]?.text ?? '';
  t.regex(text, new RegExp(`^error\\[${code}\\]: .`));
  return text;
}

test.skipIf(isEveryday)(
  'an agent works with every tool over stdio; what is wrong comes back with a code and what to do',
  async (t) => {
    await using place = await Place.start();
    const board = await place.board();
    await board.addTasks([
      { id: 'T1', title: 'first', requires: ['code:typescript'] },
      { id: 'T2', title: 'second', deps: ['T1'], requires: ['code:typescript'] },
      { id: 'T3', title: 'third', requires: ['code:typescript'] },
      { id: 'F1', title: 'filler', filler: true },
    ]);
    const agent = await place.agent('session/ndi', ['code:typescript']);
    const other = await place.agent('session/rtc', ['code:typescript'], true);
    t.teardown(() => Promise.all([agent.close(), other.close()]));
    const used = new Set<string>();
    const say: typeof ok = (...args) => {
      used.add(args[2]);
      return ok(...args);
    };

    const heard: { level: string; data: Record<string, unknown> }[] = [];
    const updated = new Set<string>();
    const changed = Promise.withResolvers<void>();
    agent.setNotificationHandler('notifications/message', ({ params }) => {
      heard.push(params as (typeof heard)[number]);
    });
    agent.setNotificationHandler(
      'notifications/resources/updated',
      ({ params }) => void updated.add(params.uri),
    );
    agent.setNotificationHandler('notifications/resources/list_changed', () => changed.resolve());
    await agent.subscribeResource({ uri: 'infrafabric://board' });

    // Tools and resources are listed with schemas.
    const listed = await agent.listTools();
    t.deepEqual(
      listed.tools.map(({ name }) => name),
      tools.map(({ name }) => name),
    );
    for (const { inputSchema, description } of listed.tools) {
      t.is(inputSchema.type, 'object');
      t.truthy(description);
    }
    const { resources } = await agent.listResources();
    t.deepEqual(
      resources.map(({ uri }) => uri).sort(),
      ['F1', 'T1', 'T2', 'T3']
        .map((id) => `infrafabric://task/${id}`)
        .concat('infrafabric://board')
        .sort(),
    );
    t.is((await agent.listResourceTemplates()).resourceTemplates.length, 2);

    // Finding and claiming.
    t.like(await say(t, agent, 'list_tasks', { status: ['available'] }), { total: 3 });
    const { candidates } = await say(t, agent, 'next_task', {});
    t.is((candidates as { id: string }[])[0]?.id, 'T1');
    t.like(await say(t, agent, 'get_task', { task: 'T2' }), {
      task: { status: 'waiting', waitingFor: ['T1'] },
    });
    t.regex(JSON.stringify(await say(t, agent, 'why_task', { task: 'T2' })), /T1/);
    await refused(t, agent, 'claim_task', { task: 'T2' }, 'not_available');
    t.like(await say(t, agent, 'claim_task', { task: 'T1' }), { accepted: true, task: 'T1' });
    const rival = await place.board('session/rival');
    t.false((await rival.claim('T1')).won);

    // Working: progress, a blocker, help, words.
    await say(t, agent, 'report_progress', { task: 'T1', milestone: 40, note: 'half way' });
    await refused(t, agent, 'report_progress', { task: 'T3', milestone: 40 }, 'not_yours');
    await say(t, agent, 'block_task', { task: 'T1', on: 'ann', kind: 'person', reason: 'a question' });
    t.like(await ok(t, agent, 'get_task', { task: 'T1' }), {
      task: { status: 'blocked', blockedOn: { on: 'ann' } },
    });
    await say(t, agent, 'unblock_task', { task: 'T1' });
    await say(t, agent, 'ask_for_help', { task: 'T1', reason: 'stuck' });
    await say(t, other, 'join_task', { task: 'T1' });
    await say(t, other, 'say_in_task', {
      task: 'T1',
      content: 'I look at the tests',
      performative: 'inform',
    });
    t.regex(JSON.stringify(await say(t, agent, 'read_messages', { task: 'T1' })), /I look at the tests/);
    await say(t, other, 'send_message', {
      to: 'session/ndi',
      performative: 'query-if',
      content: { ready: true },
    });
    const { messages, more } = await ok(t, agent, 'read_messages', {});
    t.false(more);
    t.like((messages as object[])[0], {
      from: 'session/rtc',
      performative: 'query-if',
      content: { ready: true },
    });
    t.deepEqual(await ok(t, agent, 'read_messages', {}).then((said) => said['messages']), []);

    // On record, and approved by a person.
    const note = await say(t, agent, 'log_to_witness', {
      text: 'chose B over A',
      severity: 'WARN',
      task: 'task/T1',
    });
    t.like(note, { accepted: true, notes: 1 });
    const log = await place.folder.run(['log', '--actor', 'journal/ndi', '--json', ...place.options]);
    t.regex(log.out, /chose B over A/);
    await say(t, agent, 'ask_approval', { id: 'deploy', question: 'Deploy?', default: 'no', waitMs: 60_000 });
    t.like(await ok(t, agent, 'check_approval', { id: 'deploy' }), {
      approval: { status: 'pending', verdict: null },
    });
    const listedApprovals = await place.folder.run(['approve', 'list', ...place.options]);
    t.regex(listedApprovals.out, /deploy {2}asked by session\/ndi, no in \d+s?/);
    const own = await place.folder.run(['approve', 'yes', 'deploy', '--as', 'session/ndi', ...place.options]);
    t.is(own.code, 4, own.err);
    const waiting = say(t, agent, 'check_approval', { id: 'deploy', waitMs: 45_000 });
    const yes = await place.folder.run([
      'approve',
      'yes',
      'deploy',
      '--as',
      'operator/ann',
      ...place.options,
    ]);
    t.is(yes.code, 0, yes.err);
    t.like(await waiting, { approval: { status: 'answered', verdict: 'yes', answeredBy: 'operator/ann' } });
    await ok(t, agent, 'ask_approval', { id: 'late', question: 'Now?', default: 'no', waitMs: 1_000 });
    t.like(await ok(t, agent, 'check_approval', { id: 'late', waitMs: 45_000 }), {
      approval: { status: 'timed_out', verdict: 'no' },
    });

    // Ending. A dependent becomes available, and the agent is told.
    await refused(
      t,
      agent,
      'complete_task',
      { task: 'T1', artifacts: [{ kind: 'code', path: '../x' }] },
      'mcp_no_file',
    );
    writeFileSync(join(place.folder.path, '..', 'if-mcp-outside'), '');
    t.teardown(() => rmSync(join(place.folder.path, '..', 'if-mcp-outside'), { force: true }));
    await refused(
      t,
      agent,
      'complete_task',
      { task: 'T1', artifacts: [{ kind: 'code', path: '../if-mcp-outside' }] },
      'mcp_outside_root',
    );
    await say(t, agent, 'complete_task', {
      task: 'T1',
      artifacts: [{ kind: 'code', path: 'made.ts' }],
      deliverable: 'made.ts',
    });
    t.like(await ok(t, agent, 'get_task', { task: 'T1' }), { task: { status: 'completed', milestone: 100 } });
    await ok(t, agent, 'claim_task', { task: 'T3' });
    await say(t, agent, 'release_task', { task: 'T3', reason: 'lunch' });
    await ok(t, agent, 'claim_task', { task: 'T3' });
    await say(t, agent, 'fail_task', { task: 'T3', reason: 'cannot be done' });
    await board.addTasks([{ id: 'T4', title: 'later' }]);
    await changed.promise;
    const board1 = await agent.readResource({ uri: 'infrafabric://board' });
    t.regex(JSON.stringify(board1.contents), /T4/);
    t.true(updated.has('infrafabric://board'));
    t.false(updated.has('infrafabric://task/T1'), 'only what was subscribed to');
    t.true(
      heard.some(({ data }) => data['event'] === 'session.offered'),
      JSON.stringify(heard),
    );

    t.like(
      await say(t, agent, 'record_cost', { id: 'c1', provider: 'openai', model: 'm', tokens: { input: 5 } }),
      {
        recorded: 'c1',
        amountMicros: null,
        unpriced: { code: 'unknown_model' },
      },
    );

    // Wrong calls.
    for (const name of ['get_task', 'claim_task', 'why_task']) {
      const unknown = await refused(t, agent, name, { task: 'nope' }, 'unknown_task');
      t.regex(unknown, /\nhelp: list_tasks names the tasks there are\./, 'no command of a shell');
    }
    await refused(t, agent, 'no_such_tool', {}, 'mcp_unknown_tool');
    await refused(t, agent, 'send_message', { to: 'nowhere', content: 1 }, 'bad_address');
    await refused(t, agent, 'check_approval', { id: 'never' }, 'unknown_approval');
    for (const { name, input } of tools) {
      if (input.safeParse({ nonsense: 1 }).success) t.fail(`${name} takes nonsense`);
      await refused(t, agent, name, { nonsense: 1 }, 'mcp_bad_arguments');
    }
    await unreadable(t, agent, 'infrafabric://nothing', 'mcp_unknown_resource');
    t.deepEqual([...used].sort(), tools.map(({ name }) => name).sort(), 'every tool was used');
  },
);

test('a realm without what a tool needs is answered with what its config lacks, and no command of a shell', (t) => {
  const { content } = failed(
    new FabricError({ code: 'unknown_kind', retryable: false, help: '' }, 'no actor type "prices"', {
      details: { actor: 'prices/main' },
    }),
  );
  const [{ text } = { text: '' }] = content as { text: string }[];
  t.regex(
    text,
    /help: Whoever runs the realm adds `costs: \{ machine: costs, .*` and `prices: \{ .* under kinds:/,
  );
  const down = new FabricError({ code: 'x', retryable: true, help: '`infrafabric doctor` says it.' }, 'down');
  t.like(failed(down).structuredContent, { error: { help: 'Tell whoever runs the realm.' } });
});

async function unreadable(t: ExecutionContext, client: Client, uri: string, code: string): Promise<void> {
  const error = await t.throwsAsync<Error & { code: number; data: unknown }>(client.readResource({ uri }));
  t.is(error?.code, -32_602);
  t.regex(error?.message ?? '', new RegExp(`error\\[${code}\\]: .*\nhelp: .`));
  t.like(error?.data, { error: { code } });
}

for (const modern of isEveryday ? [true] : [false, true]) {
  test(`HTTP on loopback serves who has the token, in the ${modern ? 'newer' : 'older'} protocol, and pushes changes`, async (t) => {
    await using place = await Place.start();
    const board = await place.board();
    await board.addTasks([{ id: 'T1', title: 'first' }]);
    const { url, token } = await place.http('session/web');
    const agent = agentClient(modern);
    await agent.connect(
      new StreamableHTTPClientTransport(url, {
        requestInit: { headers: { authorization: `Bearer ${token}` } },
      }),
    );
    t.is((await agent.listTools()).tools.length, tools.length);
    const told = Promise.withResolvers<string>();
    agent.setNotificationHandler('notifications/resources/updated', ({ params }) => told.resolve(params.uri));
    if (modern) await agent.listen({ resourceSubscriptions: ['infrafabric://task/T1'] });
    else await agent.subscribeResource({ uri: 'infrafabric://task/T1' });
    t.like(await ok(t, agent, 'claim_task', { task: 'T1' }), { accepted: true });
    t.is(await told.promise, 'infrafabric://task/T1');
    await refused(t, agent, 'claim_task', {}, 'mcp_bad_arguments');
    const unknown = await refused(t, agent, 'claim_task', { task: 'nope' }, 'unknown_task');
    t.regex(unknown, /\nhelp: list_tasks names the tasks there are\./, 'no command of a shell');
    await unreadable(t, agent, 'infrafabric://nothing', 'mcp_unknown_resource');
    await unreadable(t, agent, 'infrafabric://task/nope', 'unknown_task');
    await agent.close();

    const status = (headers: Record<string, string>): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = request(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
        });
        sent.on('response', (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        sent.on('error', reject).end('{}');
      });
    const good = { authorization: `Bearer ${token}` };
    t.is(await status({}), 401);
    t.is(await status({ authorization: `Bearer ${token}x` }), 401);
    t.is(await status({ ...good, host: 'evil.example' }), 403, 'DNS rebinding');
    t.is(await status({ ...good, origin: 'https://evil.example' }), 403, 'a page of a browser');
  });
}

test('the token of HTTP is in a file that only its owner may read, and is no empty word', async (t) => {
  await using folder = new CliFolder();
  const file = join(folder.path, 'token');
  const made = tokenIn(file);
  t.is(made.length, 32);
  t.is(statSync(file).mode & 0o777, 0o600);
  t.is(tokenIn(file), made);
  chmodSync(file, 0o640);
  t.throws(() => tokenIn(file), { code: 'token_file_open' });
  chmodSync(file, 0o600);
  writeFileSync(file, '\n');
  t.throws(() => tokenIn(file), { code: 'token_file_bad' });
  t.throws(() => tokenIn(folder.path), { code: 'file_unreadable' });
});

test.skipIf(isEveryday)(
  'claims are renewed while the server lives, and taken over by its successor',
  async (t) => {
    await using place = await Place.start();
    const board = await place.board();
    await board.addTasks([{ id: 'T1', title: 'first' }]);
    const start = () =>
      place.folder.start([
        'mcp',
        '--as',
        'session/web',
        '--http',
        '--lease',
        '2s',
        ...place.options,
        '--json',
      ]);
    const first = start();
    await first.until(/\n/);
    const { url, tokenFile } = JSON.parse(first.out) as { url: string; tokenFile: string };
    const headers = { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` };
    const agent = agentClient(false);
    await agent.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
    await ok(t, agent, 'claim_task', { task: 'T1' });
    await new Promise((done) => setTimeout(done, 5_000));
    t.is((await board.task('T1'))?.worker, 'session/web', 'it was renewed twice over');
    first.process.kill('SIGKILL');
    const second = start();
    await second.until(/\n/);
    const task = await board.task('T1');
    // On a slow machine the lease is over before the successor is there: then the task is free, never lost.
    t.true(task?.worker === 'session/web' || task?.status === 'available', JSON.stringify(task));
    second.process.kill('SIGTERM');
    await second.ended;
  },
);
