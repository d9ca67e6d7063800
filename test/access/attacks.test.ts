/**
 * What a stolen key can not do: every attack is tried on a real server, refused there, and has changed nothing.
 */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { headers, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { Objm } from '@nats-io/obj';
import { connect } from '@nats-io/transport-node';
import anyTest, { type TestFn } from 'ava';
import { inboxPrefixOf } from '#runtime/access/permissions';
import { keyedOptions } from '#runtime/access/sign-on';
import { readHeaders } from '#runtime/bus/message-headers';
import { natsOutbox } from '#runtime/bus/nats-outbox';
import { provenSenders } from '#runtime/bus/senders';
import { ensureStreams } from '#runtime/bus/streams';
import { connect as connectClient } from '#runtime/client/node';
import { RawHeaders } from '#runtime/client/wire';
import { newSeed, type SigningKey, signingKey } from '#runtime/edge/sign';
import { userNkey } from '#runtime/keys/nkey';
import type { BlobStore } from '#runtime/shard/ports';
import type { FabricError } from '#schemas/fabric-error';
import { silentLogger } from '../rig/nats.ts';
import { SecureServer } from '../rig/secure.ts';

const TIMEOUT_MS = 60_000;
const NODE = 'node/n1';
const ALICE = 'agent/alice';
const BOB = 'agent/bob';
const AUDITOR = 'auditor/ann';
const TOOL = 'tool/calc';
const BOUNDS = { inboxBytesMax: 1e6, deadBytesMax: 1e6, logBytesMax: 1e6, objectBytesMax: 1e6 };

interface Bus {
  readonly server: SecureServer;
  readonly node: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly asked: Msg[];
}

const test = anyTest as TestFn<Bus>;

test.before(async (t) => {
  const server = await SecureServer.start(
    [NODE, ALICE, BOB, 'agent/mallory', AUDITOR, TOOL, 'operator/olga'],
    {
      rules: { 'tool/*': { asks: ['counter'] } },
      kinds: ['counter'],
    },
  );
  const node = await server.connect(NODE);
  await ensureStreams(node, server.subjects, { replicas: 1, ...BOUNDS });
  const asked: Msg[] = [];
  const answer = (_: Error | null, m: Msg): void => {
    asked.push(m);
    m.respond(`answer to ${m.string()}`);
  };
  for (const subject of ['if.ask.>', 'if.asks.>', 'if.api.>']) node.subscribe(subject, { callback: answer });
  const { buckets } = server.subjects;
  const kvm = new Kvm(node);
  await (await kvm.open(buckets.claims)).put('shard.0', 'held by n1');
  await (await kvm.open(buckets.keys)).put('kid', 'key');
  await (await kvm.open(buckets.privacy)).put('person', 'wrapped');
  await (await new Objm(node).open(buckets.objects)).putBlob({ name: 'body/1' }, new Uint8Array(10));
  node.publish('if.log.0', 'commit');
  node.publish('if.mail.0.1', 'mail');
  node.publish('if.dead.counter.k1', 'letter');
  await node.flush();
  Object.assign(t.context, { server, node, jsm: await jetstreamManager(node), asked });
});

test.after.always((t) => t.context.server[Symbol.asyncDispose]());

/** Everything stored, but for the inbox: that is what agents may write. */
async function stored({ jsm, server }: Bus): Promise<Record<string, string>> {
  const { streams, kv, obj } = server.subjects.stored;
  const names = [...streams, ...kv.map((name) => `KV_${name}`), ...obj.map((name) => `OBJ_${name}`)];
  const found: Record<string, string> = {};
  for (const name of names.filter((stream) => stream !== streams[1])) {
    const { state, config } = await jsm.streams.info(name);
    found[name] = JSON.stringify([state.messages, state.last_seq, state.first_seq, config]);
  }
  return found;
}

/** Does what is forbidden; resolves once the server has refused it on this subject. Throws where it does not. */
async function refused(nc: NatsConnection, subject: string, act: () => unknown): Promise<void> {
  const refusals = nc.status()[Symbol.asyncIterator]();
  const heard = (async () => {
    for (;;) {
      const { value, done } = await refusals.next();
      if (done === true) throw new Error('the connection closed');
      if (value.type === 'error' && String(value.error).includes(`"${subject}"`)) return;
    }
  })();
  act();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${subject} was not refused`)), TIMEOUT_MS);
  });
  try {
    await Promise.race([heard, late]);
  } finally {
    clearTimeout(timer);
    void refusals.return?.();
  }
}

test('a stolen agent key publishes to nothing but the doors of its kinds, and changes nothing stored', async (t) => {
  const { server } = t.context;
  const alice = await server.connect(ALICE);
  const before = await stored(t.context);
  const { log } = server.subjects.streams;
  const targets = [
    'if.log.0',
    'if.q.0.counter.k1',
    'if.mail.0.1',
    'if.dead.counter.k1',
    'if.ev.counter.k1.done',
    'if.effect.n1',
    'if.ask.keyring.realm',
    'if.ask.0.keyring.realm',
    'if.asks.0.keyring',
    'if.in.keyring.realm',
    'if.api.shard.0.show',
    'if.api.shard.0.redact',
    'if.api.shard.0.keyring',
    'if.api.shard.0.alarm',
    'if.api.config.apply',
    'if.api.node.n1.down',
    'if.api.node.n1.drain',
    '$KV.if_claims.shard.0',
    '$KV.if_keys.kid',
    '$KV.if_privacy.person',
    '$KV.if_nodes.n1',
    '$KV.if_witness.state',
    '$KV.if_sandbox.tenant.key',
    '$O.if_obj.C.x',
    '$O.if_boxes.M.x',
    '$O.if_tiles.M.x',
    '$JS.API.INFO',
    `$JS.API.STREAM.DELETE.${log}`,
    `$JS.API.STREAM.PURGE.${log}`,
    `$JS.API.STREAM.UPDATE.${log}`,
    `$JS.API.STREAM.MSG.DELETE.${log}`,
    `$JS.API.STREAM.MSG.GET.${log}`,
    '$JS.API.STREAM.INFO.IF_IN',
    '$JS.API.STREAM.PURGE.IF_IN',
    '$JS.API.STREAM.CREATE.EVIL',
    '$JS.API.CONSUMER.CREATE.IF_IN',
    '$JS.API.CONSUMER.CREATE.IF_IN.evil.if.q.0.agent.bob',
    '$JS.API.CONSUMER.DURABLE.CREATE.IF_IN.evil',
    '$JS.API.CONSUMER.MSG.NEXT.IF_IN.evil',
    '$JS.API.DIRECT.GET.KV_if_privacy.$KV.if_privacy.person',
    '$JS.API.DIRECT.GET.KV_if_keys',
    '$JS.API.STREAM.MSG.GET.OBJ_if_obj',
    '$SRV.PING',
    '$SYS.REQ.SERVER.PING',
    `${inboxPrefixOf(server.keys.get(BOB)?.kid ?? '')}.guess`,
    '_R_.guess',
  ];
  for (const subject of targets) await refused(alice, subject, () => alice.publish(subject, 'evil'));
  t.deepEqual(await stored(t.context), before);
});

test('a stolen agent key hears nobody else’s mail, answers, asks or events', async (t) => {
  const { server, node } = t.context;
  const alice = await server.connect(ALICE);
  const bobs = inboxPrefixOf(server.keys.get(BOB)?.kid ?? '');
  for (const subject of [
    '>',
    '*',
    '_INBOX.>',
    `${bobs}.>`,
    'if.>',
    'if.ask.>',
    'if.ask.counter.*',
    'if.in.>',
    'if.q.0.agent.bob',
    'if.ev.>',
    'if.ev.agent.bob.>',
    'if.log.*',
    '$KV.>',
    '$JS.>',
    '_R_.>',
  ]) {
    await refused(alice, subject, () => alice.subscribe(subject));
  }
  const own = alice.subscribe('if.ev.agent.alice.>', { max: 1 });
  await alice.flush();
  node.publish('if.ev.agent.bob.told', 'for bob');
  node.publish('if.ev.agent.alice.told', 'for alice');
  const heard: string[] = [];
  for await (const m of own) heard.push(m.string());
  t.deepEqual(heard, ['for alice']);
});

test('headers of JetStream in a send go past no permission', async (t) => {
  const { server } = t.context;
  const { jsm } = t.context;
  const alice = await server.connect(ALICE);
  const before = await stored(t.context);
  const send = async (fields: Record<string, string>): Promise<string> => {
    const hdrs = headers();
    for (const [name, value] of Object.entries(fields)) hdrs.set(name, value);
    return (await alice.request('if.in.counter.k1', 'x', { headers: hdrs, timeout: TIMEOUT_MS })).string();
  };
  await alice.request('if.in.counter.k1', 'first', { timeout: TIMEOUT_MS });
  const { state } = await jsm.streams.info(server.subjects.streams.inbox);
  for (const [name, value] of [
    ['Nats-Schedule', '@at 2099-01-01T00:00:00Z'],
    ['Nats-Rollup', 'sub'],
    ['Nats-Rollup', 'all'],
    ['Nats-TTL', '1s'],
    ['Nats-Incr', '+1'],
    ['Nats-Expected-Stream', 'IF_LOG'],
    ['Nats-Expected-Last-Sequence', '999'],
    ['Nats-Expected-Last-Subject-Sequence', '999'],
    ['Nats-Expected-Last-Msg-Id', 'other'],
  ] as const) {
    const schedule = name === 'Nats-Schedule' ? { 'Nats-Schedule-Target': 'if.q.0.counter.k2' } : {};
    t.regex(await send({ [name]: value, ...schedule }), /"error"/, name);
  }
  t.is((await jsm.streams.info(server.subjects.streams.inbox)).state.last_seq, state.last_seq);
  // Told to others, or of another stream: an ordinary message.
  for (const [name, value] of [
    ['Nats-Schedule-Target', 'if.log.0'],
    ['Nats-Stream-Source', 'IF_LOG 1 > > >'],
    ['Nats-Marker-Reason', 'Purge'],
    ['KV-Operation', 'PURGE'],
  ] as const) {
    await send({ [name]: value });
  }
  const trace = headers();
  trace.set('Nats-Trace-Dest', 'if.log.0');
  await refused(alice, 'if.log.0', () => alice.publish('if.in.counter.k1', 'x', { headers: trace }));
  t.deepEqual(await stored(t.context), before);
});

test('a reply subject brings nothing where its author may not publish', async (t) => {
  const { server } = t.context;
  const before = await stored(t.context);
  for (const [owner, subject] of [
    [ALICE, 'if.in.counter.k1'],
    [ALICE, 'if.ask.counter.k1'],
    [TOOL, 'if.ask.counter.k1'],
    [AUDITOR, '$JS.API.STREAM.INFO.IF_LOG'],
    [AUDITOR, 'if.api.status'],
  ] as const) {
    const nc = await server.connect(owner);
    for (const reply of ['if.log.0', '$KV.if_claims.shard.0', '$JS.API.STREAM.PURGE.IF_IN', 'if.mail.0.1']) {
      nc.publish(subject, '{}', { reply });
    }
    await nc.flush();
    // A round trip through the same doors: what was to come of the others has come.
    await (await server.connect('operator/olga')).request('if.api.status', '', { timeout: TIMEOUT_MS });
  }
  t.deepEqual(await stored(t.context), before);
});

test('no answer passes for a live event, wherever its asker has it sent', async (t) => {
  const { server, node } = t.context;
  const bob = await connectClient({
    url: server.url,
    ca: server.ca,
    signOn: server.keys.get(BOB) as SigningKey,
  });
  const events = bob.watch('agent/bob');
  const first = events.next();
  await bob.connection.flush();
  const alice = await server.connect(ALICE);
  const wire = bob.connection.subscribe('if.ev.agent.bob.forged', { max: 1 });
  await bob.connection.flush();
  alice.publish('if.ask.counter.k1', 'forged', { reply: 'if.ev.agent.bob.forged' });
  for await (const m of wire)
    t.is(m.string(), 'answer to forged', 'it comes: the server delivers answers so');
  const logger = silentLogger;
  natsOutbox({ nc: node, subjects: server.subjects, blobs: {} as BlobStore, logger }).event(
    'agent/bob',
    'real',
    { type: 'real' },
  );
  const { value } = await first;
  t.is(value?.event, 'real');
  await events.return();
  await bob.close();
});

test('a node hears from the server whose key sent an ask, whatever the sender writes', async (t) => {
  const { server, asked } = t.context;
  const alice = await server.connect(ALICE);
  const forged = JSON.stringify({ user: userNkey(server.keys.get(BOB)?.publicKey ?? new Uint8Array()) });
  const hdrs = headers();
  hdrs.append('nats-request-info', forged);
  hdrs.append('Nats-Request-Info', forged);
  hdrs.append('NATS-REQUEST-INFO', forged);
  hdrs.append('Nats-Request-Info', forged);
  for (const subject of ['if.ask.counter.k1', 'if.ask.0.counter.k1', 'if.asks.0.counter']) {
    await alice.request(subject, 'who am I', { headers: hdrs, timeout: TIMEOUT_MS });
    const { info = '{}' } = readHeaders(asked.findLast((m) => m.subject === subject) as Msg);
    t.is(
      (JSON.parse(info) as { user?: string }).user,
      userNkey(server.keys.get(ALICE)?.publicKey ?? new Uint8Array()),
    );
  }
});

test('no block of headers, however it is made, takes the name of another or hides who sent it', async (t) => {
  const { server, asked } = t.context;
  const alice = await server.connect(ALICE);
  const owners = new Map([...server.keys].map(([owner, { kid }]) => [kid, owner]));
  const { ofAsk } = provenSenders((kid) => owners.get(kid));
  const said = `Nats-Request-Info: ${JSON.stringify({
    user: userNkey(server.keys.get(BOB)?.publicKey ?? new Uint8Array()),
  })}`;
  const claim = `If-From: ${BOB}`;
  const from = async (subject: string, block: string): Promise<string | undefined> => {
    await alice.request(subject, 'who am I', { headers: new RawHeaders(block), timeout: TIMEOUT_MS });
    try {
      return ofAsk(readHeaders(asked.findLast((m) => m.subject === subject) as Msg));
    } catch (thrown) {
      return (thrown as FabricError).code;
    }
  };
  const proven = [
    `NATS/1.0\r\n${claim}\r\n\r\nX: y\r\n\r\n`,
    `NATS/1.0\r\n\r\n\r\n\r\n${claim}\r\n\r\n`,
    `NATS/1.0\r\n${said}\r\n${said}\r\n${said}\r\n\r\nX: y\r\n\r\n`,
    `NATS/1.0\r\nX: ${said}\r\n${claim}\r\n\r\n`,
    'NATS/1.0\r\nNats-Request-Info: {\r\nNats-Request-Info: {\r\n\r\nX: y\r\n\r\n',
    `${claim}\r\n\r\n`,
    `${claim}\r\nxx`,
    '\r\n',
  ];
  // The server cuts the last two bytes and adds its line right there.
  const unreadable = [
    `NATS/1.0\r\n${claim}\r\nX: ab`,
    `NATS/1.0\r\n${said}\r\n${said}\r\n${claim}\r\nX: ab`,
    `NATS/1.0\r\n${claim}\r\nX: ${said}ab`,
    `NATS/1.0\r\n${claim}\r\nX: y\n\r\n`,
    `NATS/1.0\r\n${claim}\r\n${said}`,
    `${claim}xx`,
    'NATS/1.0ab',
    'abc',
  ];
  for (const [n, block] of proven.entries())
    t.is(await from(`if.ask.1.counter.proven${n}`, block), ALICE, block);
  for (const [n, block] of unreadable.entries())
    t.is(await from(`if.ask.1.counter.unreadable${n}`, block), 'sender_unreadable', block);
});

test('agents and tools ask, agents send, and each gets its own answers', async (t) => {
  const { server, jsm } = t.context;
  for (const owner of [ALICE, BOB, TOOL]) {
    const nc = await server.connect(owner);
    for (const subject of [
      'if.ask.counter.k1',
      'if.ask.1.counter.k1',
      'if.asks.1.counter',
      'if.api.status',
    ]) {
      const answer = await nc.request(subject, owner, { timeout: TIMEOUT_MS });
      t.is(answer.string(), `answer to ${owner}`);
    }
  }
  const bob = await server.connect(BOB);
  const ack = (await bob.request('if.in.counter.k9', 'hello', { timeout: TIMEOUT_MS })).json<{
    seq: number;
  }>();
  const kept = await jsm.streams.getMessage('IF_IN', { seq: ack.seq });
  t.regex(kept?.subject ?? '', /^if\.q\.\d\.counter\.k9$/);
  const tool = await server.connect(TOOL);
  await refused(tool, 'if.in.counter.k9', () => tool.publish('if.in.counter.k9', 'x'));
});

test('an auditor reads the log and the registry, and writes nothing', async (t) => {
  const { server } = t.context;
  const before = await stored(t.context);
  const ann = await server.connect(AUDITOR);
  const jsm = await jetstreamManager(ann, { checkAPI: false });
  t.is((await jsm.streams.getMessage('IF_LOG', { seq: 1 }))?.string(), 'commit');
  const keys = await new Kvm(ann).open('if_keys');
  t.is((await keys.get('kid'))?.string(), 'key');
  t.is((await ann.request('if.api.members', '{}', { timeout: TIMEOUT_MS })).string(), 'answer to {}');
  for (const subject of [
    'if.log.0',
    'if.in.counter.k1',
    'if.ask.counter.k1',
    'if.mail.0.1',
    '$KV.if_claims.shard.0',
    '$KV.if_keys.kid',
    '$O.if_obj.C.x',
    '$O.if_boxes.C.x',
    '$JS.API.STREAM.PURGE.IF_IN',
    '$JS.API.STREAM.UPDATE.IF_LOG',
    '$JS.API.STREAM.MSG.DELETE.IF_DEAD',
    '$JS.API.STREAM.MSG.GET.KV_if_privacy',
    '$JS.API.CONSUMER.CREATE.IF_LOG.evil',
    '$JS.API.CONSUMER.CREATE.IF_LOG.evil.if.log.0',
    'if.api.config.apply',
    'if.api.node.n1.down',
    'if.api.shard.0.redact',
    'if.api.shard.0.keyring',
  ]) {
    await refused(ann, subject, () => ann.publish(subject, 'evil'));
  }
  t.deepEqual(await stored(t.context), before);
});

test('a node has no right to all subjects, nor to delete a stream or anything in the log', async (t) => {
  const { server, node } = t.context;
  const before = await stored(t.context);
  for (const subject of [
    '$JS.API.STREAM.DELETE.IF_LOG',
    '$JS.API.STREAM.PURGE.IF_LOG',
    '$JS.API.STREAM.MSG.DELETE.IF_LOG',
    '$JS.API.STREAM.CREATE.EVIL',
    '$SYS.REQ.SERVER.PING',
    'other.subject',
  ]) {
    await refused(node, subject, () => node.publish(subject, 'evil'));
  }
  await refused(node, '>', () => node.subscribe('>'));
  const foreign = `${inboxPrefixOf(server.keys.get(ALICE)?.kid ?? '')}.>`;
  await refused(node, foreign, () => node.subscribe(foreign));
  t.deepEqual(await stored(t.context), before);
});

// By itself: while accounts are loaded anew, the API of JetStream may refuse a request.
test.serial('a connection ends the moment its key is taken out, and the others stay', async (t) => {
  const { server } = t.context;
  const mallory = await server.connect('agent/mallory');
  const bob = await server.connect(BOB);
  server.revoke('agent/mallory');
  await mallory.closed();
  await t.throwsAsync(server.connect('agent/mallory'), { message: /authorization/i });
  t.is(
    (await bob.request('if.ask.counter.k1', 'still', { timeout: TIMEOUT_MS })).string(),
    'answer to still',
  );
});

test('nobody signs on without a key, with a foreign one, or to a server of another authority', async (t) => {
  const { server } = t.context;
  const stranger = signingKey(newSeed());
  const options = keyedOptions({ url: server.url, key: stranger, ca: server.ca });
  await t.throwsAsync(connect({ servers: server.url, ...options, reconnect: false }), {
    message: /authorization/i,
  });
  const { authenticator: _, ...keyless } = options;
  await t.throwsAsync(connect({ servers: server.url, ...keyless, reconnect: false }), {
    message: /authorization/i,
  });
});
