/** Keys in a real realm: what the commands do is in the log, the gates follow it, and no private half is anywhere. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Kvm } from '@nats-io/kv';
import test, { type ExecutionContext } from 'ava';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { Subjects } from '#runtime/bus/subjects';
import type { Client } from '#runtime/client/node';
import { newSeed, type SigningKey, signingKey, signMessage } from '#runtime/edge/sign';
import { ensureKey, readKey } from '#runtime/keys/key-store';
import { publicRecord, signOrder } from '#runtime/keys/order';
import { apiRequest } from '#runtime/node/api';
import { FabricError } from '#schemas/fabric-error';
import type { KeyringContext, KeyringOrder } from '#schemas/keyring';
import { until } from '../privacy/rig.ts';
import { CliFolder, type Ended } from '../rig/cli.ts';
import { TestRealm } from '../rig/realm.ts';
import { isEveryday } from '../rig/tier.ts';
import { spellingsOf } from './spellings.ts';

const CONFIG = {
  kinds: { session: { machine: 'session' } },
  supervisor: {
    children: [{ id: 'ndi', kind: 'session', input: { id: 'ndi', role: 'r', capabilities: [] } }],
  },
  witness: { interval: '100ms' },
};
const API = 'if.api.shard.0';

/** Commands on a realm's data folder, in this process. */
function commands(t: ExecutionContext, folder: CliFolder, realm: TestRealm) {
  const run = (...args: string[]): Promise<Ended> => folder.run([...args, '--data', realm.dataDir]);
  const ok = async (...args: string[]): Promise<Ended> => {
    const ended = await run(...args);
    t.is(ended.code, 0, `${args.join(' ')}\n${ended.out}${ended.err}`);
    return ended;
  };
  const json = async (...args: string[]): Promise<Record<string, unknown>[]> => {
    const { out } = await ok(...args, '--json');
    return out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  return { run, ok, json };
}

/** Sends as a session with this key; gives `taken`, or the code of the refusal. */
async function speak(realm: TestRealm, key: SigningKey, seq: () => number): Promise<string> {
  const client = await realm.client({
    from: 'session/ndi',
    signer: async (message) => signMessage({ ...message, seq: seq() }, key),
  });
  try {
    await client.askMessage({
      performative: 'inform',
      to: ['if://session/ndi'],
      conversation: 'c1',
      content: { text: 'hello' },
    });
    return 'taken';
  } catch (thrown) {
    if (thrown instanceof FabricError) return thrown.code;
    throw thrown;
  }
}

async function ringOf(client: Client): Promise<KeyringContext> {
  const { context } = await apiRequest<{ context: unknown }>(client.connection, `${API}.show`, {
    address: 'keyring/realm',
  });
  return context as KeyringContext;
}

test('a key counts from its registration to its rotation or revocation, and each is a signed entry that replay repeats', async (t) => {
  await using folder = new CliFolder();
  await using realm = await TestRealm.start({ config: CONFIG });
  const { ok, run, json } = commands(t, folder, realm);
  let last = 0;
  const seq = (): number => {
    last += 1;
    return last;
  };
  const first = await ensureKey(realm.dataDir, 'session/ndi');
  t.is(await speak(realm, first, seq), 'unknown_key');
  const [made] = await json('keys', 'new', 'session/ndi');
  t.like(made, { ok: true, owner: 'session/ndi', kid: first.kid, known: true });
  t.is(await speak(realm, first, seq), 'taken');

  const [rotated] = await json('keys', 'rotate', 'session/ndi');
  t.like(rotated, { replaced: first.kid, known: true });
  const second = (await readKey(realm.dataDir, 'session/ndi')) as SigningKey;
  t.like(rotated, { kid: second.kid });
  t.is(await speak(realm, first, seq), 'revoked_key');
  t.is(await speak(realm, second, seq), 'taken');

  t.is((await run('keys', 'revoke', 'session/ndi', '--reason', 'lost')).code, 1, 'not without a yes');
  t.is(await speak(realm, second, seq), 'taken');
  await ok('keys', 'revoke', 'session/ndi', '--reason', 'laptop lost', '--from', '1h', '--yes');
  t.is(await speak(realm, second, seq), 'revoked_key');
  const again = await run('keys', 'revoke', second.kid, '--reason', 'again', '--yes');
  t.is(again.code, 4);
  t.regex(again.err, /error\[keyring_ended_key\]/);

  const client = await realm.client();
  const { keys } = await ringOf(client);
  t.like(keys[first.kid], { status: 'rotated', successor: second.kid });
  t.like(keys[second.kid], { status: 'revoked', reason: 'laptop lost' });
  // What was said before the end of a key is in the log as it was: replay takes it again.
  t.regex((await ok('replay')).out, /all \d+ state digests are equal/);
  const [session] = await json('show', 'session/ndi');
  t.like(session, { context: { heard: 3 } });
  await ok('verify');
});

test.skipIf(isEveryday)(
  'nobody without the key of the realm or of an operator registers or revokes, whatever way he comes',
  async (t) => {
    await using folder = new CliFolder();
    await using realm = await TestRealm.start({ config: CONFIG });
    const { ok, run, json } = commands(t, folder, realm);
    const client = await realm.client();
    const stranger = signingKey(newSeed());
    const give = async (order: object, ...keys: SigningKey[]): Promise<string> => {
      try {
        await apiRequest(client.connection, `${API}.keyring`, signOrder(order as KeyringOrder, keys));
        return 'taken';
      } catch (thrown) {
        if (thrown instanceof FabricError) return thrown.code;
        throw thrown;
      }
    };
    // First come is not first served: only the key that signs the checkpoints founds a keyring.
    const own = publicRecord(stranger, 'realm/test');
    const founding = { op: 'found', realm: 'test', ring: own.kid, seq: 1, by: own.kid, keys: [own] };
    t.is(await give(founding, stranger), 'keyring_founder_unknown');
    await ok('keys', 'new', 'guardian/alice');
    const { ring, seq, keys } = await ringOf(client);
    const order = {
      op: 'register',
      realm: 'test',
      ring,
      seq: seq + 1,
      by: stranger.kid,
      key: publicRecord(stranger, 'guardian/eve'),
    };
    t.is(await give(order, stranger), 'keyring_unauthorised');
    t.is(await give({ ...order, by: ring }, stranger), 'keyring_unauthorised');
    const alice = (await readKey(realm.dataDir, 'guardian/alice')) as SigningKey;
    t.is(await give({ ...order, by: alice.kid }, alice), 'keyring_unauthorised');
    const signed = signOrder({ ...order, by: ring } as KeyringOrder, [stranger]);
    const forged = { ...signed, signatures: [{ ...signed.signatures[0], kid: ring }] };
    const told = realm.event('key_order_refused');
    const refused = await t.throwsAsync<FabricError>(apiRequest(client.connection, `${API}.keyring`, forged));
    t.is(refused.code, 'order_forged');
    await told;
    for (const body of [
      {},
      { order: 1 },
      { ...forged, extra: 1 },
      { ...forged, order: { ...order, op: 'nonsense' } },
    ]) {
      const bad = await t.throwsAsync<FabricError>(apiRequest(client.connection, `${API}.keyring`, body));
      t.is(bad.code, 'api_bad_request');
    }
    // Nor by the door of actors.
    const asked = await t.throwsAsync<FabricError>(
      client.ask('keyring/realm', { type: 'keyring.order', ...forged }),
    );
    t.false(asked.code === undefined);
    t.deepEqual((await ringOf(client)).keys, keys);

    // An operator with a folder of his own, and not the key of the realm.
    await ok('keys', 'new', 'operator/olga');
    const [bob] = await json('keys', 'new', 'guardian/bob', '--as', 'operator/olga');
    t.is(bob?.['known'], true);
    const refusal = await run('keys', 'new', 'operator/oscar', '--as', 'operator/olga');
    t.is(refusal.code, 4);
    t.regex(refusal.err, /error\[keyring_unauthorised\]/);
  },
);

test('the registry is rebuilt from the log: after a crash between the order and its effect, and when it was wiped', async (t) => {
  await using folder = new CliFolder();
  await using realm = await TestRealm.start({ config: CONFIG });
  const { ok } = commands(t, folder, realm);
  await ok('keys', 'new', 'guardian/alice');
  const alice = (await readKey(realm.dataDir, 'guardian/alice')) as SigningKey;
  const own = (await readKey(realm.dataDir, 'realm/test')) as SigningKey;
  await realm.down();
  await realm.up({ INFRAFABRIC_CRASH_AT: 'after_commit:1' });
  const client = await realm.client();
  const { ring, seq } = await ringOf(client);
  const order = {
    op: 'revoke',
    realm: 'test',
    ring,
    seq: seq + 1,
    by: own.kid,
    kid: alice.kid,
    reason: 'x',
    from: 1,
  } as KeyringOrder;
  const given = apiRequest(client.connection, `${API}.keyring`, signOrder(order, [own])).catch(
    () => undefined,
  );
  await realm.exited();
  await given;
  await realm.up();
  const later = await realm.client();
  const kv = await new Kvm(later.connection).open('if_keys');
  const statusOf = async (kid: string): Promise<unknown> => {
    const entry = await kv.get(kid);
    // What was wiped stands there as a mark until it is written again.
    return entry?.operation === 'PUT' ? entry.json<{ status: string }>().status : undefined;
  };
  await until(async () => (await statusOf(alice.kid)) === 'revoked', 'the key is revoked');
  for await (const kid of await kv.keys()) await kv.purge(kid);
  await realm.down();
  await realm.up();
  await until(async () => (await statusOf(alice.kid)) === 'revoked', 'the key is revoked');
  await until(async () => (await statusOf(own.kid)) === 'active', 'the key is there');
});

test.skipIf(isEveryday)(
  'a realm that rotates its key signs on, old checkpoints stay good, and whoever trusted the old key is led to the new',
  async (t) => {
    await using folder = new CliFolder();
    await using realm = await TestRealm.start({ config: CONFIG });
    const { ok, run, json } = commands(t, folder, realm);
    await ok('keys', 'new', 'guardian/alice');
    const oldKey = (await ok('witness', 'key')).out.trim();
    const oldNote = (await ok('witness', 'checkpoint')).out;
    writeFileSync(join(folder.path, 'old.checkpoint'), oldNote);
    const before = readFileSync(join(realm.dataDir, 'keys', 'realm.seed'));
    const [rotated] = await json('keys', 'rotate', 'realm');
    t.is(rotated?.['known'], true);
    const after = readFileSync(join(realm.dataDir, 'keys', 'realm.seed'));
    t.false(before.equals(after));
    t.is(statSync(join(realm.dataDir, 'keys', 'realm.seed')).mode & 0o777, 0o600);
    t.false(existsSync(join(realm.dataDir, 'keys', 'realm.seed.next')));
    let newKey = oldKey;
    for (let turn = 0; turn < 400 && newKey === oldKey; turn += 1)
      newKey = (await run('witness', 'key')).out.trim() || oldKey;
    t.not(newKey, oldKey);
    t.regex((await ok('verify', '--key', newKey)).out, /are what they were/);
    t.regex(
      (await ok('verify', '--checkpoint', 'old.checkpoint', '--key', oldKey)).out,
      /are what they were/,
    );
    const led = await ok('verify', '--key', oldKey);
    t.true(led.err.includes(`The realm put ${newKey} in the place of ${oldKey}`), led.err);
    const foreign = 'infrafabric/test+1ad46e9e+AR'.slice(0, 20);
    t.not((await run('verify', '--key', foreign)).code, 0);
    // The log says which key counted when.
    const [now, then] = await json('keys', 'show', 'realm');
    t.like(now, { status: 'active', verifierKey: newKey });
    t.like(then, { status: 'rotated', verifierKey: oldKey });
    t.like(now, { rotations: [{ order: { op: 'rotate', by: then?.['kid'] } }] });
    t.is(now?.['since'], then?.['until']);
    // And after a restart it still is the new one that signs.
    await realm.down();
    await realm.up();
    const client = await realm.client();
    await client.send('session/ndi', { type: 'nothing' });
    await ok('verify');
    const twice = await json('keys', 'rotate', 'realm');
    t.is(twice[0]?.['replaced'], rotated?.['kid']);
  },
);

test.skipIf(isEveryday)(
  'no private half is in the log, on the disk of the server, in any output or error, in run.json or an environment',
  async (t) => {
    await using folder = new CliFolder();
    await using realm = await TestRealm.start({ config: CONFIG });
    const { run } = commands(t, folder, realm);
    const said: string[] = [];
    const secrets = new Map<string, Buffer>();
    const gather = (): void => {
      const keys = join(realm.dataDir, 'keys');
      for (const name of readdirSync(keys).filter((file) => file.includes('.seed'))) {
        const bytes = readFileSync(join(keys, name));
        secrets.set(bytes.toString('hex'), bytes);
      }
    };
    const all = [
      ['keys', 'list'],
      ['keys', 'new', 'guardian/alice'],
      ['keys', 'new', 'guardian/alice'],
      ['keys', 'new', 'operator/olga'],
      ['keys', 'new', 'node/../../x'],
      ['keys', 'show', 'realm'],
      ['keys', 'rotate', 'realm'],
      ['keys', 'rotate', 'guardian/alice'],
      ['keys', 'rotate', 'guardian/nobody'],
      ['keys', 'revoke', 'guardian/alice', '--reason', 'x', '--yes'],
      ['keys', 'rotate', 'guardian/alice'],
      ['keys', 'export', join(folder.path, 'out.ifkeys')],
      ['keys', 'import', join(folder.path, 'none.ifkeys')],
      ['show', 'keyring/realm'],
      ['log'],
      ['dead', 'list'],
      ['witness', 'status'],
      ['doctor'],
      ['env'],
    ];
    gather();
    for (const args of all) {
      for (const extra of [['--debug'], ['--json']]) {
        const { out, err } = await run(...args, ...extra);
        said.push(out, err);
      }
      gather();
    }
    t.true(secrets.size >= 6, `${secrets.size} keys`);
    const client = await realm.client();
    const reader = await natsLogReader(client.connection, new Subjects('if', 1));
    const { first, last } = await reader.range();
    for await (const batch of reader.read(first, last)) {
      for (const { bytes } of batch) said.push(Buffer.from(bytes).toString('latin1'));
    }
    said.push(JSON.stringify(realm.events));
    for (const pid of [realm.pid, realm.serverPid]) {
      said.push(
        readFileSync(`/proc/${pid}/environ`, 'latin1'),
        readFileSync(`/proc/${pid}/cmdline`, 'latin1'),
      );
    }
    const files = readdirSync(realm.folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.includes('.seed'))
      .map((entry) => join(entry.parentPath, entry.name));
    t.true(files.some((file) => file.endsWith('run.json')));
    // The server replaces files while it runs.
    for (const file of files) if (existsSync(file)) said.push(readFileSync(file, 'latin1'));
    for (const secret of secrets.values()) {
      const found = said.find((text) => spellingsOf(secret).some((spelling) => text.includes(spelling)));
      t.is(found, undefined);
    }
    // The search finds what is there.
    t.true(
      [...secrets.values()].some((secret) =>
        `x${secret.toString('base64')}`.includes(spellingsOf(secret)[3] ?? '?'),
      ),
    );
  },
);
