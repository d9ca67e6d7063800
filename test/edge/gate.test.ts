import { createHash } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kvm } from '@nats-io/kv';
import { hashes, verify as nobleVerify } from '@noble/ed25519';
import test from 'ava';
import fc from 'fast-check';
import { KeyRegistry, memoryKeyStore } from '#runtime/edge/keys';
import { natsKeyStore } from '#runtime/edge/nats-keys';
import { claimsConflict, route } from '#runtime/edge/route';
import { senderKeys } from '#runtime/edge/sender-keys';
import { newSeed, signingKey, signMessage } from '#runtime/edge/sign';
import { canonicalText, type MessageDraft, stampMessage } from '#runtime/edge/stamp';
import { edgeGate } from '#runtime/edge/verify';
import { FabricError } from '#schemas/fabric-error';
import type { IFMessage } from '#schemas/if-message';
import { cases } from '../rig/effort.ts';
import { silentLogger, TestServer } from '../rig/nats.ts';

const NOW = Date.parse('2026-11-21T12:00:00.000Z');
const alice = signingKey(new Uint8Array(32).fill(1));
const mallory = signingKey(new Uint8Array(32).fill(2));
const revoked = signingKey(new Uint8Array(32).fill(3));

hashes.sha512 = (bytes) => new Uint8Array(createHash('sha512').update(bytes).digest());

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

async function registry(): Promise<KeyRegistry> {
  const keys = await KeyRegistry.open(memoryKeyStore());
  await keys.add({ kid: alice.kid, owner: 'session/alice', publicKey: base64url(alice.publicKey) }, NOW);
  await keys.add(
    { kid: mallory.kid, owner: 'session/mallory', publicKey: base64url(mallory.publicKey) },
    NOW,
  );
  await keys.add({ kid: revoked.kid, owner: 'session/alice', publicKey: base64url(revoked.publicKey) }, NOW);
  await keys.revoke(revoked.kid, NOW + 1);
  return keys;
}

const gate = edgeGate({ policy: { unsignedTypes: ['human'] }, keyOf: (await registry()).keyOf });
const at = { actor: 'task/P0.1.1', now: NOW, lastSeq: () => 0 };

const draft: MessageDraft = {
  performative: 'inform',
  from: 'if://session/alice',
  to: ['if://task/P0.1.1', 'if://task/P0.1.2'],
  conversation: 'c1',
  content: { action: 'progress', nested: { list: [1, 'zwei', { drei: null }], ключ: 'значение 🜂' } },
  citations: ['if://witness/1'],
  hazard: { type: 'budget', severity: 'high', autoEscalate: false, rationale: 'näher' },
  confidence: 0.75,
};

function stamped(over: Partial<IFMessage> = {}): IFMessage {
  return { ...stampMessage(draft, { id: 'm1', now: NOW - 1_000, seq: 7 }), ...over };
}

const signed = signMessage(stamped(), alice);

function codeOf(envelope: unknown, check: Partial<typeof at> = {}): string {
  const verdict = gate.check(envelope, { ...at, ...check });
  return verdict.ok ? 'ok' : verdict.error.code;
}

test('A signed message from its key’s owner becomes the event of its performative', (t) => {
  const verdict = gate.check(signed, at);
  t.deepEqual(verdict, {
    ok: true,
    event: { type: 'if.inform', message: signed },
    signed: { kid: alice.kid, from: 'session/alice', seq: 7 },
  });
});

test('Every refusal has its own code', (t) => {
  const { performative: _, ...incomplete } = signed;
  const { signature: __, ...unsigned } = signed;
  t.is(codeOf(null), 'bad_envelope');
  t.is(codeOf([signed]), 'bad_envelope');
  t.is(codeOf(incomplete), 'bad_envelope');
  t.is(codeOf({ ...signed, extra: 1 }), 'bad_envelope');
  t.is(codeOf(unsigned), 'unsigned');
  t.is(codeOf(signMessage(stamped(), signingKey(newSeed()))), 'unknown_key');
  t.is(codeOf(signMessage(stamped(), revoked)), 'revoked_key');
  t.is(codeOf(signMessage(stamped(), mallory)), 'key_owner_mismatch');
  t.is(codeOf({ ...signed, conversation: 'c2' }), 'bad_signature');
  t.is(codeOf(signed, { actor: 'task/P0.9.9' }), 'not_addressed');
  t.is(codeOf(signed, { lastSeq: () => 7 }), 'replayed_seq');
  t.is(codeOf(signed, { lastSeq: () => 8 }), 'replayed_seq');
  t.is(codeOf(signed, { lastSeq: () => 6 }), 'ok');
  t.is(codeOf(signed, { now: NOW + 300_000 }), 'expired');
  t.is(codeOf(signed, { now: NOW + 299_000 }), 'ok');
  t.is(codeOf(signMessage(stamped({ ttl: 3_600 }), alice), { now: NOW + 299_001 }), 'expired');
  t.is(codeOf(signMessage(stamped({ ttl: 2 }), alice), { now: NOW + 1_001 }), 'expired');
  t.is(codeOf(signed, { now: NOW - 6_001 }), 'from_future');
  t.is(codeOf(signed, { now: NOW - 6_000 }), 'ok');
});

