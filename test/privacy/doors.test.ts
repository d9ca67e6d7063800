/** The doors of a real realm: whatever comes, in whatever form, and however it is refused, no plaintext rests on disk. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { decodeCommit } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { Subjects } from '#runtime/bus/subjects';
import type { Client } from '#runtime/client/node';
import { signingKey, signMessage } from '#runtime/edge/sign';
import { canonicalText } from '#runtime/edge/stamp';
import { DataKeys } from '#runtime/privacy/data-keys';
import { natsKeyRows } from '#runtime/privacy/nats-data-keys';
import { readPrivacyKey } from '#runtime/privacy/privacy-key';
import { open } from '#runtime/privacy/seal';
import { openVault } from '#runtime/privacy/vault';
import type { Entry } from '#schemas/commit';
import { isSealed, replaceSealed, SEALED, type Sealed } from '#schemas/sealed';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';
import { filesWith, personConfig, until } from './rig.ts';

/** Of a request over plain NATS, on a busy machine. */
const PATIENT = { timeout: 30_000 };
const SECRET = 'marker-qz40417-xx';
const subjects = new Subjects('if', 1);
/** An IFMessage, unsigned. */
const MESSAGE = {
  id: 'm1',
  ts: '2026-01-01T00:00:00.000Z',
  performative: 'inform',
  from: 'if://session/a',
  to: ['if://person/1'],
  conversation: 'c',
  seq: 1,
};

async function entriesOf(client: Client): Promise<Entry[]> {
  const reader = await natsLogReader(client.connection, subjects);
  const { first, last } = await reader.range();
  const entries: Entry[] = [];
  for await (const messages of reader.read(first, last)) {
    for (const { bytes } of messages) entries.push(...decodeCommit(bytes).entries);
  }
  return entries;
}

async function nowhere(realm: TestRealm): Promise<void> {
  await until(
    () => filesWith(realm.folder, SECRET).length === 0,
    `no file holds it: ${filesWith(realm.folder, SECRET).join(', ')}`,
  );
  const logged = JSON.stringify(realm.events);
  if (logged.includes(SECRET)) throw new Error(`the node's output holds it: ${logged}`);
}

