/** Private keys at rest: files, exports, passphrases; and nkeys, which sign on to a real server. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { inspect } from 'node:util';
import { nkeyAuthenticator, nkeys } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { readPassphrase } from '#runtime/cli/passphrase';
import { newSeed, signingKey } from '#runtime/edge/sign';
import { readExport, sealKeys } from '#runtime/keys/export';
import { ensureSeedFile, promoteSeed, readSeedFile, writeSeedFile } from '#runtime/keys/key-file';
import {
  ensureKey,
  ensureNodeKey,
  nextKey,
  settleRotation,
  storedKeys,
  storeSeed,
} from '#runtime/keys/key-store';
import { natsAuthenticator, publicKeyOfNkey, seedNkey, seedOfNkey, userNkey } from '#runtime/keys/nkey';
import { openRealmKey } from '#runtime/keys/realm-key';
import { locateServer } from '#runtime/node/locate-server';
import { freePort } from '../rig/realm.ts';
import { spellingsOf } from './spellings.ts';

const PASSPHRASE = 'correct horse battery';

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'if-keys-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('F1: a key that others may read, or put another in the place of, is not opened, and the error says what to do', async (t) => {
  const data = folder(t);
  await openRealmKey(data);
  const file = join(data, 'keys', 'realm.seed');
  t.is(statSync(file).mode & 0o777, 0o600);
  t.is(statSync(join(data, 'keys')).mode & 0o777, 0o700);
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o666]) {
    chmodSync(file, mode);
    const error = await t.throwsAsync(openRealmKey(data), { code: 'key_file_open' });
    t.regex(error.message, new RegExp(`realm\\.seed has mode 0${mode.toString(8)}`));
    t.regex((error as unknown as { help: string }).help, /chmod 600/);
  }
  chmodSync(file, 0o400);
  await t.notThrowsAsync(openRealmKey(data));
  chmodSync(join(data, 'keys'), 0o770);
  await t.throwsAsync(openRealmKey(data), { code: 'key_file_open' });
  chmodSync(join(data, 'keys'), 0o700);
  symlinkSync(file, join(data, 'keys', 'session%a.seed'));
  await t.throwsAsync(ensureKey(data, 'session/a'), { code: 'key_file_failed' });
  for (const bytes of [0, 31, 33, 4_096]) {
    const odd = join(data, 'keys', `node%n${bytes}.seed`);
    writeFileSync(odd, Buffer.alloc(bytes, 7), { mode: 0o600 });
    await t.throwsAsync(readSeedFile(odd), { code: 'key_file_bad' });
  }
});

test('F2: of many that make a key at once all get the same, none is overwritten, and nothing half-made is left', async (t) => {
  const data = folder(t);
  const file = join(data, 'keys', 'session%a.seed');
  const seeds = await Promise.all(Array.from({ length: 16 }, () => ensureSeedFile(file)));
  t.is(new Set(seeds.map((seed) => Buffer.from(seed).toString('hex'))).size, 1);
  t.false(await writeSeedFile(file, newSeed()));
  t.deepEqual(await readSeedFile(file), seeds[0]);
  t.deepEqual(readdirSync(join(data, 'keys')), ['session%a.seed']);
  await t.throwsAsync(storeSeed(data, 'session%a', newSeed()), { code: 'key_file_exists' });
  t.false(await storeSeed(data, 'session%a', seeds[0] as Uint8Array));
  for (const name of ['../x', '..', 'a%b%c', 'session%', 'x/y', '']) {
    await t.throwsAsync(storeSeed(data, name, newSeed()), { code: 'key_file_bad' }, name);
  }
});

test('a rotation that a crash left half-way ends by what the log says: the successor only where it counts', async (t) => {
  const data = folder(t);
  const old = await ensureKey(data, 'session/a');
  const next = await nextKey(data, 'session/a');
  t.is((await nextKey(data, 'session/a')).kid, next.kid, 'the one that was signed for is taken up again');
  await settleRotation(data, 'session%a', (kid) => kid === old.kid);
  t.is((await ensureKey(data, 'session/a')).kid, old.kid);
  const settled = Array.from({ length: 4 }, () =>
    settleRotation(data, 'session%a', (kid) => kid === next.kid),
  );
  await t.notThrowsAsync(Promise.all(settled), 'a node and a command may both do it');
  t.is((await ensureKey(data, 'session/a')).kid, next.kid);
  t.deepEqual(readdirSync(join(data, 'keys')), ['session%a.seed']);
  await t.throwsAsync(promoteSeed(join(data, 'keys', 'x'), join(data, 'keys', 'y')), {
    code: 'key_file_failed',
  });
});

test('a node keeps its name, and other files in the folder are nobody’s keys', async (t) => {
  const data = folder(t);
  const first = await ensureNodeKey(data);
  t.regex(first.owner, /^node\/[0-9a-f]{12}$/);
  t.deepEqual((await ensureNodeKey(data)).owner, first.owner);
  await openRealmKey(data);
  writeFileSync(join(data, 'keys', 'privacy.key'), Buffer.alloc(32));
  writeFileSync(join(data, 'keys', 'note.txt'), 'x');
  writeFileSync(join(data, 'keys', 'UPPER%x.seed'), 'x');
  const found = await storedKeys(data);
  t.deepEqual(
    found.map(({ name }) => name),
    [first.name, 'realm'],
  );
});

test('nkeys are those of NATS, both ways, and every changed character is found', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(), (bytes, at) => {
      const seed = new Uint8Array(bytes);
      const pair = nkeys.fromSeed(Buffer.from(seedNkey(seed)));
      const { publicKey } = signingKey(seed);
      t.is(userNkey(publicKey), pair.getPublicKey());
      t.is(seedNkey(seed), Buffer.from(pair.getSeed()).toString());
      t.deepEqual(seedOfNkey(seedNkey(seed)), seed);
      t.deepEqual(publicKeyOfNkey(userNkey(publicKey)), publicKey);
      const text = userNkey(publicKey);
      const place = at % text.length;
      const other = text[place] === 'A' ? 'B' : 'A';
      t.throws(() => publicKeyOfNkey(text.slice(0, place) + other + text.slice(place + 1)), {
        code: 'bad_nkey',
      });
    }),
  );
  const account = nkeys.createAccount();
  for (const text of [
    '',
    'U',
    'SU',
    account.getPublicKey(),
    Buffer.from(account.getSeed()).toString(),
    'ü'.repeat(56),
  ]) {
    t.throws(() => publicKeyOfNkey(text), { code: 'bad_nkey' });
    const error = t.throws(() => seedOfNkey(text), { code: 'bad_nkey' });
    t.true(text.length < 3 || !error.message.includes(text));
  }
});

test('an agent signs on to a real NATS server with its key, in both spellings, and a stranger does not', async (t) => {
  const data = folder(t);
  const agent = await ensureKey(data, 'session/ndi');
  const port = await freePort();
  const config = join(data, 'nats.conf');
  const users = `users = [ { nkey: ${userNkey(agent.publicKey)} } ]`;
  writeFileSync(config, `listen: 127.0.0.1:${port}\nauthorization { ${users} }\n`);
  const server = spawn(await locateServer(process.env), ['-c', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    await new Promise<void>((ready, ended) => {
      server.once('exit', () => ended(new Error('the server ended')));
      server.stderr.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes('Server is ready')) ready();
      });
    });
    const servers = `127.0.0.1:${port}`;
    const seed = await readSeedFile(join(data, 'keys', 'session%ndi.seed'));
    const spellings = [natsAuthenticator(agent), nkeyAuthenticator(Buffer.from(seedNkey(seed ?? newSeed())))];
    for (const authenticator of spellings) {
      const nc = await connect({ servers, authenticator, reconnect: false });
      await nc.flush();
      await nc.close();
    }
    const stranger = natsAuthenticator(signingKey(newSeed()));
    await t.throwsAsync(connect({ servers, authenticator: stranger, reconnect: false }), {
      message: /authorization/i,
    });
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
  }
});

test('Y1: a server that asks to sign anything but a nonce gets no signature', (t) => {
  const signOn = natsAuthenticator(signingKey(newSeed()));
  t.notThrows(() => signOn('PXoWU7zWAMt75FY'));
  const wanted = [
    '',
    'short',
    '{"a":1}',
    'infrafabric-keyring-v1\n{}',
    'origin\n12\nroot\n',
    'cosignature/v1\n',
    'x'.repeat(89),
  ];
  for (const text of wanted) t.throws(() => signOn(text), { code: 'bad_nonce' });
});

test('X1, X3: an export gives back its keys to its passphrase, and to no other, and not when any part of it is changed', async (t) => {
  const keys = ['realm', 'session%ndi'].map((name) => ({ name, seed: newSeed() }));
  const text = await sealKeys(keys, PASSPHRASE);
  for (const { seed } of keys) for (const spelling of spellingsOf(seed)) t.false(text.includes(spelling));
  t.deepEqual(await readExport(text).open(PASSPHRASE), keys);
  await t.throwsAsync(readExport(text).open(`${PASSPHRASE} `), { code: 'export_locked' });
  const file = JSON.parse(text);
  t.like(file.kdf, { name: 'scrypt', N: 2 ** 17, r: 8, p: 1 });
  const flipped = (base64: string): string => {
    const bytes = Buffer.from(base64, 'base64');
    bytes.writeUInt8(bytes.readUInt8(3) ^ 4, 3);
    return bytes.toString('base64');
  };
  const changed = [
    { ...file, data: flipped(file.data) },
    { ...file, nonce: flipped(file.nonce) },
    { ...file, kdf: { ...file.kdf, salt: flipped(file.kdf.salt) } },
    { ...file, kdf: { ...file.kdf, N: 2 ** 16 } },
    { ...file, keys: [file.keys[1], file.keys[0]] },
    { ...file, keys: [{ ...file.keys[0], name: 'session%other' }, file.keys[1]] },
  ];
  for (const change of changed) {
    await t.throwsAsync(readExport(JSON.stringify(change)).open(PASSPHRASE), { code: 'export_locked' });
  }
  await t.throwsAsync(sealKeys(keys, 'eleven char'), { code: 'passphrase_weak' });
});

test('X2: a file that asks for too little or too much work, or is no export, is refused before any is done', async (t) => {
  const file = JSON.parse(await sealKeys([{ name: 'realm', seed: newSeed() }], PASSPHRASE));
  const bad = [
    '',
    '[]',
    JSON.stringify({ ...file, version: 2 }),
    JSON.stringify({ ...file, kdf: { ...file.kdf, N: 2 ** 14 } }),
    JSON.stringify({ ...file, kdf: { ...file.kdf, N: 2 ** 21 } }),
    JSON.stringify({ ...file, kdf: { ...file.kdf, N: 2 ** 17 - 1 } }),
    JSON.stringify({ ...file, kdf: { ...file.kdf, p: 1_000 } }),
    JSON.stringify({ ...file, keys: [{ ...file.keys[0], name: '../../etc/x' }] }),
    JSON.stringify({ ...file, extra: 1 }),
  ];
  for (const text of bad) t.throws(() => readExport(text), { code: 'export_bad' }, text.slice(0, 200));
  const heavy = JSON.stringify({ ...file, kdf: { ...file.kdf, N: 2 ** 20, r: 32 } });
  await t.throwsAsync(readExport(heavy).open(PASSPHRASE), { code: 'export_bad' });
  const cut = JSON.stringify({
    ...file,
    data: Buffer.from(file.data, 'base64').subarray(1).toString('base64'),
  });
  await t.throwsAsync(readExport(cut).open(PASSPHRASE), { code: 'export_bad' });
});

test('a passphrase is typed without echo, or read from a private file; a pipe without either is refused', async (t) => {
  const cwd = folder(t);
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined });
  let shown = '';
  const screen = new Writable({
    write(chunk, _, done) {
      shown += String(chunk);
      done();
    },
  });
  const io = {
    stdin,
    stdout: screen,
    stderr: screen,
    env: {},
    cwd,
    self: [],
    signal: new AbortController().signal,
  };
  const type = (text: string): void => void setImmediate(() => stdin.write(text));
  type(`${PASSPHRASE}\r`);
  t.is(await readPassphrase({}, io, false), PASSPHRASE);
  t.false(shown.includes('correct'), shown);
  t.true(shown.startsWith('Passphrase: '));
  type('\u0003');
  await t.throwsAsync(readPassphrase({}, io, false), { code: 'passphrase_missing' });
  const file = join(cwd, 'pass');
  mkdirSync(cwd, { recursive: true });
  writeFileSync(file, `${PASSPHRASE}\nrest`, { mode: 0o600 });
  t.is(await readPassphrase({ passphraseFile: 'pass' }, io, true), PASSPHRASE);
  chmodSync(file, 0o644);
  await t.throwsAsync(readPassphrase({ passphraseFile: 'pass' }, io, true), { code: 'key_file_open' });
  await t.throwsAsync(readPassphrase({ passphraseFile: 'none' }, io, true), { code: 'file_unreadable' });
  const piped = { ...io, stdin: Object.assign(new PassThrough(), { isTTY: false }) };
  await t.throwsAsync(readPassphrase({}, piped, true), { code: 'passphrase_missing' });
});

test('objects that hold a key show nothing of it, whichever way they are printed', async (t) => {
  const data = folder(t);
  const seed = await ensureSeedFile(join(data, 'keys', 'session%a.seed'));
  const stored = await storedKeys(data);
  const realm = await openRealmKey(data);
  const realmSeed = (await readSeedFile(join(data, 'keys', 'realm.seed'))) ?? newSeed();
  const objects = [stored, realm, natsAuthenticator(signingKey(seed)), signingKey(seed)];
  const options = { depth: 20, showHidden: true, getters: true, maxArrayLength: null, maxStringLength: null };
  const texts = objects.flatMap((object) => [
    inspect(object, options),
    JSON.stringify(object) ?? '',
    String(object),
  ]);
  for (const secret of [seed, realmSeed]) {
    for (const spelling of spellingsOf(secret)) for (const text of texts) t.false(text.includes(spelling));
  }
});

test('no id of a key reads like an option', (t) => {
  const kids = Array.from({ length: 1_000 }, () => signingKey(newSeed()).kid);
  t.deepEqual(
    kids.filter((kid) => kid.startsWith('-')),
    [],
  );
});
