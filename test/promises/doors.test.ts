/** What the doors promise: a message counts once however often it comes, order is kept, nothing is refused silently. */
import { jetstreamManager } from '@nats-io/jetstream';
import { createInbox, headers, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { Objm } from '@nats-io/obj';
import test from 'ava';
import fc from 'fast-check';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { natsOutbox } from '#runtime/bus/nats-outbox';
import { Subjects } from '#runtime/bus/subjects';
import { systemClock } from '#runtime/bus/system';
import { Mailer } from '#runtime/shard/mailer';
import type { MailBundle } from '#runtime/shard/ports';
import { ledgerConfig } from '../rig/configs.ts';
import { idsByShard, until } from '../rig/load.ts';
import { silentLogger, TestServer } from '../rig/nats.ts';
import { TestRealm } from '../rig/realm.ts';

const SHARDS = 2;
const SNAPSHOT_EVERY = 10;
/** On a machine that is busy with others a node answers late. */
const PATIENT = { timeoutMs: 120_000 };
const subjects = new Subjects('if', SHARDS);

interface Asked {
  readonly address: string;
  readonly event: object;
  readonly id?: string;
  readonly from?: string;
}

interface Answered {
  readonly ok: boolean;
  readonly reply?: { readonly n?: number; readonly got?: readonly string[] };
  readonly commit?: { readonly shard: number; readonly index: number };
  readonly error?: { readonly code: string; readonly retryable: boolean; readonly message: string };
}

/** As an outside tool asks: published in this order, one request after the other, answers as they come. */
async function askAll(nc: NatsConnection, asks: readonly Asked[], long = false): Promise<Answered[]> {
  const inbox = createInbox();
  const answers: Answered[] = [];
  const all = Promise.withResolvers<void>();
  let left = asks.length;
  const subscription = nc.subscribe(`${inbox}.*`, {
    callback: (_error, m: Msg) => {
      const at = Number(m.subject.slice(inbox.length + 1));
      if (answers[at] !== undefined) return;
      answers[at] =
        m.data.byteLength === 0
          ? { ok: false, error: { code: 'no_responders', retryable: true, message: '' } }
          : (m.json() as Answered);
      left -= 1;
      if (left === 0) all.resolve();
    },
  });
  for (const [n, { address, event, id, from }] of asks.entries()) {
    const hdrs = headers();
    if (id !== undefined) hdrs.set('Nats-Msg-Id', id);
    if (from !== undefined) hdrs.set('If-From', from);
    const subject = long ? subjects.askShard(address) : subjects.ask(address);
    nc.publish(subject, JSON.stringify(event), { reply: `${inbox}.${n}`, headers: hdrs });
  }
  await all.promise;
  subscription.unsubscribe();
  return answers;
}

test('an id counts once: repeated, reordered and concurrent retries get the first answer, over kill -9 and from a snapshot', async (t) => {
  const config = {
    shards: SHARDS,
    limits: { snapshotEvery: SNAPSHOT_EVERY },
    kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } },
  };
  await using realm = await TestRealm.start({ config });
  const { connection: nc } = await realm.client();
  let run = 0;
  const first = new Map<string, Answered>();
  const check = async (ids: readonly number[], long: boolean): Promise<void> => {
    const prefix = `run${run++}`;
    const asks = ids.map((n) => ({
      address: `counter/${prefix}`,
      event: { type: 'inc' },
      id: `${prefix}-${n}`,
      from: `sender${n % 2}`,
    }));
    for (const [at, answer] of (await askAll(nc, asks, long)).entries()) {
      const { id = '' } = asks[at] ?? {};
      if (!first.has(id)) first.set(id, answer);
      t.deepEqual(answer, first.get(id));
    }
    const [last] = await askAll(nc, [{ address: `counter/${prefix}`, event: { type: 'get' } }]);
    t.is(last?.reply?.n, new Set(ids).size);
  };
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 40 }), fc.boolean(), check),
    { numRuns: 12 },
  );
  // However few commits the asks above have made of it: its shard has enough for a snapshot now.
  for (let n = 0; n <= SNAPSHOT_EVERY; n += 1)
    await askAll(nc, [{ address: 'counter/run0', event: { type: 'get' } }]);
  const objects = await new Objm(nc).open('if_obj');
  await until(
    async () => (await objects.list()).some((blob) => blob.name.includes('manifest')),
    'snapshot with part of the ids',
  );

  await realm.kill();
  await realm.up();
  const again = [...first.keys()].toReversed().map((id) => ({
    address: `counter/${id.slice(0, id.indexOf('-'))}`,
    event: { type: 'inc' },
    id,
    from: `sender${Number(id.slice(id.indexOf('-') + 1)) % 2}`,
  }));
  await realm.client();
  const answers = await askAll(nc, again);
  t.deepEqual(answers, again.map(({ id }) => first.get(id)) as Answered[]);

  const [other] = await askAll(nc, [
    { address: 'counter/run0', event: { type: 'inc' }, id: again.at(-1)?.id ?? '', from: 'another' },
  ]);
  t.not(other?.commit?.index, first.get(again.at(-1)?.id ?? '')?.commit?.index, 'ids are counted per sender');
});