test('refused messages leave nothing: unreadable, unknown event, unknown kind, thrown at, no subject, sealed by another; by ask, batch and send', async (t) => {
  await using realm = await TestRealm.start({ config: personConfig({}, { shards: 1 }) });
  const client = await realm.client();
  const { connection: nc } = client;
  const name = `Jane ${SECRET}`;
  const bad: readonly (readonly [string, string, string | undefined])[] = [
    ['person/1', `{"type":"register","name":"${name}"`, 'body_withheld'],
    ['person/1', `["${name}"]`, 'body_withheld'],
    // It says that it is an IFMessage, whose marks would be looked for elsewhere.
    ['person/1', JSON.stringify({ type: 'register', name, performative: 'inform' }), 'body_withheld'],
    ['person/1', JSON.stringify({ performative: SECRET, content: { name } }), 'body_withheld'],
    ['person/1', JSON.stringify({ ...MESSAGE, [SECRET]: 1 }), 'body_withheld'],
    ['person/1', JSON.stringify({ type: 'regster', name }), 'unknown_event'],
    ['person/1', JSON.stringify({ type: 'throw', name }), 'machine_threw'],
    ['person/1', JSON.stringify({ name }), 'bad_event'],
    ['nosuch/1', JSON.stringify({ type: 'register', name }), 'unknown_kind'],
    ['person/1', JSON.stringify({ type: 'register', name: 'x', junk: { [SEALED]: name } }), 'bad_sealed'],
    ['plain/1', JSON.stringify({ type: 'inc', junk: { [SEALED]: 'x' } }), 'bad_sealed'],
  ];
  for (const [address, body, code] of bad) {
    for (const subject of [subjects.ask(address), subjects.askShard(address)]) {
      const answer = (await nc.request(subject, body, PATIENT)).json<{ error?: { code: string } }>();
      t.is(answer.error?.code, code, body);
    }
    await jetstream(nc).publish(subjects.in(address), body);
  }
  // Asked at the same moment, they travel in one message.
  const both = await Promise.allSettled([
    client.ask('person/2', { type: 'register', name }),
    client.ask('person/2', { type: 'regster', name } as never),
    client.ask('person/3', { type: 'note', text: name }),
  ]);
  t.deepEqual(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  await until(async () => {
    const dead = (await entriesOf(client)).filter(({ op, cause }) => op === 'dead' && cause.kind === 'inbox');
    return dead.length === bad.length;
  }, 'all sends are dead letters');
  const jsm = await jetstreamManager(nc);
  await until(
    async () => (await jsm.streams.info('IF_DEAD')).state.messages >= bad.length,
    'all letters are stored',
  );
  await nowhere(realm);
  await client.close();
  await realm.down();
  t.deepEqual(filesWith(realm.folder, SECRET), []);
});

test.skipIf(isEveryday)(
  'a big body lies sealed in the object store, and the actor it made comes back from the log',
  async (t) => {
    const config = personConfig({}, { shards: 1, limits: { snapshotEvery: 100_000 } });
    await using realm = await TestRealm.start({ config });
    const client = await realm.client();
    const text = `${SECRET} ${randomBytes(600_000).toString('base64')}`;
    await client.ask('person/1', { type: 'note', text, pad: 'x' });
    const [entry] = (await entriesOf(client)).filter(({ blob }) => blob !== undefined);
    t.deepEqual(entry?.event, { type: 'note' });
    await nowhere(realm);
    await realm.kill();
    await realm.up();
    const { notes } = (await realm.show(client, 0, 'person/1')).context as { notes: unknown[] };
    t.true(isSealed(notes[0]));
    await using keys = await keysOf(realm, client);
    t.is(await opened(keys, notes[0] as Sealed), text);
  },
);

async function keysOf(realm: TestRealm, client: Client): Promise<DataKeys> {
  const rows = await natsKeyRows(client.connection, subjects.buckets.privacy);
  const privacyKey = await readPrivacyKey(realm.dataDir);
  return DataKeys.open({ rows, realm: 'test', privacyKey, now: Date.now });
}

async function opened(keys: DataKeys, sealed: Sealed): Promise<unknown> {
  const known = await keys.find(sealed[SEALED].subject);
  if (known?.state !== 'active') throw new Error('the key is gone');
  return open(sealed, 'test', known.key);
}

test.skipIf(isEveryday)(
  'a signed message is checked as it was signed and kept sealed, its signature too; opened, the signature still verifies',
  async (t) => {
    const key = signingKey(randomBytes(32));
    const publicKey = Buffer.from(key.publicKey).toString('base64url');
    const config = personConfig(
      { subject: '/message/content/who' },
      { shards: 1, edge: { keys: [{ kid: key.kid, owner: 'session/a', publicKey }] } },
    );
    await using realm = await TestRealm.start({ config });
    const client = await realm.client({ from: 'session/a', signer: (message) => signMessage(message, key) });
    const draft = {
      performative: 'inform' as const,
      to: ['if://person/1'],
      conversation: 'c',
      content: { who: 'jane', name: `Jane ${SECRET}` },
    };
    const { reply } = await client.askMessage(draft);
    t.true(isSealed((reply as { name: unknown }).name));
    await client.sendMessage({ ...draft, to: ['if://person/2'] });
    const forged = await realm.client({
      from: 'session/a',
      signer: (message) => ({ ...signMessage(message, key), content: { ...draft.content, name: 'Eve' } }),
    });
    t.like(await t.throwsAsync(forged.askMessage(draft)), { code: 'replayed_seq' });
    await until(
      async () => (await entriesOf(client)).some(({ cause }) => cause.kind === 'inbox'),
      'the send is taken',
    );
    const heard = (await entriesOf(client)).filter(({ signed }) => signed !== undefined);
    t.is(heard.length, 2);
    await using keys = await keysOf(realm, client);
    for (const { event, signed } of heard) {
      const { message } = event as { message: Record<string, unknown> };
      t.false('signature' in message);
      const signature = signed?.signature;
      if (signature === undefined) return t.fail();
      t.is(signature[SEALED].subject, 'jane');
      const plain = new Map<Sealed, unknown>();
      for (const sealed of [signature, (message['content'] as { name: Sealed }).name])
        plain.set(sealed, await opened(keys, sealed));
      const whole = replaceSealed(message, (sealed) => plain.get(sealed)) as Record<string, unknown>;
      t.like(whole, { content: { name: `Jane ${SECRET}` } });
      const { sig } = plain.get(signature) as { sig: string };
      const again = signMessage(whole as never, key);
      t.is(again.signature?.sig, sig);
      t.true(canonicalText(whole).includes(SECRET));
    }
    await nowhere(realm);
    await realm.kill();
    await realm.up();
    t.true(isSealed(((await client.ask('person/2', { type: 'get' })).reply as { name: unknown }).name));
    return undefined;
  },
);

test('a send that a crash left in the clear is overwritten at the next start; a kind may refuse plain sends', async (t) => {
  // Without snapshots, which let go of what is consumed.
  const whole = { shards: 1, limits: { snapshotEvery: 100_000 } };
  await using realm = await TestRealm.start({ config: personConfig({}, whole) });
  const client = await realm.client();
  await client.ask('plain/1', { type: 'inc' });
  await realm.down();
  await realm.up({ INFRAFABRIC_CRASH_AT: 'after_commit:1' });
  const sender = await realm.client();
  const gone = realm.exited();
  await sender.send('person/1', { type: 'register', name: SECRET });
  await gone;
  realm.configure({ ...personConfig({ sends: 'refuse' }, whole) });
  await realm.up();
  await nowhere(realm);
  const after = await realm.client();
  t.true(isSealed(((await after.ask('person/1', { type: 'get' })).reply as { name: unknown }).name));
  await after.send('person/1', { type: 'register', name: SECRET });
  await until(
    async () => (await entriesOf(after)).some(({ error }) => error?.code === 'plain_send'),
    'it is refused',
  );
  await nowhere(realm);
  // A value that the realm gave out goes back in by any door.
  const { name } = (await after.ask('person/1', { type: 'get' })).reply as { name: Sealed };
  await after.send('person/1', { type: 'register', name, email: name });
  await until(async () => {
    const { email } = (await after.ask('person/1', { type: 'get' })).reply as { email: unknown };
    return JSON.stringify(email) === JSON.stringify(name);
  }, 'it is taken');
  // A program with the key of the realm seals by itself.
  const options = {
    realm: 'test',
    dataDir: realm.dataDir,
    kinds: { person: { fields: ['/name', '/email'] } },
  };
  await using vault = await openVault(after.connection, options);
  await after.send('person/2', await vault.seal('person/2', { type: 'register', name: SECRET }));
  await until(async () => {
    const { reply } = await after.ask('person/2', { type: 'get' });
    return ((await vault.open(reply)) as { name: unknown }).name === SECRET;
  }, 'it is taken and opens');
  await nowhere(realm);
});

test.skipIf(isEveryday)('a node without the privacy key of its realm does not start', async (t) => {
  const config = personConfig({}, { shards: 1 });
  await using realm = await TestRealm.start({ config });
  const client = await realm.client();
  await client.ask('person/1', { type: 'register', name: SECRET });
  await client.close();
  await realm.down();
  rmSync(`${realm.dataDir}/keys/privacy.key`);
  const failed = await t.throwsAsync(realm.up());
  t.regex(failed?.message ?? '', /privacy_key_mismatch/);
});
