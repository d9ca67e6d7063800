import { createHash } from 'node:crypto';
import { createConnection } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { DiscardPolicy, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import test from 'ava';
import { AckMux } from '#runtime/bus/ack-mux';
import { decode, encode, MSGPACK } from '#runtime/bus/codec';
import { type AskRoute, natsAsks, openAskRouter } from '#runtime/bus/nats-asks';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { mailOf, natsInbox } from '#runtime/bus/nats-inbox';
import { natsLog } from '#runtime/bus/nats-log';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { natsOutbox } from '#runtime/bus/nats-outbox';
import { isAnswerable } from '#runtime/bus/reply-guard';
import { RetryTime } from '#runtime/bus/retry-time';
import { ensureStreams, type StreamOptions } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { systemClock } from '#runtime/bus/system';
import { lastLetters, letterAt, retryLetter } from '#runtime/cli/dead-stream';
import type {
  Ask,
  DeadLetter,
  InboxMessage,
  MailBundle,
  Outbox,
  ShardInbox,
  ShardLog,
} from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { silentLogger, TestServer } from '../rig/nats.ts';

/** A loaded machine answers late. */
const APPEND_TIMEOUT_MS = 30_000;
const SHARDS = 4;
const MIB = 1024 * 1024;
/** Longer than a crowded machine ever stalls. */
const PATIENCE_MS = 60_000;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data);

class Bus implements AsyncDisposable {
  readonly server: TestServer;
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly acks: AckMux;

  constructor(server: TestServer, nc: NatsConnection, subjects: Subjects) {
    this.server = server;
    this.nc = nc;
    this.subjects = subjects;
    this.acks = new AckMux(nc);
  }

  static async open(over: Partial<StreamOptions> = {}): Promise<Bus> {
    const server = await TestServer.start();
    const nc = await server.connect();
    const subjects = new Subjects('if', SHARDS);
    await ensureStreams(nc, subjects, streamOptions(over));
    return new Bus(server, nc, subjects);
  }

  async log(shard: number): Promise<ShardLog> {
    const { nc, acks, subjects } = this;
    const retryTime = new RetryTime(APPEND_TIMEOUT_MS, APPEND_TIMEOUT_MS);
    return natsLog({ nc, jsm: await jetstreamManager(nc), acks, subjects, retryTime }, shard);
  }

  async outbox(logger = silentLogger): Promise<Outbox> {
    const { nc, subjects } = this;
    return natsOutbox({ nc, subjects, blobs: await natsBlobs(nc, subjects), logger });
  }

  async inbox(shard: number): Promise<ShardInbox> {
    const { nc, subjects } = this;
    const jsm = await jetstreamManager(nc);
    return natsInbox({ nc, jsm, subjects, clock: systemClock, logger: silentLogger }, shard);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.acks.close();
    await this.server[Symbol.asyncDispose]();
  }
}

function streamOptions(over: Partial<StreamOptions> = {}): StreamOptions {
  return { replicas: 1, inboxBytesMax: 64 * MIB, deadBytesMax: 16 * MIB, logBytesMax: -1, ...over };
}

async function collect(log: ShardLog, afterSeq: number, throughSeq: number): Promise<string[]> {
  const found: string[] = [];
  for await (const { seq, bytes: data } of log.read(afterSeq, throughSeq)) found.push(`${seq}:${text(data)}`);
  return found;
}

async function failureOf(work: Promise<unknown>): Promise<FabricError> {
  const thrown: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof FabricError) return thrown;
  throw new Error('a FabricError was expected', { cause: thrown });
}

async function reconnected(nc: NatsConnection): Promise<void> {
  for await (const { type } of nc.status()) if (type === 'reconnect') return;
}

/** Collects what an inbox delivers and tells when so many came. */
class Letters {
  readonly got: InboxMessage[] = [];
  #wanted = Number.POSITIVE_INFINITY;
  #reached: () => void = () => {};