test('A refusal of the schema names the path', (t) => {
  for (const [envelope, path] of [
    [{ ...signed, hazard: { ...signed.hazard, severity: 'dire' } }, 'hazard.severity'],
    [{ ...signed, to: ['if://task/P0.1.1', 'task/b'] }, 'to.1'],
    [{ ...signed, extra: 1 }, 'extra'],
    [{ ...signed, content: { a: [1, undefined] } }, 'content.a.1'],
    [{ ...signed, content: { when: new Date(NOW) } }, 'content.when'],
    [{ ...signed, content: JSON.parse('{"__proto__": 1}') }, 'content.__proto__'],
    [{ ...signed, content: '\ud800' }, 'content'],
  ] as const) {
    const verdict = gate.check(envelope, at);
    t.false(verdict.ok);
    if (!verdict.ok) t.deepEqual(verdict.error.details, { path });
  }
});

test('Only the sender types that the policy names may leave the signature out, and their seq burns nobody’s', (t) => {
  const { signature: _, ...human } = stamped({ from: 'if://human/eve' });
  const verdict = gate.check(human, at);
  t.true(verdict.ok);
  if (verdict.ok) t.is(verdict.signed, undefined);
});

test('E2: the machine hears what was signed, defaults filled in', (t) => {
  const { ttl: _, ...withoutTtl } = stamped({ content: { zero: -0 } });
  const sig = signMessage(withoutTtl as IFMessage, alice);
  const verdict = gate.check(sig, at);
  t.true(verdict.ok);
  if (!verdict.ok) return;
  const { message } = verdict.event as unknown as { message: IFMessage };
  t.is(message.ttl, 300);
  t.deepEqual(message.content, { zero: 0 });
});

test('E3: a signature with other unused bits is refused', (t) => {
  const { signature } = signed;
  t.truthy(signature);
  if (signature === undefined) return;
  const last = signature.sig.at(-1) ?? '';
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const other = alphabet[alphabet.indexOf(last) + 1] ?? '';
  const bytes = (text: string): string => Buffer.from(text, 'base64url').toString('hex');
  const respelled = signature.sig.slice(0, -1) + other;
  t.is(bytes(respelled), bytes(signature.sig));
  t.is(codeOf({ ...signed, signature: { ...signature, sig: respelled } }), 'bad_signature');
});

test('A message with any byte changed is refused, or says the same', (t) => {
  const bytes = Buffer.from(JSON.stringify(signed));
  const original = canonicalText(signed);
  const tampered = fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(tampered, ([index, mask]) => {
      const copy = Buffer.from(bytes);
      copy[index] = (copy[index] ?? 0) ^ mask;
      let envelope: unknown;
      try {
        envelope = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(copy));
      } catch {
        return true;
      }
      const verdict = gate.check(envelope, at);
      return !verdict.ok || canonicalText(envelope as Record<string, unknown>) === original;
    }),
    { numRuns: cases(20_000, 2_000) },
  );
  t.pass();
});

test('A message with any field changed, at any depth, is refused; an untouched one of any content passes', (t) => {
  // "__proto__" as a field name is refused wherever it stands.
  const json = fc
    .jsonValue({ maxDepth: 4 })
    .filter((value) => !JSON.stringify(value).includes('"__proto__"'));
  fc.assert(
    fc.property(json, json, (content, other) => {
      const message = signMessage(stamped({ content: { content } }), alice);
      const passed = codeOf(JSON.parse(JSON.stringify(message))) === 'ok';
      const forged = { ...message, content: { content: other } };
      const same = canonicalText(forged) === canonicalText(message);
      return passed && (same || codeOf(forged) === 'bad_signature');
    }),
    { numRuns: cases(3_000, 400) },
  );
  t.pass();
});

