/** Personal data in a real realm: never in the clear on disk, gone with its key, and the log whole all the same. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { Subjects } from '#runtime/bus/subjects';
import type { Client } from '#runtime/client/node';
import { apiRequest, type RedactReply, type RedactRequest } from '#runtime/node/api';
import { DataKeys } from '#runtime/privacy/data-keys';
import { natsKeyRows } from '#runtime/privacy/nats-data-keys';
import { readPrivacyKey } from '#runtime/privacy/privacy-key';
import { redactionAddress } from '#runtime/privacy/redact';
import { testRealm } from '#runtime/testing/testing';
import { FabricError } from '#schemas/fabric-error';
import type { RedactionContext } from '#schemas/privacy';
import { isSealed, SEALED, type Sealed, sealedIn } from '#schemas/sealed';
import { redaction } from '../../machines/redaction.ts';
import { CliFolder } from '../rig/cli.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';
import { filesWith, personConfig, until } from './rig.ts';

const SECRET = 'marker-xq77310-zz';

test('what a schema marks is sealed before anything stores it: asks, sends, answers, mail, timers, events, snapshots, effects', async (t) => {
  await using realm = await TestRealm.start({ config: personConfig() });
  const client = await realm.client();
  const events: unknown[] = [];
  const watching = (async () => {
    for await (const { body } of client.watch('person/*')) events.push(body);
  })();
  const register = {
    type: 'register',
    name: `Jane ${SECRET}`,
    email: `${SECRET}@mail.example`,
    contacts: [{ phone: `+1-${SECRET}`, kind: 'home' }],
  };
  const { reply } = await client.ask('person/1', register);
  t.true(isSealed((reply as { name: unknown }).name), JSON.stringify(reply));
  await client.send('person/2', { ...register, name: `Sent ${SECRET}` });
  await client.ask('person/1', { type: 'note', text: `a note on ${SECRET}` });
  await client.ask('person/1', { type: 'tell', to: 'person/3' });
  await client.ask('person/1', { type: 'later' });
  await client.ask('person/1', { type: 'write' });
  await until(async () => {
    const { reply: now } = await client.ask('person/1', { type: 'get' });
    return (now as { written: unknown }).written !== null;
  }, 'the effect has a result');
  const { reply: context } = await client.ask('person/1', { type: 'get' });
  t.like(context, { contacts: [{ kind: 'home' }] });
  const { stdout, code } = (context as { written: { stdout: unknown; code: unknown } }).written;
  t.is(code, 0);
  t.true(isSealed(stdout), JSON.stringify(stdout));
  await until(async () => {
    const { reply: told } = await client.ask('person/3', { type: 'get' });
    return isSealed((told as { name: unknown }).name);
  }, 'the mail has come');
  await until(() => events.length >= 1, 'the event was heard');
  t.false(JSON.stringify(events).includes(SECRET), JSON.stringify(events));
  await until(
    () => filesWith(realm.dataDir, SECRET).length === 0,
    `nothing holds it: ${filesWith(realm.dataDir, SECRET).join(', ')}`,
  );
  t.false(JSON.stringify(realm.events).includes(SECRET));
  await realm.down();
  t.deepEqual(filesWith(realm.folder, SECRET), []);
  await realm.up();
  const { reply: again } = await client.ask('person/1', { type: 'get' });
  t.deepEqual(again, context);
  await client.close();
  await watching;
});

for (const [how, end] of [
  ['done', async () => ({})],
  [
    'failed for good',
    async () => {
      throw new FabricError({ code: 'bucket_gone', retryable: false, help: '' }, 'it is gone');
    },
  ],
] as const) {
  test(`an order to redact while a readmission is under way is carried out when that is ${how}`, async (t) => {
    const ended = Promise.withResolvers<void>();
    const ops: unknown[] = [];
    const kinds = { redaction: { machine: 'redaction', version: 1, door: 'open' as const } };
    await using realm = await testRealm({
      machines: [redaction],
      kinds,
      drivers: {
        privacy: async ({ input }) => {
          const { op } = input as { op: string };
          ops.push(op);
          if (op !== 'readmit') return {};
          await ended.promise;
          return await end();
        },
      },
    });
    const give = async (type: 'redact' | 'readmit'): Promise<unknown> => {
      const { reply } = await realm.ask('redaction/a', { type, subject: 'p/1', reason: type, by: 'test' });
      await realm.idle();
      return reply;
    };
    const state = async (): Promise<unknown> => (await realm.actor('redaction/a')).state;
    await give('redact');
    t.is(await state(), 'redacted');
    await give('readmit');
    t.is(await state(), 'readmitting');
    t.deepEqual(await give('readmit'), { state: 'under way' });
    t.deepEqual(await give('redact'), { state: 'under way' });
    t.deepEqual(await give('redact'), { state: 'under way' });
    await t.throwsAsync(give('readmit'), { code: 'redaction_under_way' });
    t.is(await state(), 'readmitting', 'the two never reach the key at the same time');
    ended.resolve();
    await until(async () => (await state()) === 'redacted', 'it is carried out');
    t.deepEqual(ops, ['destroy', 'readmit', 'destroy']);
    const { orders } = (await realm.actor('redaction/a')).context as RedactionContext;
    t.deepEqual(
      orders.map(({ type }) => type),
      ['redact', 'readmit', 'redact'],
    );
  });
}

const subjects = new Subjects('if', 1);

function order(client: Client, request: Partial<RedactRequest>): Promise<RedactReply> {
  const full = { type: 'redact', subject: 'person/1', reason: 'a test', by: 'test', ...request };
  return apiRequest<RedactReply>(client.connection, subjects.api('shard.0.redact'), full);
}

async function rowsOf(client: Client): Promise<Record<string, unknown>[]> {
  const jsm = await jetstreamManager(client.connection);
  const { state } = await jsm.streams.info('KV_if_privacy');
  const rows: Record<string, unknown>[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
    const message = await jsm.streams.getMessage('KV_if_privacy', { seq });
    if (message !== null) rows.push(message.json<Record<string, unknown>>());
  }
  return rows;
}

/** Every commit as it is stored, and the chain over them checked. */
async function chainOf(client: Client): Promise<{ hashes: string[]; entries: unknown[] }> {
  const reader = await natsLogReader(client.connection, subjects);
  const { first, last } = await reader.range();
  const hashes: string[] = [];
  const entries: unknown[] = [];
  let prev: Uint8Array = new Uint8Array(32);
  for await (const messages of reader.read(first, last)) {
    for (const { bytes } of messages) {
      const commit = decodeCommit(bytes);
      if (Buffer.compare(commit.prev, prev) !== 0) throw new Error(`commit ${commit.index} is not linked`);
      prev = sha256(bytes);
      hashes.push(Buffer.from(prev).toString('hex'));
      entries.push(...commit.entries);
    }
  }
  return { hashes, entries };
}