  readonly take = (message: InboxMessage): void => {
    this.got.push(message);
    if (this.got.length >= this.#wanted) this.#reached();
  };

  async count(wanted: number): Promise<void> {
    if (this.got.length >= wanted) return;
    this.#wanted = wanted;
    await new Promise<void>((resolve) => {
      this.#reached = resolve;
    });
  }
}

test('the log takes one commit after the one named, and fences every other', async (t) => {
  await using bus = await Bus.open();
  const log = await bus.log(1);
  t.is(await log.head(), undefined);
  t.deepEqual(await log.append(bytes('a'), 0), { kind: 'appended', seq: 1 });
  t.deepEqual(await log.append(bytes('rival'), 0), { kind: 'conflict' });
  t.deepEqual(await (await bus.log(2)).append(bytes('other shard'), 0), { kind: 'appended', seq: 2 });
  t.deepEqual(await log.append(bytes('b'), 1), { kind: 'appended', seq: 3 });
  t.deepEqual(await log.append(bytes('c'), 2), { kind: 'conflict' });
  const head = await log.head();
  t.deepEqual([head?.seq, text(head?.bytes)], [3, 'b']);
  t.is(text((await log.get(1))?.bytes), 'a');
  t.is(await log.get(99), undefined);
});

test('what begins past the end of a server, as of one that lags behind, begins there and not before', async (t) => {
  await using bus = await Bus.open();
  const [log, other] = [await bus.log(1), await bus.log(2)];
  let seq = 0;
  const append = async (): Promise<void> => {
    const result = await log.append(bytes(`c${seq + 1}`), seq);
    if (result.kind === 'appended') seq = result.seq;
  };
  await append();
  // As behind the leader: what is asked for is not here yet.
  const reading = collect(log, 4, 5);
  const stop = new AbortController();
  const reader = await natsLogReader(bus.nc, bus.subjects);
  const followed = (async () => {
    const seen: number[] = [];
    for await (const batch of reader.follow(5, stop.signal)) {
      seen.push(...batch.map((message) => message.seq));
      if (seen.includes(6)) return seen;
    }
    return seen;
  })();
  const jsm = await jetstreamManager(bus.nc);
  while ((await jsm.streams.info(bus.subjects.streams.log)).state.consumer_count < 2) await turn();
  for (let n = 0; n < 4; n += 1) await append();
  await other.append(bytes('other shard'), 0);
  t.deepEqual(await reading, ['5:c5']);
  t.deepEqual(await followed, [5, 6]);
  stop.abort();
});

test('of concurrent appends after one commit exactly one is stored', async (t) => {
  await using bus = await Bus.open();
  const log = await bus.log(0);
  let last = 0;
  for (let round = 0; round < 20; round++) {
    const results = await Promise.all([1, 2, 3, 4].map((n) => log.append(bytes(`${round}.${n}`), last)));
    const won = results.flatMap((r) => (r.kind === 'appended' ? [r.seq] : []));
    t.is(won.length, 1);
    last = won[0] ?? 0;
  }
  t.is((await collect(log, 0, last)).length, 20);
});

test('reading ends by itself, whatever lies at the last sequence', async (t) => {
  await using bus = await Bus.open();
  const [log, other] = [await bus.log(0), await bus.log(1)];
  await log.append(bytes('a'), 0);
  await other.append(bytes('x'), 0);
  await log.append(bytes('b'), 1);
  await other.append(bytes('y'), 2);
  t.deepEqual(await collect(log, 0, 3), ['1:a', '3:b']);
  t.deepEqual(await collect(log, 1, 3), ['3:b']);
  t.deepEqual(await collect(log, 0, 2), ['1:a']);
  t.deepEqual(await collect(log, 0, 4), ['1:a', '3:b']);
  t.deepEqual(await collect(log, 3, 3), []);
  t.deepEqual(await collect(log, 4, 3), []);
});

test('a reader that stops early leaves no consumer that the server has to feed', async (t) => {
  await using bus = await Bus.open();
  const log = await bus.log(0);
  let last = 0;
  for (let i = 0; i < 50; i++) {
    const result = await log.append(bytes(String(i)), last);
    t.is(result.kind, 'appended');
    if (result.kind === 'appended') last = result.seq;
  }
  for await (const { seq } of log.read(0, last)) if (seq === 10) break;
  t.is((await collect(log, 0, last)).length, 50);
});

test('a full log refuses for certain, and what was stored stays', async (t) => {
  await using bus = await Bus.open({ logBytesMax: 64 * 1024 });
  const log = await bus.log(0);
  t.like(await log.append(new Uint8Array(40 * 1024), 0), { kind: 'appended' });
  t.like(await log.append(new Uint8Array(40 * 1024), 1), {
    kind: 'refused',
    error: { code: 'storage_refused', retryable: true },
  });
  t.is((await log.head())?.seq, 1);
  t.like(await log.append(bytes('small'), 1), { kind: 'appended' });
  t.true(log.bytesMax < 8 * MIB && log.bytesMax >= MIB);
  t.like(await log.append(new Uint8Array(9 * MIB), 2), {
    kind: 'refused',
    error: { code: 'storage_refused' },
  });
});

test('an append on a server that goes away is unclear, and the log afterwards tells', async (t) => {
  await using bus = await Bus.open();
  const log = await bus.log(0);
  t.like(await log.append(bytes('a'), 0), { kind: 'appended' });
  await bus.server.stop();
  const pending = log.append(bytes('b'), 1);
  t.like(await pending, { kind: 'unclear' });
  const back = reconnected(bus.nc);
  await bus.server.restart();
  await back;
  t.true([1, 2].includes((await log.head())?.seq ?? 0));
});

test('commits can be neither deleted nor purged, nor rolled up by a header', async (t) => {
  await using bus = await Bus.open();
  const log = await bus.log(0);
  await log.append(bytes('a'), 0);
  const jsm = await jetstreamManager(bus.nc);
  await t.throwsAsync(jsm.streams.deleteMessage('IF_LOG', 1));
  await t.throwsAsync(jsm.streams.purge('IF_LOG'));
  const hdrs = headers();
  hdrs.set('Nats-Rollup', 'sub');
  await t.throwsAsync(jetstream(bus.nc).publish('if.log.0', 'forged', { headers: hdrs }));
  t.is((await log.head())?.seq, 1);
});

test('the inbox delivers sends and mail of its shard in order, with their headers', async (t) => {
  await using bus = await Bus.open();
  const shard = bus.subjects.shardOf('counter/k1');
  const js = jetstream(bus.nc);
  const hdrs = headers();
  for (const [name, value] of [
    ['Nats-Msg-Id', 'm1'],
    ['Content-Type', MSGPACK],
    ['If-From', 'tester'],
    ['traceparent', '00-ab-cd-01'],
  ] as const)
    hdrs.set(name, value);
  await js.publish(bus.subjects.in('counter/k1'), 'one', { headers: hdrs });
  await js.publish(bus.subjects.in('counter/k1'), 'two');
  const bundle: MailBundle = { source: (shard + 1) % SHARDS, index: 4, prev: -1, items: [] };
  await (await bus.outbox()).mail(shard, bundle);
  await (await bus.outbox()).mail((shard + 1) % SHARDS, bundle);
  const letters = new Letters();
  const subscription = await (await bus.inbox(shard)).open(0, letters.take);
  await letters.count(3);
  t.like(letters.got[0], {
    seq: 1,
    subject: `if.q.${shard}.counter.k1`,
    contentType: MSGPACK,
    id: 'm1',
    from: 'tester',
    trace: '00-ab-cd-01',
  });
  t.like(letters.got[1], {
    seq: 2,
    contentType: undefined,
    id: undefined,
    from: undefined,
    trace: undefined,
  });
  const [, , mail] = letters.got;
  t.deepEqual(mail && mailOf(bus.subjects, mail), bundle);
  await subscription.close();
});

test('a header that the client cannot parse loses no message and no ask', async (t) => {
  await using bus = await Bus.open();
  const shard = bus.subjects.shardOf('counter/k1');
  const route = { offer: () => false, refusal: () => undefined };
  const router = openAskRouter(bus.nc, bus.subjects, route, silentLogger);
  await bus.nc.flush();
  const answer = bus.nc.subscribe('answers', { max: 2 });
  await bus.nc.flush();
  const { hostname, port } = new URL(bus.server.url);
  const raw = createConnection(Number(port), hostname);
  const head = 'NATS/1.0\r\nContent-Type: a\nb\r\nNats-Msg-Id: m1\r\n\r\n';
  const publish = (subject: string): string =>
    `HPUB ${subject} ${head.length} ${head.length + 2}\r\n${head}{}\r\n`;
  const login = JSON.stringify({ verbose: false, headers: true, auth_token: bus.server.token });
  raw.write(
    `CONNECT ${login}\r\n${publish('if.in.counter.k1')}${publish('if.ask.counter.k1 answers')}${publish('if.ask.bad answers')}`,
  );
  const letters = new Letters();
  const subscription = await (await bus.inbox(shard)).open(0, letters.take);
  await letters.count(1);
  t.like(letters.got[0], { seq: 1, contentType: 'a\nb', id: 'm1', body: Buffer.from('{}') });
  const codes: string[] = [];
  for await (const m of answer) codes.push((m.json() as { error: { code: string } }).error.code);
  t.deepEqual(codes, ['bad_body', 'bad_subject']);
  raw.destroy();
  await subscription.close();
  await router.close();
});

test('an ask that has grown too big to be passed on is refused, and the node goes on hearing', async (t) => {
  await using bus = await Bus.open();
  const route = { offer: () => false, refusal: () => undefined };
  const router = openAskRouter(bus.nc, bus.subjects, route, silentLogger);
  const answer = bus.nc.subscribe('answers', { max: 2 });
  await bus.nc.flush();
  const { hostname, port } = new URL(bus.server.url);
  const raw = createConnection(Number(port), hostname);
  // The client writes a space behind each colon.
  const head = 'NATS/1.0\r\nA:b\r\n\r\n';
  const size = bus.nc.info?.max_payload ?? 0;
  const login = JSON.stringify({ verbose: false, headers: true, auth_token: bus.server.token });
  raw.write(`CONNECT ${login}\r\nHPUB if.ask.counter.k1 answers ${head.length} ${size}\r\n${head}`);
  raw.write(`${' '.repeat(size - head.length)}\r\nPUB if.ask.bad answers 2\r\n{}\r\n`);
  const codes: string[] = [];
  for await (const m of answer) codes.push((m.json() as { error: { code: string } }).error.code);
  t.deepEqual(codes, ['ask_too_big', 'bad_subject']);
  raw.destroy();
  await router.close();
});

test('mail that no shard has written is no mail', (t) => {
  const subjects = new Subjects('if', SHARDS);
  const good: MailBundle = {
    source: 2,
    index: 1,
    prev: 0,
    items: [{ n: 0, mail: { to: 'counter/k1', from: 'counter/k2' } }],
  };
  const of = (body: Uint8Array, subject = 'if.mail.1.2'): MailBundle | undefined =>
    mailOf(subjects, { seq: 1, subject, body } as InboxMessage);
  t.deepEqual(of(encode(good)), good);
  t.is(of(encode(good), 'if.mail.1.3'), undefined);
  t.is(of(encode(good), 'if.q.1.counter.k1'), undefined);
  t.is(of(bytes('garbage')), undefined);
  for (const bad of [
    null,
    5,
    [],
    {},
    { ...good, index: 'x' },
    { ...good, items: [{}] },
    { ...good, items: [null] },
  ]) {
    t.is(of(encode(bad)), undefined);
  }
});

test('the inbox goes on behind its position through kill -9 of the server: no gap, nothing twice', async (t) => {
  await using bus = await Bus.open();
  const js = jetstream(bus.nc);
  const shard = bus.subjects.shardOf('counter/k1');
  const letters = new Letters();
  const send = async (n: number): Promise<void> => {
    for (;;) {
      try {
        await js.publish(bus.subjects.in('counter/k1'), String(n), { timeout: 500 });
        return;
      } catch {
        // The server is away: the sender does what senders do.
      }
    }
  };
  const subscription = await (await bus.inbox(shard)).open(0, letters.take);
  for (let n = 0; n < 60; n++) {
    await send(n);
    if (n === 20) bus.server.kill();
  }
  const { state } = await (await jetstreamManager(bus.nc)).streams.info('IF_IN');
  await letters.count(state.messages);
  const sequences = letters.got.map((m) => m.seq);
  t.deepEqual(
    sequences,
    [...new Set(sequences)].toSorted((a, b) => a - b),
  );
  t.is(sequences.length, state.messages);
  const first = [...new Set(letters.got.map((m) => Number(text(m.body))))];
  t.deepEqual(
    first,
    Array.from({ length: 60 }, (_, n) => n),
  );
  await subscription.close();
});

test('the inbox survives that its consumer is taken away', async (t) => {
  await using bus = await Bus.open();
  const js = jetstream(bus.nc);
  const jsm = await jetstreamManager(bus.nc);
  const letters = new Letters();
  const shard = bus.subjects.shardOf('counter/k1');
  const subscription = await (await bus.inbox(shard)).open(0, letters.take);
  await js.publish(bus.subjects.in('counter/k1'), '0');
  await letters.count(1);
  for await (const { name } of jsm.consumers.list('IF_IN')) await jsm.consumers.delete('IF_IN', name);
  await js.publish(bus.subjects.in('counter/k1'), '1');
  await letters.count(2);
  t.deepEqual(
    letters.got.map((m) => text(m.body)),
    ['0', '1'],
  );
  await subscription.close();
});

test('an inbox closes at whatever moment of its opening', async (t) => {
  await using bus = await Bus.open();
  const inbox = await bus.inbox(0);
  const { nc } = bus;
  const request = nc.request.bind(nc);
  let answered: () => void = () => {};
  nc.request = async (subject, ...rest) => {
    const answer = await request(subject, ...rest);
    if (subject.includes('CONSUMER.CREATE')) answered();
    return answer;
  };
  for (let turns = 0; turns < 40; turns += 1) {
    const made = new Promise<void>((resolve) => {
      answered = resolve;
    });
    const subscription = await inbox.open(0, () => {});
    await made;
    for (let turn = 0; turn < turns; turn += 1) await undefined;
    await subscription.close();
  }
  t.pass();
});

test('a paused inbox holds still, and goes on where it was', async (t) => {
  await using bus = await Bus.open();
  const js = jetstream(bus.nc);
  const letters = new Letters();
  const shard = bus.subjects.shardOf('counter/k1');
  const subscription = await (await bus.inbox(shard)).open(0, (message) => {
    if (letters.got.length === 2) subscription.pause();
    letters.take(message);
  });
  await Promise.all(
    Array.from({ length: 3_000 }, (_, n) => js.publish(bus.subjects.in('counter/k1'), String(n))),
  );
  await letters.count(3);
  await bus.nc.flush();
  t.is(letters.got.length, 3);
  subscription.resume();
  await letters.count(3_000);
  t.deepEqual(
    letters.got.map((m) => m.seq),
    Array.from({ length: 3_000 }, (_, n) => n + 1),
  );
  await subscription.close();
});

test('what readers hold ahead is bounded in bytes, however large the messages are', async (t) => {
  await using bus = await Bus.open({ inboxBytesMax: 256 * MIB });
  const log = await bus.log(0);
  const body = new Uint8Array(3 * MIB);
  const count = 30;
  for (let n = 0; n < count; n++) {
    t.like(await log.append(body, n), { kind: 'appended' });
    await jetstream(bus.nc).publish('if.in.counter.k1', body);
  }
  const heldMax = 24 * MIB;
  const reader = await bus.server.connect();
  const jsm = await jetstreamManager(reader);
  const { subjects } = bus;
  let read = 0;
  for await (const { seq } of natsLog({ nc: reader, jsm, acks: bus.acks, subjects }, 0).read(0, count)) {
    read = seq;
    if (seq > 1) continue;
    await reader.flush();
    t.true(reader.stats().inBytes < heldMax);
  }
  t.is(read, count);

  const before = reader.stats().inBytes;
  const deps = { nc: reader, jsm, subjects, clock: systemClock, logger: silentLogger };
  const letters = new Letters();
  const inbox = natsInbox(deps, subjects.shardOf('counter/k1'));
  const subscription = await inbox.open(0, (message) => {
    if (letters.got.length === 0) subscription.pause();
    letters.take(message);
  });
  await letters.count(1);
  await reader.flush();
  t.true(reader.stats().inBytes - before < heldMax);
  subscription.resume();
  await letters.count(count);
  await subscription.close();
});

test('release lets go of a shard’s consumed messages and of nothing else', async (t) => {
  await using bus = await Bus.open();
  const js = jetstream(bus.nc);
  const addresses = Array.from({ length: 12 }, (_, n) => `counter/k${n}`);
  for (const address of addresses) await js.publish(bus.subjects.in(address), address);
  const mine = addresses.flatMap((address, n) => (bus.subjects.shardOf(address) === 0 ? [n + 1] : []));
  const through = mine[1] ?? 0;
  t.true(mine.length > 2);
  await (await bus.inbox(0)).release(through);
  const left: number[] = [];
  const consumer = await js.consumers.get('IF_IN');
  for await (const m of await consumer.consume()) {
    left.push(m.seq);
    if (m.info.pending === 0) break;
  }
  t.deepEqual(
    left,
    addresses.flatMap((_, n) => (mine.slice(0, 2).includes(n + 1) ? [] : [n + 1])),
  );
  await (await bus.inbox(0)).release(0);
});

test('what no connection would carry: an answer is refused in its place, alone and in a batch; a live event is dropped', async (t) => {
  await using bus = await Bus.open();
  const shard = bus.subjects.shardOf('counter/k1');
  const size = bus.nc.info?.max_payload ?? 0;
  const door = natsAsks(bus.nc, bus.subjects, shard, silentLogger).open((ask) => {
    ask.respond(JSON.stringify(ask.id === 'small' ? 'ok' : 'x'.repeat(size)));
  });
  const alone = await bus.nc.request(bus.subjects.askShard('counter/k1'), '{}', { timeout: PATIENCE_MS });
  t.regex(alone.string(), /"code":"reply_too_big"/);
  const rows = ['big', 'small'].map((id) => ['counter.k1', id, {}]);
  const answers = bus.nc.subscribe('answers');
  bus.nc.publish(`if.asks.${shard}.counter`, JSON.stringify(rows), { reply: 'answers' });
  let told = '';
  for await (const m of answers) {
    told += m.string();
    if (told.includes('[1,"ok"]')) break;
  }
  t.regex(told, /\[0,\{"ok":false,"error":\{"code":"reply_too_big"/);
  await door.close();

  const lines: unknown[] = [];
  const outbox = await bus.outbox({ ...silentLogger, warn: (fields) => lines.push(fields) });
  outbox.event('counter/k1', 'odd', { type: 'odd', n: 1n });
  outbox.event('counter/k1', 'big', { type: 'big', text: 'x'.repeat(size) });
  t.like(lines, [{ name: 'odd' }, { name: 'big' }]);
});

test('the short form reaches the shard wherever it lives, with reply, body and headers', async (t) => {
  await using bus = await Bus.open();
  const shard = bus.subjects.shardOf('counter/k1');
  const taken: Ask[] = [];
  const deliver = (ask: Ask): void => {
    taken.push(ask);
    ask.respond(bytes(`${ask.subject} ${ask.id} ${text(ask.body)}`));
  };
  const door = natsAsks(bus.nc, bus.subjects, shard, silentLogger).open(deliver);
  let isLocal = false;
  const route: AskRoute = {
    offer: (at, ask) => {
      if (!isLocal || at !== shard) return false;
      deliver(ask);
      return true;
    },
    refusal: (at) => (at === shard ? undefined : { code: 'no_owner', message: 'nobody', retryable: true }),
  };
  const router = openAskRouter(bus.nc, bus.subjects, route, silentLogger);
  const hdrs = headers();
  hdrs.set('Nats-Msg-Id', 'm1');
  const ask = async (subject: string): Promise<string> =>
    (await bus.nc.request(subject, 'hi', { headers: hdrs, timeout: PATIENCE_MS })).string();
  const long = bus.subjects.askShard('counter/k1');
  t.is(await ask(long), `${long} m1 hi`);
  t.is(await ask('if.ask.counter.k1'), `${long} m1 hi`);
  isLocal = true;
  t.is(await ask('if.ask.counter.k1'), 'if.ask.counter.k1 m1 hi');
  const elsewhere = Array.from({ length: 20 }, (_, n) => `counter/x${n}`).find(
    (a) => bus.subjects.shardOf(a) !== shard,
  );
  t.regex(await ask(bus.subjects.ask(elsewhere ?? '')), /"code":"no_owner"/);
  await router.close();
  await door.close();
  await t.throwsAsync(ask(long), { message: /no responders/ });
});

test('an answer goes to no subject that only nodes or the server may write', (t) => {
  for (const reply of [
    '',
    '$KV.if_keys.x',
    '$JS.API.STREAM.PURGE.IF_DEAD',
    'if.log.0',
    'if.in.a.b',
    'a.*',
    'a.>',
  ])
    t.false(isAnswerable(reply, 'if'), reply);
  for (const reply of ['_INBOX.a.b', '_R_.x', 'iff.log.0', 'my.replies.1'])
    t.true(isAnswerable(reply, 'if'), reply);
});

test('asks with a forbidden reply subject are dropped at every ask door, and not handed on', async (t) => {
  await using bus = await Bus.open();
  const shard = bus.subjects.shardOf('counter/k1');
  const long = bus.subjects.askShard('counter/k1');
  const taken: string[] = [];
  const door = natsAsks(bus.nc, bus.subjects, shard, silentLogger).open((ask) => {
    taken.push(text(ask.body));
    ask.respond(bytes('"answer"'));
  });
  const dropped: object[] = [];
  const logger = { ...silentLogger, warn: (fields: object) => dropped.push(fields) };
  const route = { offer: () => false, refusal: () => undefined };
  const router = openAskRouter(bus.nc, bus.subjects, route, logger);
  const stored = async (): Promise<number> => {
    const infos = await (await jetstreamManager(bus.nc)).streams.list().next();
    return infos.reduce((sum, { state }) => sum + state.last_seq, 0);
  };
  const before = await stored();
  const outside = await bus.server.connect();
  await bus.nc.flush();
  for (const reply of ['if.log.0', 'if.in.counter.k2', '$KV.if_keys.x', '$JS.API.STREAM.PURGE.IF_DEAD']) {
    for (const subject of [long, 'if.ask.counter.k1', 'if.ask.counter', 'if.ask.Bad.k1'])
      outside.publish(subject, 'forged', { reply });
  }
  for (const subject of [long, 'if.ask.counter.k1']) outside.publish(subject, 'no reply wanted');
  for (const subject of [long, 'if.ask.counter.k1'])
    await outside.request(subject, 'asked', { timeout: PATIENCE_MS });
  t.deepEqual(taken.toSorted(), ['asked', 'asked', 'no reply wanted', 'no reply wanted']);
  t.is(await stored(), before);
  t.like(dropped[0], { subject: 'if.ask.counter.k1', reply: 'if.log.0', dropped: 1 });
  await router.close();
  await door.close();
});

test('asks that name no actor are answered with bad_subject, in the content type of the ask', async (t) => {
  await using bus = await Bus.open();
  const route = { offer: () => false, refusal: () => undefined };
  const router = openAskRouter(bus.nc, bus.subjects, route, silentLogger);
  const hdrs = headers();
  hdrs.set('Content-Type', MSGPACK);
  for (const subject of [
    'if.ask.counter',
    'if.ask.Counter.k1',
    'if.ask.counter.k%2e1',
    'if.ask.counter.ключ',
    'if.ask.0.counter.k1.more',
    'if.ask.0.counter.a.b.c.d',
  ]) {
    const reply = await bus.nc.request(subject, '{}', { timeout: PATIENCE_MS });
    t.like(reply.json(), { ok: false, error: { code: 'bad_subject', retryable: false } }, subject);
    const packed = await bus.nc.request(subject, '{}', { timeout: PATIENCE_MS, headers: hdrs });
    t.like(decode(packed.data), { ok: false, error: { code: 'bad_subject' } }, subject);
  }
  await router.close();
});

test('a dead letter keeps its body and says why; sent again it is stored once', async (t) => {
  await using bus = await Bus.open();
  const outbox = await bus.outbox();
  const letter: DeadLetter = {
    actor: 'task/P0.1',
    id: '1.7.0',
    error: {
      code: 'bad_body',
      message: 'kein JSON: „x“\r\nNats-Rollup: all',
      retryable: false,
      help: 'Send JSON.',
    },
    body: bytes('garbage'),
    contentType: 'application/json\n; x',
    from: 'Jürgen\r\nX: y',
    at: 1_700_000_000_000,
    shard: 1,
    index: 7,
  };
  await outbox.dead(letter);
  await outbox.dead(letter);
  await outbox.dead({ ...letter, actor: 'no such * name', id: '1.8.0' });
  const jsm = await jetstreamManager(bus.nc);
  t.is((await jsm.streams.info('IF_DEAD')).state.messages, 2);
  const stored = await jsm.streams.getMessage('IF_DEAD', { seq: 1 });
  t.is(stored?.subject, 'if.dead.task.P0%2E1');
  t.is(text(stored?.data), 'garbage');
  t.is(stored?.header.get('If-Dead-Code'), 'bad_body');
  t.is(stored?.header.get('If-From'), 'J?rgen??X: y');
  t.is(stored?.header.get('Nats-Rollup'), '');
  t.is(stored?.header.get('Content-Type'), 'application/json?; x');
  const lost = await jsm.streams.getMessage('IF_DEAD', { seq: 2 });
  t.is(lost?.subject, 'if.dead.unknown.unknown');
  t.is(lost?.header.get('If-Dead-Actor'), 'no such * name');
});

test('a dead letter too large for its message has its body in the object store, and can be shown and retried', async (t) => {
  await using bus = await Bus.open();
  const outbox = await bus.outbox();
  const body = new Uint8Array((bus.nc.info?.max_payload ?? 0) - 1_500).fill(120);
  const letter: DeadLetter = {
    actor: 'counter/k1',
    id: '1.7.0',
    error: { code: 'bad_body', message: 'x'.repeat(5_000), retryable: false },
    body,
    contentType: 'x'.repeat(100_000),
    from: undefined,
    at: 1_700_000_000_000,
    shard: 1,
    index: 7,
  };
  await outbox.dead(letter);
  await outbox.dead({ ...letter, id: '1.8.0', body: bytes('small') });
  const [small, large] = await lastLetters(bus.nc, bus.subjects, 2);
  t.is(small?.seq, 2);
  t.like(large, { seq: 1, actor: 'counter/k1' });
  t.deepEqual(large?.body, { blob: createHash('sha256').update(body).digest('hex') });
  const shown = await letterAt(bus.nc, bus.subjects, 1);
  t.deepEqual(shown?.body, { unreadable: Buffer.from(body).toString('base64') });
  const { seq } = await retryLetter(bus.nc, bus.subjects, shown ?? t.fail('no letter'));
  const jsm = await jetstreamManager(bus.nc);
  t.is((await jsm.streams.getMessage('IF_IN', { seq }))?.data.byteLength, body.byteLength);
});

test('a dead letter that no stream takes is told of and given up; one that meets an absent server is not', async (t) => {
  await using bus = await Bus.open();
  const lost: object[] = [];
  const outbox = await bus.outbox({ ...silentLogger, error: (fields: object) => lost.push(fields) });
  const jsm = await jetstreamManager(bus.nc);
  await jsm.streams.update('IF_DEAD', { max_msg_size: 2_000 });
  const letter: DeadLetter = {
    actor: 'counter/k1',
    id: '1.7.0',
    error: { code: 'bad_body', message: 'x', retryable: false },
    body: new Uint8Array(3_000),
    contentType: undefined,
    from: undefined,
    at: 1_700_000_000_000,
    shard: 1,
    index: 7,
  };
  await outbox.dead(letter);
  t.like(lost, [{ actor: 'counter/k1', shard: 1, index: 7, code: 'bad_body' }]);
  await jsm.streams.delete('IF_DEAD');
  await t.throwsAsync(outbox.dead(letter));
});

test('live events reach who listens', async (t) => {
  await using bus = await Bus.open();
  const heard = bus.nc.subscribe('if.ev.counter.*.>', { max: 1 });
  await bus.nc.flush();
  (await bus.outbox()).event('counter/k1', 'milestone.half', { percent: 50 });
  for await (const m of heard) {
    t.is(m.subject, 'if.ev.counter.k1.milestone.half');
    t.deepEqual(m.json(), { percent: 50 });
  }
});

test('blobs of any size and name come back, are replaced whole, and go', async (t) => {
  await using bus = await Bus.open();
  const blobs = await natsBlobs(bus.nc, bus.subjects);
  const big = new Uint8Array(700_000).map((_, i) => i % 251);
  await blobs.put('snapshots/0/1', big);
  await blobs.put('snapshots/0/2', new Uint8Array());
  await blobs.put('bodies/ab cd', bytes('x'));
  t.deepEqual(Uint8Array.from((await blobs.get('snapshots/0/1')) ?? []), big);
  t.is((await blobs.get('snapshots/0/2'))?.byteLength, 0);
  t.is(await blobs.get('absent'), undefined);
  await blobs.put('snapshots/0/1', bytes('new'));
  t.is(text(await blobs.get('snapshots/0/1')), 'new');
  t.deepEqual((await blobs.list('snapshots/')).toSorted(), ['snapshots/0/1', 'snapshots/0/2']);
  await blobs.delete('snapshots/0/1');
  await blobs.delete('snapshots/0/1');
  await blobs.delete('absent');
  t.is(await blobs.get('snapshots/0/1'), undefined);
  t.deepEqual(await blobs.list('snapshots/'), ['snapshots/0/2']);
});

test('what runs of sandboxed tasks took and gave is forgotten in time, and begins anew when it is put again', async (t) => {
  await using bus = await Bus.open();
  const jsm = await jetstreamManager(bus.nc);
  const { config } = await jsm.streams.info('OBJ_if_runs');
  t.is(config.max_age, 30 * 86_400 * 1e9);
  t.is((await jsm.streams.info('OBJ_if_boxes')).config.max_age, 0);
  const bucket = bus.subjects.buckets.runs;
  const blobs = await natsBlobs(bus.nc, bus.subjects, { bucket, forgets: true });
  await blobs.put('body/data/x', bytes('x'));
  const { state } = await jsm.streams.info('OBJ_if_runs');
  await blobs.put('body/data/x', bytes('x'));
  t.true((await jsm.streams.info('OBJ_if_runs')).state.first_seq > state.last_seq);
  t.is(text(await blobs.get('body/data/x')), 'x');
});

test('O3: a body whose put was not answered, and lost its content, is stored when it is put again', async (t) => {
  await using bus = await Bus.open();
  const blobs = await natsBlobs(bus.nc, bus.subjects);
  const body = Buffer.alloc(300_000, 7);
  await blobs.put('body/7', body);
  const bucket = bus.subjects.buckets.objects;
  const jsm = await jetstreamManager(bus.nc);
  await jsm.streams.purge(`OBJ_${bucket}`, { filter: `$O.${bucket}.C.>` });
  await t.throwsAsync(blobs.get('body/7'), { code: 'object_corrupt' });
  await blobs.put('body/7', body);
  t.deepEqual(Buffer.from((await blobs.get('body/7')) ?? []), body);
});

test('a blob that is replaced while it is read comes whole, or not in time, but never hangs; bodies are put once', async (t) => {
  await using bus = await Bus.open();
  const blobs = await natsBlobs(bus.nc, bus.subjects);
  const writer = await natsBlobs(await bus.server.connect(), bus.subjects);
  const big = new Uint8Array(2 * MIB).fill(7);
  await blobs.put('snapshots/0/1', big);
  let writing = true;
  const written = (async () => {
    while (writing) await writer.put('snapshots/0/1', big);
  })();
  for (let n = 0; n < 15; n++) {
    const got = await blobs.get('snapshots/0/1').catch((error: Error) => error);
    if (got instanceof Error) t.regex(got.message, /not what was stored under its digest/);
    else t.is(got?.byteLength, big.byteLength);
  }
  writing = false;
  await written;
  t.is((await blobs.get('snapshots/0/1'))?.byteLength, big.byteLength);

  const jsm = await jetstreamManager(bus.nc);
  await blobs.put('body/abc', big);
  const { state } = await jsm.streams.info('OBJ_if_obj');
  await blobs.put('body/abc', big);
  t.is((await jsm.streams.info('OBJ_if_obj')).state.last_seq, state.last_seq);
  await blobs.delete('body/abc');
  await blobs.put('body/abc', big);
  t.is((await blobs.get('body/abc'))?.byteLength, big.byteLength);
});

test('streams are made once, found again, and refused field by field when they were made otherwise', async (t) => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const subjects = new Subjects('if', SHARDS);
  await Promise.all([1, 2, 3].map(() => ensureStreams(nc, subjects, streamOptions())));
  await ensureStreams(nc, subjects, streamOptions({ inboxBytesMax: 32 * MIB }));
  await ensureStreams(nc, subjects, streamOptions({ objectBytesMax: 32 * MIB }));
  await using bounded = await Bus.open({ objectBytesMax: MIB });
  const blobs = await natsBlobs(bounded.nc, bounded.subjects);
  await blobs.put('body/a', new Uint8Array(500_000));
  await t.throwsAsync(blobs.put('body/b', new Uint8Array(900_000)), { message: /maximum bytes exceeded/ });
  await ensureStreams(bounded.nc, bounded.subjects, streamOptions());
  const shards = await failureOf(ensureStreams(nc, new Subjects('if', 8), streamOptions()));
  t.is(shards.code, 'shards_changed');
  t.regex(shards.message, /4 shards.* 8/);

  const jsm = await jetstreamManager(nc);
  const drifts = [
    ['IF_IN', { discard: DiscardPolicy.Old }, 'discard'],
    ['IF_IN', { max_age: 60e9 }, 'max_age'],
    ['IF_IN', { allow_rollup_hdrs: true }, 'allow_rollup_hdrs'],
    ['IF_IN', { max_msgs: 10 }, 'max_msgs'],
    ['IF_DEAD', { no_ack: true }, 'no_ack'],
    ['IF_LOG', { max_msgs_per_subject: 5 }, 'max_msgs_per_subject'],
    ['IF_LOG', { subjects: ['if.log.*', 'if.logs.>'] }, 'subjects'],
    [
      'IF_LOG',
      { subject_transform: { src: 'if.log.*', dest: 'if.log.{{wildcard(1)}}' } },
      'subject_transform',
    ],
  ] as const;
  for (const [stream, change, field] of drifts) {
    const { config } = await jsm.streams.info(stream);
    await jsm.streams.update(stream, change as Partial<typeof config>);
    const error = await failureOf(ensureStreams(nc, subjects, streamOptions()));
    t.is(error.code, 'stream_drift');
    t.like(error.details, { stream, field });
    t.true('want' in error.details && 'have' in error.details);
    await jsm.streams.delete(stream);
    await ensureStreams(nc, subjects, streamOptions());
  }
  await jsm.streams.delete('IF_LOG');
  await jsm.streams.add({ name: 'IF_LOG', subjects: ['if.log.*'], storage: StorageType.Memory });
  t.like((await failureOf(ensureStreams(nc, subjects, streamOptions()))).details, { field: 'storage' });
});

test('a message from outside cannot rewrite the inbox by headers', async (t) => {
  await using bus = await Bus.open();
  const js = jetstream(bus.nc);
  await js.publish('if.in.counter.k1', 'kept');
  for (const [name, value] of [
    ['Nats-Rollup', 'all'],
    ['Nats-TTL', '1s'],
    ['Nats-Schedule', '@at 2030-01-01T00:00:00Z'],
  ] as const) {
    const hdrs = headers();
    hdrs.set(name, value);
    await t.throwsAsync(js.publish('if.in.counter.k1', 'forged', { headers: hdrs }), undefined, name);
  }
  const { state } = await (await jetstreamManager(bus.nc)).streams.info('IF_IN');
  t.is(state.messages, 1);
});