test('order is kept per sender and actor, by ask and by send, with many under way at once', async (t) => {
  await using realm = await TestRealm.start({ config: ledgerConfig(SHARDS) });
  const clients = await Promise.all([1, 2, 3].map(() => realm.client()));
  const { connection: nc } = await realm.client();
  const actors = idsByShard('ledger', SHARDS, 'order');
  const work: Promise<unknown>[] = [];
  for (let n = 0; n < 150; n++) {
    for (const [sender, client] of clients.entries()) {
      for (const address of actors) {
        const label = (door: string): string => `${door}${sender}.${String(n).padStart(4, '0')}`;
        work.push(client.ask(address, { type: 'put', label: label('ask') }, PATIENT));
        work.push(client.send(address, { type: 'put', label: label('send') }, PATIENT));
      }
    }
  }
  await Promise.all(work);
  for (const address of actors) {
    let got: readonly string[] = [];
    await until(async () => {
      const [answer] = await askAll(nc, [{ address, event: { type: 'get' } }]);
      got = answer?.reply?.got ?? [];
      return got.length >= 150 * 2 * clients.length;
    });
    t.is(got.length, 150 * 2 * clients.length);
    for (const [sender] of clients.entries()) {
      for (const door of ['ask', 'send']) {
        const mine = got.filter((label) => label.startsWith(`${door}${sender}.`));
        t.deepEqual(mine, mine.toSorted(), `${door} of sender ${sender} at ${address}`);
      }
    }
  }
});

test('nothing is refused silently: asks get a typed answer, everything else a dead letter', async (t) => {
  const { kinds } = ledgerConfig(SHARDS) as { kinds: object };
  const config = {
    shards: SHARDS,
    limits: { queueMax: 8, batchMax: 4 },
    kinds: {
      ...kinds,
      counter: { machine: 'counter', spawnOnMessage: true, door: 'open' },
      still: { machine: 'counter', door: 'open' },
      inner: { machine: 'counter', spawnOnMessage: true, door: 'closed' },
      strict: { machine: 'counter', spawnOnMessage: true, door: 'signed' },
    },
  };
  await using realm = await TestRealm.start({ config });
  const client = await realm.client();
  const { connection: nc } = client;
  const refusals: [string, string, unknown][] = [
    ['unknown_kind', 'nobody/a', { type: 'inc' }],
    ['unknown_actor', 'still/a', { type: 'inc' }],
    ['door_closed', 'inner/a', { type: 'inc' }],
    ['unknown_event', 'counter/a', { type: 'dance' }],
    ['reserved_event', 'counter/a', { type: 'xstate.init' }],
    ['bad_event', 'counter/a', { inc: true }],
    ['bad_event', 'counter/a', [1]],
    ['bad_amount', 'counter/a', { type: 'add', by: 'lots' }],
  ];
  for (const [code, address, event] of refusals) {
    const [answer] = await askAll(nc, [{ address, event: event as object }]);
    t.is(answer?.error?.code, code);
  }
  const [unsigned] = await askAll(nc, [{ address: 'strict/a', event: { type: 'inc' } }]);
  t.false(unsigned?.ok);

  for (const [, address, event] of refusals) {
    await client.send(address, event as { type: string });
  }
  // Mail to an actor that is not there.
  await client.ask('ledger/poster', { type: 'relay', label: 'lost', to: 'still/nobody' });
  const jsm = await jetstreamManager(nc);
  const wanted = refusals.length + 1;
  await until(async () => (await jsm.streams.info('IF_DEAD')).state.messages >= wanted, 'dead letters');
  const codes: string[] = [];
  for (let seq = 1; seq <= wanted; seq++) {
    const letter = await jsm.streams.getMessage('IF_DEAD', { seq });
    codes.push(letter?.header.get('If-Dead-Code') ?? 'none');
  }
  t.deepEqual(codes.toSorted(), [...refusals.map(([code]) => code), 'unknown_actor'].toSorted());

  const flood = Array.from({ length: 400 }, (_, n) => ({
    address: 'counter/flood',
    event: { type: 'inc' },
    id: `flood-${n}`,
  }));
  const answers = await askAll(nc, flood);
  const refused = answers.filter(({ ok }) => !ok);
  t.true(refused.length > 0, 'a queue of 8 cannot take 400 at once');
  t.true(refused.every(({ error }) => error?.code === 'overloaded' && error.retryable));
  const [count] = await askAll(nc, [{ address: 'counter/flood', event: { type: 'get' } }]);
  t.is(count?.reply?.n, answers.length - refused.length, 'what was refused was not done');
});