test('a redaction destroys the key on disk and in every node, refuses new data, and leaves log, digests and states as they were', async (t) => {
  await using realm = await TestRealm.start({
    config: personConfig({}, { shards: 1, limits: { snapshotEvery: 100_000 } }),
  });
  const client = await realm.client();
  await client.ask('person/1', { type: 'register', name: 'Jane', email: 'jane@mail.example' });
  await client.ask('person/2', { type: 'register', name: 'John' });
  const { reply: before } = await client.ask('person/1', { type: 'get' });
  const rows = await rowsOf(client);
  const wrapped = rows.find(({ subject }) => subject === 'person/1')?.['wrapped'] as string;
  t.is(typeof wrapped, 'string');
  t.is(filesWith(realm.dataDir, wrapped).length, 1);

  // No actor gives such orders, and no sender.
  const forged = { type: 'redact', subject: 'person/1', reason: 'x', by: 'x' };
  await client.ask('person/2', { type: 'order', to: redactionAddress('person/1'), order: forged });
  const shut = await t.throwsAsync(client.ask(redactionAddress('person/1'), forged));
  t.like(shut, { code: 'door_closed' });
  await t.throwsAsync(order(client, { subject: 'person/none' }), {
    message: /No personal data of person\/none/,
  });
  const { hashes } = await chainOf(client);
  const [one, two] = await Promise.all([order(client, {}), order(client, {})]);
  t.is(one.address, redactionAddress('person/1'));
  t.is(two.address, one.address);
  await until(async () => (await realm.show(client, 0, one.address)).value === 'redacted', 'it is redacted');
  t.deepEqual(filesWith(realm.dataDir, wrapped), []);
  t.like(
    (await rowsOf(client)).find(({ subject }) => subject === 'person/1'),
    { state: 'redacted' },
  );

  const error = await t.throwsAsync(client.ask('person/1', { type: 'register', name: 'Jane again' }));
  t.like(error, { code: 'subject_redacted', retryable: false });
  t.deepEqual((await client.ask('person/1', { type: 'get' })).reply, before);
  t.is((await order(client, {})).value, 'redacted');
  await client.ask('person/2', { type: 'order', to: one.address, order: { ...forged, type: 'readmit' } });
  await until(async () => {
    const { entries } = await chainOf(client);
    return entries.some((entry) => (entry as { error?: { code: string } }).error?.code === 'not_an_operator');
  }, 'the order of an actor is refused');
  t.is((await realm.show(client, 0, one.address)).value, 'redacted');
  const reply = (await client.ask('person/2', { type: 'register', name: 'John again' })).reply as {
    name: Sealed;
  };
  t.is(reply.name[SEALED].subject, 'person/2');

  const after = await chainOf(client);
  t.deepEqual(after.hashes.slice(0, hashes.length), hashes);
  t.is(
    after.entries.filter(
      (entry) => (entry as { error?: { code: string } }).error?.code === 'subject_redacted',
    ).length,
    1,
  );
  t.deepEqual(filesWith(realm.dataDir, 'Jane again'), []);
  // Of what is redacted nothing is opened for an effect any more.
  await client.ask('person/1', { type: 'write' });
  await until(async () => {
    const { written } = (await client.ask('person/1', { type: 'get' })).reply as { written: unknown };
    return JSON.stringify(written ?? '').includes('subject_redacted');
  }, 'the effect is refused');
  const { reply: last } = await client.ask('person/1', { type: 'get' });
  // Folded from the first commit on, each digest compared.
  await realm.kill();
  await realm.up();
  t.deepEqual((await client.ask('person/1', { type: 'get' })).reply, last);
  t.like(await t.throwsAsync(client.ask('person/1', { type: 'note', text: 'x' })), {
    code: 'subject_redacted',
  });

  await order(client, { type: 'readmit', reason: 'came back' });
  await until(async () => (await realm.show(client, 0, one.address)).value === 'open', 'it is open again');
  const { reply: anew } = await client.ask('person/1', { type: 'register', name: 'Jane anew' });
  const [sealed] = sealedIn(anew);
  const [old] = sealedIn(before);
  t.is(sealed?.[SEALED].subject, 'person/1');
  t.not(sealed?.[SEALED].kid, old?.[SEALED].kid);
});

