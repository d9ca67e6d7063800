/** What a run asks of the world, and the same run done again: a stand-in for the jail, a web server of the test's own. */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { type Floor, type Order, rerun, runTask } from '#actors/chassis/run';
import { realmWorld } from '#actors/chassis/world';
import { Subjects } from '#runtime/bus/subjects';
import { LiveGrant } from '#runtime/sandbox/grants/live';
import type { HostAnswer, HostCall, JailResult } from '#runtime/sandbox/jail/types';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { type Grant, grantSchema } from '#schemas/grant';
import { blobName, INPUT_BYTES_MAX, taskLimitsSchema } from '#schemas/sandbox';
import { sandboxTaskSchema } from '#schemas/service-contract';

const TOKEN = 'CHASSIS_TEST_TOKEN';
const SECRET = 'a-secret-of-the-node';
const SHA = 'd'.repeat(64);
const GONE = new AbortController().signal;

/** A guest that makes these calls and puts out what it heard. */
function floorOf(calls: readonly HostCall[], world: Floor['world']) {
  const blobs = new Map<string, Uint8Array>();
  const floor: Floor = {
    level: 'full',
    blobs: { get: async (name) => blobs.get(name), put: async (name, bytes) => void blobs.set(name, bytes) },
    world,
    component: async () => ({ sha256: SHA }) as never,
    async run({ host }): Promise<JailResult> {
      const usage = { fuel: 7, memoryBytes: 65_536, ms: 1, hostCalls: calls.length, logs: [] };
      const heard: HostAnswer[] = [];
      try {
        for (const call of calls) heard.push(await host(call, GONE));
      } catch (thrown) {
        return { ...usage, kind: 'failed', error: toWireError(thrown) };
      }
      return { ...usage, kind: 'done', output: new TextEncoder().encode(JSON.stringify(heard)) };
    },
  };
  return { floor, blobs };
}

function orderOf(grant: Grant): Order {
  const limits = taskLimitsSchema.parse({});
  const task = {
    component: SHA,
    by: 'a/b',
    tenant: 'a/b',
    input: { text: '' },
    limits,
    grant,
    seed: 1,
    retries: 0,
    reduced: false,
  };
  return { id: 'wc.1', task, at: 1_000, signal: GONE };
}

const request = (url: string): HostCall => ({
  kind: 'http',
  method: 'GET',
  url,
  headers: [],
  body: new Uint8Array(),
});