test('Whatever comes in, the gate answers with a verdict and never throws', (t) => {
  const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true });
  const field = fc.constantFrom(...Object.keys(signed));
  fc.assert(
    fc.property(anything, field, (value, key) => {
      return !gate.check(value, at).ok && typeof gate.check({ ...signed, [key]: value }, at).ok === 'boolean';
    }),
    { numRuns: cases(5_000, 1_000) },
  );
  t.pass();
});

test('Signatures agree with an independent Ed25519', (t) => {
  const text = Buffer.from(canonicalText(signed));
  const sig = Buffer.from(signed.signature?.sig ?? '', 'base64url');
  t.true(nobleVerify(sig, text, alice.publicKey));
  t.false(nobleVerify(sig, text, mallory.publicKey));
});

test('K1, K2: a kid keeps its key and owner, and a revoked key stays revoked', async (t) => {
  const store = memoryKeyStore();
  await using one = await KeyRegistry.open(store);
  await using two = await KeyRegistry.open(store);
  const entry = { kid: alice.kid, owner: 'session/alice', publicKey: base64url(alice.publicKey) };
  await one.add(entry, NOW);
  t.is(two.keyOf(alice.kid)?.status, 'active');
  const taken = await t.throwsAsync(two.add({ ...entry, owner: 'session/eve' }, NOW), {
    instanceOf: FabricError,
  });
  t.is(taken?.code, 'key_taken');
  await two.revoke(alice.kid, NOW + 5);
  t.is(one.keyOf(alice.kid)?.revokedAt, NOW + 5);
  t.is((await one.add(entry, NOW + 9)).status, 'revoked');
  const bad = await t.throwsAsync(one.add({ ...entry, publicKey: 'AAAA' }, NOW), { instanceOf: FabricError });
  t.is(bad?.code, 'bad_key');
});

test('What is no key record in the bucket is logged and skipped, at the start and later, and can be written over', async (t) => {
  await using server = await TestServer.start();
  const kv = await new Kvm(await server.connect()).create('if_keys', { history: 1 });
  const entry = { kid: alice.kid, owner: 'session/alice', publicKey: base64url(alice.publicKey) };
  await kv.put('garbage', '{"ok":');
  await kv.put('other', '{"ok":true}');
  await kv.put(alice.kid, 'garbage');
  const unreadable: object[] = [];
  const logger = { ...silentLogger, warn: (fields: object) => unreadable.push(fields) };
  await using registry = await KeyRegistry.open(natsKeyStore(kv, logger));
  t.deepEqual(registry.list(), []);
  t.like(unreadable, [{ kid: 'garbage' }, { kid: alice.kid }]);
  t.is((await registry.add(entry, NOW)).status, 'active');

  await kv.put(alice.kid, 'garbage');
  t.is((await registry.add(entry, NOW)).status, 'active');
  await t.throwsAsync(registry.add({ ...entry, owner: 'session/eve' }, NOW), { instanceOf: FabricError });
  await registry.revoke(alice.kid, NOW);
  await using later = await KeyRegistry.open(natsKeyStore(kv));
  t.is(later.keyOf(alice.kid)?.status, 'revoked');
});

test('A sender’s key is made once, readable by its owner only, and registered', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'if-keys-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const keys = await KeyRegistry.open(memoryKeyStore());
  const make = () => senderKeys({ dataFolder: folder, registry: keys, now: () => NOW });
  const made = await Promise.all([1, 2, 3, 4].map(() => make().ensureSenderKey('session/ndi')));
  t.is(new Set(made.map((key) => key.kid)).size, 1);
  t.is(keys.keyOf(made[0]?.kid ?? '')?.owner, 'session/ndi');
  t.is((await stat(join(folder, 'keys', 'session%ndi.seed'))).mode & 0o777, 0o600);
});

test('Messages are routed by hazard and confidence, and claims more than a fifth apart conflict', (t) => {
  const hazard = { type: 'x', severity: 'low', autoEscalate: true } as const;
  t.is(route({ hazard, confidence: 1 }), 'escalate');
  t.deepEqual(
    [0, 0.19, 0.2, 0.29, 0.3, 0.69, 0.7, 1].map((confidence) => route({ confidence })),
    ['escalate', 'escalate', 'hold', 'hold', 'hold', 'hold', 'share', 'share'],
  );
  t.is(route({}), 'hold');
  t.false(claimsConflict(100, 80));
  t.false(claimsConflict(0.3, 0.24));
  t.true(claimsConflict(100, 79));
  t.true(claimsConflict(1, -1));
  t.false(claimsConflict(0, 0));
  t.true(claimsConflict(1, Number.NaN));
});