test.skipIf(isEveryday)(
  'marks come with a reload; a redaction is heard by every node of a realm at once; a node needs the key of its realm',
  async (t) => {
    const config = personConfig({}, { shards: 2, data: 'data' });
    const { kinds } = config as { kinds: Record<string, object> };
    await using one = await TestRealm.start({ config: { ...config, kinds: { plain: kinds['plain'] } } });
    await using folder = new CliFolder({ INFRAFABRIC_DATA: one.dataDir });
    one.configure(config);
    const reloaded = await folder.run(['reload', join(one.folder, 'realm.yaml')]);
    t.is(reloaded.code, 0, reloaded.err);
    const client = await one.client();
    const names = Array.from({ length: 6 }, (_, n) => `person/${n}`);
    const registered = await Promise.all(
      names.map((at) => client.ask(at, { type: 'register', name: 'Jane' })),
    );
    for (const { reply } of registered) t.true(isSealed((reply as { name: unknown }).name));

    const server = { url: one.url, token: one.token };
    const home = mkdtempSync(join(tmpdir(), 'if-second-'));
    const options = { config: { ...config, limits: { leaseTtl: '1s' } }, server, folder: home };
    await t.throwsAsync(TestRealm.start(options), { message: /privacy_key_mismatch/ });
    t.false(existsSync(join(home, 'data/keys/privacy.key')));
    mkdirSync(join(home, 'data/keys'), { recursive: true });
    cpSync(join(one.dataDir, 'keys/privacy.key'), join(home, 'data/keys/privacy.key'));
    await using two = await TestRealm.start(options);
    // As any node does, with the key at hand.
    const rows = await natsKeyRows(client.connection, subjects.buckets.privacy);
    const privacyKey = await readPrivacyKey(two.dataDir);
    await using third = await DataKeys.open({ rows, realm: 'test', privacyKey, now: Date.now });
    t.is((await third.find('person/0'))?.state, 'active');
    await client.ask('person/0', { type: 'note', text: 'x' });
    const done = await folder.run(['redact', 'person/0', '--reason', 'r', '--yes']);
    t.is(done.code, 0, done.err);
    t.like(await t.throwsAsync(client.ask('person/0', { type: 'note', text: 'y' })), {
      code: 'subject_redacted',
    });
    await until(() => third.cached('person/0') === undefined, 'a third has heard of it');
    t.is((await third.find('person/0'))?.state, 'redacted');
    await two.down();
    rmSync(home, { recursive: true, force: true });
  },
);