test('secrets are put in outside of the jail and come back to nobody; where a redirect leads is not granted', async (t) => {
  process.env[TOKEN] = SECRET;
  t.teardown(() => delete process.env[TOKEN]);
  const seen: IncomingMessage[] = [];
  const server = createServer((incoming, answer) => {
    seen.push(incoming);
    if (incoming.url === '/v1/away') answer.writeHead(302, { location: '/admin' }).end();
    else answer.end(`hello ${incoming.headers['x-mine'] ?? ''}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const origin = `http://${host}`;
  const headers = { authorization: ['Bearer $', `{env:${TOKEN}}`].join('') };
  const grant = grantSchema.parse({ http: [{ origin, path: '/v1', methods: ['GET'], headers }] });
  const options = { nc: {} as never, subjects: new Subjects('if', 1) };
  const world = realmWorld({
    ...options,
    http: { allowHosts: [host], allowPrivate: true, allowEnv: [TOKEN] },
  });
  const calls = [request(`${origin}/v1/a`), request(`${origin}/v1/away`), request(`${origin}/admin`)];
  const { floor, blobs } = floorOf(calls, world);
  const order = orderOf(grant);
  const run = await runTask(order, new LiveGrant(grant, { now: () => 0 }), floor);

  t.is(run.exit, 'done');
  const [first, away, admin] = JSON.parse((run.output as { text: string }).text) as HostAnswer[];
  t.like(first, { ok: true, value: { status: 200 } });
  t.like(away, { ok: false, code: 'http_redirects' });
  t.like(admin, { ok: false, code: 'grant_denied' });
  t.deepEqual(
    seen.map(({ url, headers: sent }) => [url, sent.authorization]),
    [
      ['/v1/a', `Bearer ${SECRET}`],
      ['/v1/away', `Bearer ${SECRET}`],
    ],
  );
  t.true(seen.every(({ headers: sent }) => String(sent['idempotency-key']).startsWith('sandbox:wc.1.')));
  for (const bytes of blobs.values()) t.false(Buffer.from(bytes).includes(SECRET), 'nor is it kept');
  t.false(JSON.stringify(run).includes(SECRET));

  const silent: Floor = {
    ...floor,
    world: { answer: () => Promise.reject(new Error('nobody may be asked')) },
  };
  t.like(await rerun(order, run, silent), { exit: 'done', outputSha256: run.outputSha256, fuel: 7 });
  t.is(seen.length, 2, 'a replay asks nobody');

  const shut = realmWorld({ ...options, http: { allowHosts: [], allowPrivate: true } });
  const refused = await runTask(order, new LiveGrant(grant, { now: () => 0 }), floorOf(calls, shut).floor);
  t.regex(
    (refused.output as { text: string }).text,
    /http_host_refused|env_refused/,
    'a grant alone opens no host',
  );
});

test('a run that asks something else is not the one that was recorded', async (t) => {
  const grant = grantSchema.parse({ kv: [{ prefix: '' }] });
  const order = orderOf(grant);
  const world: Floor['world'] = { answer: async () => ({ ok: true, value: undefined }) };
  const get = (key: string): HostCall => ({ kind: 'kv-get', key });
  const first = floorOf([get('a'), get('b')], world);
  const run = await runTask(order, new LiveGrant(grant, { now: () => 0 }), first.floor);
  const again = async (calls: readonly HostCall[]) =>
    await rerun(order, run, { ...floorOf(calls, world).floor, blobs: first.floor.blobs });
  t.like(await again([get('a'), get('b')]), { exit: 'done', outputSha256: run.outputSha256 });
  for (const calls of [
    [get('a'), get('c')],
    [get('b'), get('a')],
    [get('a'), get('b'), get('c')],
  ])
    t.is((await again(calls)).exit, 'sandbox_replay_differs');
  first.blobs.clear();
  await t.throwsAsync(again([get('a'), get('b')]), {
    instanceOf: FabricError,
    code: 'sandbox_missing_object',
  });
});

test('a failing world is an answer without names of the node; a task that has ended asks no more', async (t) => {
  const grant = grantSchema.parse({ kv: [{ prefix: '' }] });
  const world = realmWorld({ nc: {} as never, subjects: new Subjects('if', 1) });
  const call: HostCall = { kind: 'kv-get', key: 'a' };
  const run = await runTask(
    orderOf(grant),
    new LiveGrant(grant, { now: () => 0 }),
    floorOf([call], world).floor,
  );
  t.is(
    (run.output as { text: string }).text,
    '[{"ok":false,"code":"sandbox_world_failed","message":"kv-get did not work"}]',
  );
  const ended = AbortSignal.abort(new Error('ended'));
  const caller = { task: 'wc.1', tenant: 'a/b', at: 0, headers: {}, signal: ended };
  await t.throwsAsync(world.answer(call, caller), { message: 'ended' });
});

test('asks of all tasks are one client of the node, each in the name of its task', async (t) => {
  let subscriptions = 0;
  const senders: (string | undefined)[] = [];
  const nc = {
    subscribe: () => {
      subscriptions += 1;
      return { unsubscribe: () => undefined };
    },
    publish: (_subject: string, _body: Uint8Array, { headers }: { headers: { encode(): Uint8Array } }) =>
      void senders.push(/If-From: (\S+)/.exec(new TextDecoder().decode(headers.encode()))?.[1]),
    async *status() {},
    isClosed: () => false,
  };
  const world = realmWorld({ nc: nc as never, subjects: new Subjects('if', 1) });
  const call: HostCall = { kind: 'ask', to: 'counter/k1', event: '{"type":"get"}' };
  for (const task of ['wc.1', 'wc.2', 'other.7']) {
    const abort = new AbortController();
    const answer = world.answer(call, {
      task,
      tenant: 'a/b',
      at: 0,
      headers: {},
      signal: abort.signal,
    });
    abort.abort(new Error('ended'));
    await t.throwsAsync(answer, { message: 'ended' });
  }
  t.is(subscriptions, 1);
  t.deepEqual(senders, ['sandbox/wc.1', 'sandbox/wc.2', 'sandbox/other.7']);
});

test('an input that is longer than its task says is not read to a guest', async (t) => {
  const world: Floor['world'] = { answer: async () => ({ ok: true, value: undefined }) };
  const { floor, blobs } = floorOf([], world);
  const bytes = new Uint8Array(100);
  const sha256 = hash('sha256', bytes);
  blobs.set(blobName(sha256), bytes);
  const order = orderOf(grantSchema.parse({}));
  const withInput = (size: number) => ({ ...order, task: { ...order.task, input: { sha256, bytes: size } } });
  const live = () => new LiveGrant(grantSchema.parse({}), { now: () => 0 });
  await t.throwsAsync(runTask(withInput(10), live(), floor), { code: 'task_input_exceeded' });
  t.is((await runTask(withInput(100), live(), floor)).exit, 'done');
  const task = { input: { sha256, bytes: INPUT_BYTES_MAX + 1 } };
  t.false(sandboxTaskSchema.safeParse(task).success);
});
