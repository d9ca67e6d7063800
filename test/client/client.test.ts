import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, watch } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { connect as natsConnect } from '@nats-io/transport-node';
import anyTest, { type TestFn } from 'ava';
import { setup } from 'xstate';
import { eventHeaders } from '#runtime/bus/live-event';
import { Subjects } from '#runtime/bus/subjects';
import { type ActorHandle, type Client, connect, fileSequences } from '#runtime/client/node';
import { clientSubjects } from '#runtime/client/subjects';
import { Turns } from '#runtime/client/turns';
import { decodeBody } from '#runtime/client/wire';
import { KeyRegistry } from '#runtime/edge/keys';
import { natsKeyStore } from '#runtime/edge/nats-keys';
import { newSeed, signingKey } from '#runtime/edge/sign';
import { edgeGate } from '#runtime/edge/verify';
import { locateServer } from '#runtime/node/locate-server';
import { FabricError } from '#schemas/fabric-error';
import type { IFMessage } from '#schemas/if-message';
import { TestServer } from '../rig/nats.ts';

const test = anyTest as TestFn<{ url: string; nc: NatsConnection; stop: () => Promise<void> }>;

test.before(async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'if-client-'));
  const ports = join(folder, 'ports');
  await mkdir(ports);
  const arrived = watch(ports);
  const server = spawn(
    await locateServer(process.env),
    ['-a', '127.0.0.1', '-p', '-1', '-js', '-sd', folder, '--ports_file_dir', ports],
    {
      stdio: 'ignore',
    },
  );
  let url: string | undefined;
  for await (const _ of arrived) {
    const [file] = await readdir(ports);
    const text = file === undefined ? '' : await readFile(join(ports, file), 'utf8');
    if (text === '') continue;
    url = (JSON.parse(text) as { nats: string[] }).nats[0];
    break;
  }
  if (url === undefined) throw new Error('nats-server told no port');
  const nc = await natsConnect({ servers: url });
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name: 'IF_IN', subjects: ['if.in.*.*'] });
  t.context = {
    url,
    nc,
    stop: async () => {
      await nc.close();
      server.kill('SIGKILL');
      await once(server, 'exit');
      await rm(folder, { recursive: true });
    },
  };
});

test.after.always((t) => t.context.stop());

/** Answers asks of one actor type. */
function responder(
  nc: NatsConnection,
  type: string,
  answer: (message: Msg, n: number) => unknown,
): Promise<void> {
  let n = 0;
  const callback = (_: Error | null, message: Msg): void => {
    const body = answer(message, n++);
    if (body !== undefined) message.respond(JSON.stringify(body));
  };
  nc.subscribe(`if.ask.${type}.*`, { callback });
  nc.subscribe(`if.ask.*.${type}.*`, { callback });
  return nc.flush();
}

const answered = (reply: unknown) => ({ ok: true, reply, value: 'on', commit: { shard: 1, index: 2 } });
const refused = (code: string, retryable: boolean) => ({
  ok: false,
  error: { code, message: code, retryable },
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'ok';
  } catch (thrown) {
    return thrown instanceof FabricError ? thrown.code : String(thrown);
  }
}

test('An ask carries id, sender and content type, and gives the reply, the value and the commit', async (t) => {
  const { nc, url } = t.context;
  await responder(nc, 'echo', (m) =>
    answered({ event: decodeBody(m.data), id: m.headers?.get('Nats-Msg-Id') }),
  );
  for (const encoding of ['json', 'msgpack'] as const) {
    await using client = await connect({ url, encoding, from: 'tool' });
    const answer = await client.ask('echo/a.b', { type: 'inc', by: 1 } as { type: string });
    t.deepEqual(answer, {
      reply: { event: { type: 'inc', by: 1 }, id: `${client.clientId}.0` },
      value: 'on',
      commit: { shard: 1, index: 2 },
    });
  }
});

test('D1: silence and retryable refusals are tried again under the same message id', async (t) => {
  const { nc, url } = t.context;
  const ids = new Set<string>();
  await responder(nc, 'flaky', (m, n) => {
    ids.add(m.headers?.get('Nats-Msg-Id') ?? '');
    return [undefined, refused('overloaded', true), answered(3)][n];
  });
  await using client = await connect({ url, attemptMs: 50 });
  t.is((await client.ask('flaky/a', { type: 'x' })).reply, 3);
  t.is(ids.size, 1);
});