for (const point of ['after_commit', 'effect_done']) {
  test.skipIf(isEveryday)(`a crash at ${point} of a redaction is made good at the next start`, async (t) => {
    await using realm = await TestRealm.start({ config: personConfig({}, { shards: 1 }) });
    const client = await realm.client();
    await client.ask('person/1', { type: 'register', name: 'Jane' });
    const wrapped = (await rowsOf(client)).find(({ subject }) => subject === 'person/1')?.[
      'wrapped'
    ] as string;
    await realm.down();
    // The first commit of a node is its epoch; the second is the start of what its config names, if it differs.
    await realm.up({ INFRAFABRIC_CRASH_AT: `${point}:1` });
    const gone = realm.exited();
    const other = await realm.client();
    await order(other, {}).catch(() => undefined);
    await gone;
    await realm.up();
    await until(async () => {
      const again = await realm.client();
      return (await realm.show(again, 0, redactionAddress('person/1'))).value === 'redacted';
    }, 'it is redacted');
    t.deepEqual(filesWith(realm.dataDir, wrapped), []);
  });
}

test.skipIf(isEveryday)(
  'the commands: a dry run, a question, the redaction, and what show and log say before and after',
  async (t) => {
    await using realm = await TestRealm.start({ config: personConfig({}, { shards: 2 }) });
    await using folder = new CliFolder({ INFRAFABRIC_DATA: realm.dataDir });
    const ask = async (...args: string[]) => await folder.run(['ask', ...args]);
    t.regex(
      (await ask('person/1', 'register', '{"name":"Jane Roe","contacts":[{"phone":"+1-555","kind":"home"}]}'))
        .out,
      /«sealed»/,
    );
    t.regex((await folder.run(['show', 'person/1'])).out, /«sealed»/);
    t.regex((await folder.run(['show', 'person/1', '--reveal'])).out, /Jane Roe/);
    t.regex((await folder.run(['log', '--actor', 'person/1', '--reveal', '--json'])).out, /Jane Roe/);
    t.regex((await folder.run(['log', '--actor', 'person/1', '--json'])).out, /\$sealed/);
    const dry = await folder.run(['redact', 'person/1', '--dry-run']);
    t.regex(dry.out, /person\/1 +1 .*\/name/);
    t.regex((await folder.run(['redact', 'person/9', '--dry-run'])).out, /no personal data of person\/9/);
    t.is((await folder.run(['redact', 'person/1'])).code, 2);
    const unsure = await folder.run(['redact', 'person/1', '--reason', 'because']);
    t.is(unsure.code, 1);
    t.regex(unsure.err, /redaction_unconfirmed/);
    const unknown = await folder.run(['redact', 'person/9', '--reason', 'because', '--yes', '--json']);
    t.is(unknown.code, 4);
    t.regex(unknown.out, /unknown_subject/);
    const done = await folder.run(['redact', 'person/1', '--reason', 'because', '--yes', '--by', 'op']);
    t.is(done.code, 0, done.err);
    t.regex(done.out, /is redacted: its key is destroyed/);
    t.regex((await folder.run(['show', 'person/1'])).out, /«redacted»/);
    t.regex((await folder.run(['show', 'person/1', '--reveal'])).out, /«redacted»/);
    const verdict = await folder.run(['verify']);
    t.is(verdict.code, 0, `${verdict.out}${verdict.err}`);
    t.regex((await folder.run(['log', '--actor', 'person/1'])).out, /«redacted»/);
    t.regex((await ask('person/1', 'note', '{"text":"more"}')).err, /subject_redacted/);
    t.regex(
      (await folder.run(['redact', 'person/1', '--readmit', '--reason', 'came back'])).out,
      /taken again/,
    );
    t.regex((await ask('person/1', 'note', '{"text":"more"}')).out, /done/);
  },
);