test('no answer of a node is a commit, a key or an order to the server', async (t) => {
  const config = {
    shards: 1,
    kinds: { counter: { machine: 'counter', spawnOnMessage: true, door: 'open' } },
  };
  await using realm = await TestRealm.start({ config });
  const { connection: nc } = await realm.client();
  const jsm = await jetstreamManager(nc);
  const stored = async (): Promise<[string, number][]> =>
    (await jsm.streams.list().next())
      .filter(({ config }) => config.name.startsWith('IF_') || config.name === 'KV_if_keys')
      .map(({ config, state }) => [config.name, state.last_seq]);
  const before = await stored();
  const { nodeId } = (await nc.request('if.api.status', '{}', { timeout: 30_000 })).json<{
    nodeId: string;
  }>();
  const ping = `if.api.node.${nodeId}.ping`;
  const doors = [ping, 'if.api.status', 'if.api.config.get', 'if.api.shard.0.list', '$SRV.PING', '$SRV.INFO'];
  for (const reply of ['if.log.0', 'if.dead.a.b', '$KV.if_keys.poison', 'if.in.counter.k2']) {
    for (const subject of [...doors, 'if.ask.counter.k1', 'if.ask.0.counter.k1', 'if.ask.nonsense'])
      nc.publish(subject, '{"type":"inc"}', { reply });
  }
  for (const subject of doors) await nc.request(subject, '{}', { timeout: 30_000 });
  t.deepEqual(await stored(), before);
  const [answer] = await askAll(nc, [{ address: 'counter/k1', event: { type: 'inc' } }]);
  t.is(answer?.reply?.n, 1);
});

test('mail behind a bundle that could not be stored is stored again, not taken for a copy', async (t) => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name: 'MAIL', subjects: ['if.mail.*.*'] });
  await new Objm(nc).create(subjects.buckets.objects);
  const blobs = await natsBlobs(nc, subjects);
  const outbox = natsOutbox({ nc, subjects, blobs, logger: silentLogger });
  let failures = 1;
  const stored: number[] = [];
  const done = Promise.withResolvers<void>();
  const mailer = new Mailer({
    outbox: {
      ...outbox,
      async mail(target: number, bundle: MailBundle) {
        if (bundle.index === 1 && failures-- > 0) throw new Error('lost on the way');
        await outbox.mail(target, bundle);
        stored.push(bundle.index);
        if (stored.length === 4) done.resolve();
      },
    },
    blobs,
    clock: systemClock,
    logger: silentLogger,
  });
  const bundle = (index: number) =>
    ({
      kind: 'mail',
      index,
      target: 1,
      bundle: { source: 0, index, prev: index - 1, items: [] },
    }) as const;
  mailer.add([bundle(0)]);
  mailer.add([bundle(1), bundle(2)]);
  await done.promise;
  mailer.close();
  t.deepEqual(stored, [0, 2, 1, 2]);
  t.is((await jsm.streams.info('MAIL')).state.messages, 4);
});
