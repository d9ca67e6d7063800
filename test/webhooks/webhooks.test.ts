/** W1 to W4 of runtime/webhooks/webhook.ts on real realms. */
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { encodeCommit } from '#runtime/bus/codec';
import { systemClock, systemRandom } from '#runtime/bus/system';
import { happeningsOf, isWanted } from '#runtime/webhooks/happenings';
import { deliver } from '#runtime/webhooks/webhook';
import { COMMIT_FORMAT, type Commit, type Entry } from '#schemas/commit';
import { silentLogger } from '../rig/nats.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';

const SECRET = `whsec_${randomBytes(24).toString('base64')}`;
/** A lease time at most between two turns, and a retry or two. */
const PATIENCE_MS = 60_000;

interface Delivery {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly event: { readonly id: string; readonly type: string; readonly data: { readonly actor: string } };
  readonly answered: number;
}

/** Answers with the statuses given, then with 204. */
class Receiver implements AsyncDisposable {
  readonly deliveries: Delivery[] = [];
  readonly #statuses: number[];
  readonly #heard = new Set<() => void>();
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const answered = this.#statuses.shift() ?? 204;
      this.deliveries.push({ headers: request.headers, body, event: JSON.parse(body), answered });
      response.writeHead(answered).end();
      for (const tell of this.#heard) tell();
    });
  });

  private constructor(statuses: readonly number[]) {
    this.#statuses = [...statuses];
  }

  static async start(...statuses: number[]): Promise<Receiver> {
    const receiver = new Receiver(statuses);
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  async until(enough: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!enough()) {
      if (Date.now() > deadline) throw new Error(JSON.stringify(this.deliveries.map(({ event }) => event)));
      const heard = Promise.withResolvers<void>();
      this.#heard.add(heard.resolve);
      const timer = setTimeout(heard.resolve, PATIENCE_MS);
      await heard.promise;
      clearTimeout(timer);
      this.#heard.delete(heard.resolve);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

const ENTRY: Entry = { cause: { kind: 'ask', from: 'session/cli' }, actor: 'task/P0.1.1' };

const TASKS = {
  task: { machine: 'task', spawnOnMessage: true, door: 'open' },
  session: { machine: 'session', spawnOnMessage: true, door: 'open' },
};

function signatureOf({ headers, body }: Delivery): string {
  const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
}

test.skipIf(isEveryday)(
  'an event is delivered signed, in order, again while the receiver is not well, and after a crash under the same id',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'if-webhooks-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'secret'), `${SECRET}\n`, { mode: 0o600 });
    // The second event is refused for good: it holds up nobody.
    await using receiver = await Receiver.start(503, 204, 410);
    await using other = await Receiver.start(...Array<number>(1_000).fill(503));
    const hook = { secretFile: 'secret', events: ['supervisor.running', 'sleeper.*'] };
    await using realm = await TestRealm.start({
      folder,
      config: {
        limits: { leaseTtl: '1s' },
        webhooks: [
          { name: 'main', url: receiver.url, ...hook },
          { name: 'down', url: other.url, ...hook },
        ],
        kinds: { sleeper: { machine: './sleeper.ts#sleeper', spawnOnMessage: true, door: 'open' } },
      },
      ...(writeSleeper(folder) && {}),
    });
    const client = await realm.client();
    const { deliveries } = receiver;
    // The place of a new hook is the end of the log at its first turn: what comes now may be before it.
    await client.ask('sleeper/zero', { type: 'sleep' });
    const deadline = Date.now() + PATIENCE_MS;
    for (let n = 1; deliveries.length === 0; n += 1) {
      if (Date.now() > deadline) return void t.fail('nothing was ever delivered');
      await client.ask(`sleeper/first${n}`, { type: 'sleep' });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await receiver.until(() => deliveries.length >= 2);
    const [failed, taken] = deliveries as [Delivery, Delivery];
    t.is(failed.answered, 503);
    t.is(taken.event.id, failed.event.id);
    for (const delivery of [failed, taken]) {
      t.is(delivery.headers['webhook-signature'], signatureOf(delivery));
      t.is(delivery.headers['webhook-id'], delivery.event.id);
      t.is(delivery.headers['idempotency-key'], delivery.event.id);
      t.true(Math.abs(Number(delivery.headers['webhook-timestamp']) - Date.now() / 1_000) < 120);
    }

    await client.ask('sleeper/a', { type: 'sleep' });
    await client.ask('sleeper/a', { type: 'wake' });
    const typesOf = (actor: string): string[] =>
      deliveries.filter(({ event }) => event.data.actor === actor).map(({ event }) => event.type);
    await receiver.until(() => typesOf('sleeper/a').includes('sleeper.awake'));
    t.deepEqual([...new Set(typesOf('sleeper/a'))], ['sleeper.asleep', 'sleeper.awake']);

    await realm.kill();
    await realm.up();
    const again = await realm.client();
    await again.ask('sleeper/b', { type: 'sleep' });
    await receiver.until(() => typesOf('sleeper/b').includes('sleeper.asleep'));
    // Nothing comes twice but what was on its way, and that under its own id.
    const ids = deliveries.filter(({ answered }) => answered === 204).map(({ event }) => event.id);
    t.true(ids.length - new Set(ids).size <= 1, ids.join(' '));
    t.true(other.deliveries.length > 0);
    t.is(new Set(other.deliveries.map(({ event }) => event.id)).size, 1, 'W1: the order is kept');
  },
);

test.skipIf(isEveryday)(
  'a secret that others may read, or that is no secret, keeps a node from starting',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'if-webhooks-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'secret');
    const config = {
      kinds: TASKS,
      webhooks: [{ name: 'main', url: 'http://127.0.0.1:9/', secretFile: 'secret', events: ['*.*'] }],
    };
    const started = (): Promise<unknown> => TestRealm.start({ folder, config });
    await t.throwsAsync(started, { message: /webhook_secret_missing/ });
    writeFileSync(file, SECRET);
    chmodSync(file, 0o644);
    await t.throwsAsync(started, { message: /webhook_secret_open/ });
    writeFileSync(file, 'short');
    chmodSync(file, 0o600);
    const error = await t.throwsAsync(started, { message: /webhook_secret_bad/ });
    t.false(error?.message.includes('short\\n'));
  },
);

test('whatever an answer has beside its status, the event is taken or refused by that, and the next one comes', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'if-webhooks-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const secretFile = join(folder, 'secret');
  writeFileSync(secretFile, SECRET, { mode: 0o600 });
  const asked: string[] = [];
  const answers: readonly (readonly [status: number, headers: Record<string, string>, bytes: number])[] = [
    [302, { location: '/elsewhere' }, 0],
    [200, {}, 300_000],
    [404, {}, 300_000],
    [204, {}, 0],
  ];
  const server = createServer((request, response) => {
    const [status, headers, bytes] = answers[asked.length] ?? [204, {}, 0];
    asked.push(request.url ?? '');
    request.resume();
    response.writeHead(status, headers).end(Buffer.alloc(bytes));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const commit = (index: number): Uint8Array =>
    encodeCommit(commitOf(index, [{ ...ENTRY, op: 'spawn', after: 'available' }]));
  const batch = answers.map((_, n) => ({ seq: n + 1, shard: 0, bytes: commit(n), storedAt: 0 }));
  const refused: unknown[] = [];
  const places: number[] = [];
  const unasked = (): never => t.fail() as never;
  await deliver(
    {
      hook: {
        name: 'main',
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
        events: ['*.*'],
        secretFile,
        allowPrivate: false,
      },
      secretFile,
      realm: 'demo',
      log: {
        range: unasked,
        read: unasked,
        get: unasked,
        async *follow() {
          yield batch;
        },
      },
      places: { read: async () => 0, write: async (_, seq) => void places.push(seq) },
      clock: systemClock,
      random: systemRandom,
      logger: { ...silentLogger, error: (fields) => void refused.push(fields) },
    },
    AbortSignal.timeout(10_000),
  );
  t.deepEqual(asked, Array<string>(answers.length).fill('/hook'));
  t.deepEqual(places, [1, 2, 3, 4]);
  t.like(refused, [
    { error: { code: 'webhook_refused', details: { status: 302 } } },
    { error: { code: 'webhook_refused', details: { status: 404 } } },
  ]);
  t.is(refused.length, 2);
});

test('only entries that change a state are events, and patterns say which are wanted', (t) => {
  const commit = commitOf(7, [
    { ...ENTRY, op: 'spawn', after: 'available' },
    { ...ENTRY, before: 'claimed', after: 'claimed' },
    { ...ENTRY, op: 'dead', before: 'claimed' },
    { ...ENTRY, before: 'claimed', after: { working: { hard: 'now' } } },
  ]);
  const common = { at: 5, actor: 'task/P0.1.1', by: 'session/cli' };
  t.deepEqual(happeningsOf(commit), [
    { ...common, id: '2.7.0', type: 'task.available', state: 'available', before: null },
    { ...common, id: '2.7.3', type: 'task.working.hard.now', state: 'working.hard.now', before: 'claimed' },
  ]);
  for (const pattern of ['task.completed', 'task.*', '*.completed', '*.*'])
    t.true(isWanted('task.completed', [pattern]));
  for (const pattern of ['task.complete', 'tas.*', '*.available'])
    t.false(isWanted('task.completed', [pattern]));
});

function commitOf(index: number, entries: readonly Entry[]): Commit {
  const prev = new Uint8Array(32);
  return { format: COMMIT_FORMAT, shard: 2, index, prev, at: 5, epoch: 1, consumed: 0, acted: 0, entries };
}

function writeSleeper(folder: string): true {
  writeFileSync(
    join(folder, 'sleeper.ts'),
    `import { createMachine } from '${import.meta.resolve('xstate')}';
const machine = createMachine({
  initial: 'awake',
  states: { awake: { on: { sleep: 'asleep' } }, asleep: { on: { wake: 'awake' } } },
});
export const sleeper = { name: 'sleeper', version: 1, machine };
`,
  );
  return true;
}