test('D2: every ask ends: refused, timed out, with nobody there, aborted, closed', async (t) => {
  const { nc, url } = t.context;
  await responder(nc, 'no', () => refused('unknown_event', false));
  await responder(nc, 'busy', () => refused('overloaded', true));
  await responder(nc, 'mute', () => undefined);
  await responder(nc, 'odd', () => 7);
  const client = await connect({ url, attemptMs: 40 });
  const event = { type: 'x' };
  const timeoutMs = 400;
  t.is(await codeOf(client.ask('no/a', event)), 'unknown_event');
  t.is(await codeOf(client.ask('busy/a', event, { timeoutMs })), 'overloaded');
  t.is(await codeOf(client.ask('mute/a', event, { timeoutMs })), 'ask_timeout');
  t.is(await codeOf(client.ask('nobody/a', event, { timeoutMs })), 'nobody_answers');
  t.is(await codeOf(client.ask('mute/a', event, { signal: AbortSignal.timeout(30) })), 'ask_aborted');
  t.is(await codeOf(client.ask('mute/a', event, { signal: AbortSignal.abort() })), 'ask_aborted');
  t.is(await codeOf(client.ask('odd/a', event)), 'bad_answer');
  t.is(await codeOf(client.ask('Bad/>', event)), 'bad_address');
  t.is(await codeOf(client.ask('no/a', event, { id: 'a\r\nb: c' })), 'bad_message_id');
  const open = codeOf(client.ask('mute/a', event));
  await client.close();
  t.is(await open, 'client_closed');
  t.is(await codeOf(client.ask('no/a', event)), 'client_closed');
});

test('D3: asks past the bound are refused at once', async (t) => {
  const { nc, url } = t.context;
  await responder(nc, 'slow', () => undefined);
  await using client = await connect({ url, outstandingMax: 2 });
  const open = [1, 2].map(() => codeOf(client.ask('slow/a', { type: 'x' }, { timeoutMs: 60 })));
  t.is(await codeOf(client.ask('slow/a', { type: 'x' })), 'too_many_asks');
  t.deepEqual(await Promise.all(open), ['ask_timeout', 'ask_timeout']);
});

test('Ten thousand asks at once are each answered with their own answer', async (t) => {
  const { nc, url } = t.context;
  await responder(nc, 'many', (m) => answered((decodeBody(m.data) as { n: number }).n));
  await using client = await connect({ url, outstandingMax: 10_000 });
  const asks = Array.from({ length: 10_000 }, (_, n) =>
    client.ask(`many/k${n % 100}`, { type: 'x', n } as { type: string }),
  );
  const replies = (await Promise.all(asks)).map((answer) => answer.reply);
  t.deepEqual(replies, [...replies.keys()]);
});

test('A send resolves once stored, and the same id is stored once', async (t) => {
  await using client = await connect({ url: t.context.url });
  const first = await client.send('counter/k1', { type: 'inc' }, { id: 'one' });
  const again = await client.send('counter/k1', { type: 'inc' }, { id: 'one' });
  t.deepEqual([first.duplicate, again.duplicate], [false, true]);
  t.is(first.seq, again.seq);
});

test('Sent messages are numbered and signed, and pass the gate with keys from the bucket', async (t) => {
  const { url, nc } = t.context;
  const key = signingKey(newSeed());
  const kv = await new Kvm(nc).create('if_keys');
  await using before = await KeyRegistry.open(natsKeyStore(kv));
  const publicKey = Buffer.from(key.publicKey).toString('base64url');
  await before.add({ kid: key.kid, owner: 'session/ndi', publicKey }, Date.now());
  await using after = await KeyRegistry.open(natsKeyStore(kv));
  const gate = edgeGate({ policy: { unsignedTypes: [] }, keyOf: after.keyOf });
  const got: IFMessage[] = [];
  nc.subscribe('if.in.guardian.*', {
    callback: (_, m) => {
      got.push(decodeBody(m.data) as IFMessage);
    },
  });
  await nc.flush();
  await using client = await connect({ url, from: 'session/ndi', key });
  const draft = {
    performative: 'inform',
    to: ['if://guardian/a'],
    conversation: 'c',
    content: { n: 1 },
  } as const;
  await Promise.all([1, 2, 3].map(() => client.sendMessage({ ...draft, to: [...draft.to] })));
  await nc.flush();
  t.deepEqual(
    got.map((m) => m.seq),
    [1, 2, 3],
  );
  let lastSeq = 0;
  for (const message of got) {
    const verdict = gate.check(message, { actor: 'guardian/a', now: Date.now(), lastSeq: () => lastSeq });
    t.true(verdict.ok);
    lastSeq = message.seq;
  }
  await using keyless = await connect({ url });
  t.is(await codeOf(keyless.sendMessage({ ...draft, to: [...draft.to] })), 'no_signer');
});

test('A signed message that is refused for a moment or not heard is not overtaken by the next one to its actor', async (t) => {
  const { url, nc } = t.context;
  const lastSeq = new Map<string, number>();
  await responder(nc, 'gated', (m, n) => {
    const { seq } = decodeBody(m.data) as IFMessage;
    const actor = m.subject.slice(m.subject.lastIndexOf('.') + 1);
    if (actor === 'mute') return undefined;
    if (n === 0) return refused('overloaded', true);
    if (seq <= (lastSeq.get(actor) ?? 0)) return refused('replayed_seq', false);
    lastSeq.set(actor, seq);
    return answered(seq);
  });
  await using client = await connect({ url, from: 'session/ndi', key: newSeed() });
  const ask = (actor: string, options = {}) =>
    client.askMessage(
      { performative: 'inform', to: [`if://gated/${actor}`], conversation: 'c', content: null },
      options,
    );
  const answers = await Promise.all(['a', 'a', 'a'].map((actor) => ask(actor)));
  t.deepEqual(
    answers.map(({ reply }) => reply),
    [1, 2, 3],
  );
  const muted = codeOf(ask('mute', { timeoutMs: 300 }));
  const behind = [{ timeoutMs: 30 }, { signal: AbortSignal.timeout(30) }].map((o) => codeOf(ask('mute', o)));
  t.is((await ask('b')).reply, 5, 'another actor is not waited for');
  t.deepEqual(await Promise.all(behind), ['ask_timeout', 'ask_aborted'], 'waiting counts');
  t.is(await muted, 'ask_timeout');
  t.is((await ask('a')).reply, 6, 'what was not sent took no number');
});

test('T2: who gives up while it waits lets nobody behind it overtake those before it', async (t) => {
  const turns = new Turns();
  const [first, second] = [turns.enter(['a']), turns.enter(['a', 'b'])];
  t.is(await codeOf(second.come(1, undefined)), 'ask_timeout');
  const [third, other] = [turns.enter(['a']), turns.enter(['b'])];
  second.leave();
  await other.come(60_000, undefined);
  t.is(await codeOf(third.come(1, undefined)), 'ask_timeout');
  first.leave();
  await third.come(60_000, undefined);
  t.is(turns.size, 2);
});

test('Sequence files hand out each number once among rivals, and go on where they stopped', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'if-seq-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const rivals = [fileSequences(folder), fileSequences(folder), fileSequences(folder)];
  const taken = await Promise.all(
    Array.from({ length: 60 }, (_, n) => rivals[n % 3]?.next('if://session/a')),
  );
  t.is(new Set(taken).size, 60);
  const next = await fileSequences(folder).next('if://session/a');
  t.true(next > Math.max(...taken.map((n) => n ?? 0)));
});

test('A watcher sees live events in order, and is told how many it was too slow for', async (t) => {
  const { url, nc } = t.context;
  await using client = await connect({ url });
  const events = client.watch('task/*', { bufferMax: 3 });
  const first = events.next();
  await client.connection.flush();
  for (let n = 0; n < 6; n += 1) {
    nc.publish('if.ev.task.P0%2E1.task.moved', JSON.stringify({ n }), { headers: eventHeaders() });
  }
  await nc.flush();
  await client.connection.flush();
  const seen = [await first, await events.next(), await events.next()].map((r) => r.value);
  t.deepEqual(seen[0], { address: 'task/P0.1', event: 'task.moved', body: { n: 3 }, missed: 3 });
  t.deepEqual(
    seen.map((e) => (e ? e.missed : -1)),
    [3, 0, 0],
  );
  await events.return();
  t.throws(() => client.watch('task.>'), { message: /no address pattern/ });
});

test('With the shard count known, asks go straight to the shard that the server would pick', async (t) => {
  const { url, nc } = t.context;
  nc.subscribe('w.api.status', {
    callback: (_, m) => {
      m.respond(JSON.stringify({ ok: true, nodeId: 'n', shardCount: 16, shards: [] }));
    },
  });
  const subjects: string[] = [];
  nc.subscribe('w.ask.>', {
    callback: (_, m) => {
      subjects.push(m.subject);
      m.respond(JSON.stringify(answered(0)));
    },
  });
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({
    name: 'W_IN',
    subjects: ['w.in.*.*'],
    subject_transform: { src: 'w.in.*.*', dest: 'w.q.{{partition(16,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}' },
  });
  await nc.flush();
  await using client = await connect({ url, prefix: 'w' });
  // Connecting waits only shortly for this answer.
  t.true(await client.learnShards(5_000));
  for (const address of ['counter/k1', 'task/P0.1.1', 'session/a~b:c', 'h-323/x@y']) {
    await client.ask(address, { type: 'x' });
    const { seq } = await client.send(address, { type: 'x' });
    const stored = await jsm.streams.getMessage('W_IN', { seq });
    t.is(stored?.subject.replace('w.q.', 'w.ask.'), subjects.at(-1));
    t.is(subjects.at(-1), clientSubjects('w').askShard(address, 16));
    t.true(new Subjects('if', 16).shardOf(address) < 16);
  }
});

test('The first node that answers tells the shard count: nobody waits for the others', async (t) => {
  const { url, nc } = t.context;
  nc.subscribe('f.api.status', {
    callback: (_, m) => {
      // Of those who waited for all, the one with the lower id would be believed.
      for (const [nodeId, shardCount] of [
        ['second', 4],
        ['first', 8],
      ])
        m.respond(JSON.stringify({ ok: true, nodeId, shardCount, shards: [] }));
    },
  });
  await nc.flush();
  await using client = await connect({ url, prefix: 'f' });
  t.true(await client.learnShards(60_000));
  t.is(client.shards, 4);
});

test('The browser entry imports nothing of Node', async (t) => {
  const seen = new Set<string>();
  const visit = async (file: string): Promise<void> => {
    if (seen.has(file)) return;
    seen.add(file);
    const source = await readFile(file, 'utf8');
    for (const [, target = ''] of source.matchAll(/^(?:import|export)\s(?!type\b)[^;]*?from '([^']+)'/gm)) {
      t.false(
        target.startsWith('node:') || target === '@nats-io/transport-node',
        `${file} imports ${target}`,
      );
      if (target.startsWith('#')) await visit(join(import.meta.dirname, '../..', `${target.slice(1)}.ts`));
      if (target.startsWith('./')) await visit(join(file, '..', target));
    }
  };
  await visit(join(import.meta.dirname, '../../runtime/client/browser.ts'));
  t.true(seen.size > 5);
});

// Checked by the compiler: a handle takes the events of its machine and no others.
const machine = setup({
  types: { events: {} as { type: 'inc' } | { type: 'add'; by: number } },
}).createMachine({});
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type HandleOf = ReturnType<typeof Client.prototype.actor<typeof machine>>;
const handleIsTyped: Same<HandleOf, ActorHandle<{ type: 'inc' } | { type: 'add'; by: number }>> = true;

test('A typed handle asks and sends like its client', async (t) => {
  const { nc, url } = t.context;
  await responder(nc, 'typed', (m) => answered(decodeBody(m.data)));
  await using client = await connect({ url });
  const handle = client.actor<typeof machine>('typed/a');
  t.deepEqual((await handle.ask({ type: 'add', by: 2 })).reply, { type: 'add', by: 2 });
  t.false((await handle.send({ type: 'inc' })).duplicate);
  t.true(handleIsTyped);
});

test('A client whose server is away closes all the same', async (t) => {
  const server = await TestServer.start();
  const client = await connect({ url: server.url, token: server.token });
  await server[Symbol.asyncDispose]();
  await client.close();
  t.true(client.connection.isClosed());
});

test('A client whose server neither answers nor goes leaves after a moment', async (t) => {
  await using server = await TestServer.start();
  const client = await connect({ url: server.url, token: server.token });
  const { pid } = server;
  process.kill(pid, 'SIGSTOP');
  try {
    await client.close();
    t.true(client.connection.isClosed());
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});
