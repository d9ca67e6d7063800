/** The keyring by its rules R1–R4, its orders by O1 and O2, and what a verifier reads from it. */
import test from 'ava';
import fc from 'fast-check';
import { keyring } from '#machines/keyring';
import { newSeed, type SigningKey, signingKey, signMessage } from '#runtime/edge/sign';
import { stampMessage } from '#runtime/edge/stamp';
import { checkOrder, orderBytes, publicRecord, signOrder } from '#runtime/keys/order';
import { realmKeys, successorsOf } from '#runtime/keys/realm-history';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import { FabricError } from '#schemas/fabric-error';
import type { KeyringContext, KeyringOrder, RegistryUpdate, SignedOrder } from '#schemas/keyring';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const ACTOR = 'keyring/realm';

interface World extends AsyncDisposable {
  readonly realm: TestRealm;
  readonly key: SigningKey;
  readonly updates: RegistryUpdate[];
  ring(): Promise<KeyringContext>;
  /** Signed by `by` and the others; an order of another number, realm or ring where said. */
  give(
    body: Record<string, unknown>,
    by: SigningKey,
    others?: readonly SigningKey[],
    changes?: Record<string, unknown>,
  ): Promise<string>;
}

const fresh = (): SigningKey => signingKey(newSeed());

async function world(): Promise<World> {
  const updates: RegistryUpdate[] = [];
  const realm = await testRealm({
    machines: [keyring],
    drivers: {
      keyring: ({ input }) => {
        updates.push(input as RegistryUpdate);
        return {};
      },
    },
    now: NOW,
  });
  const key = fresh();
  const ring = async (): Promise<KeyringContext> => (await realm.actor(ACTOR)).context as KeyringContext;
  const give: World['give'] = async (body, by, others = [], changes = {}) => {
    const { seq } = changes['seq'] === undefined ? await ring() : { seq: 0 };
    const order = { realm: 'test', ring: key.kid, seq: seq + 1, by: by.kid, ...body, ...changes };
    const signed = signOrder(order as KeyringOrder, [by, ...others]);
    try {
      await realm.ask(ACTOR, { type: 'keyring.order', ...signed });
      await realm.idle();
      return 'taken';
    } catch (thrown) {
      if (thrown instanceof FabricError) return thrown.code;
      throw thrown;
    }
  };
  await give({ op: 'found', keys: [publicRecord(key, 'realm/test')] }, key, [], { seq: 1 });
  return { realm, key, updates, ring, give, [Symbol.asyncDispose]: () => realm[Symbol.asyncDispose]() };
}

const register = (key: SigningKey, owner: string) => ({ op: 'register', key: publicRecord(key, owner) });
const rotate = (key: SigningKey, owner: string) => ({ op: 'rotate', key: publicRecord(key, owner) });
const revoke = (key: SigningKey, from = NOW) => ({ op: 'revoke', kid: key.kid, reason: 'lost', from });

test('R1: who may register and revoke whom, of every role by every role', async (t) => {
  const roles = ['realm', 'operator', 'guardian', 'node', 'agent'] as const;
  const owners = {
    realm: 'realm/test',
    operator: 'operator/o',
    guardian: 'guardian/g',
    node: 'node/n',
    agent: 'session/a',
  };
  const allowed: Record<string, readonly string[]> = {
    realm: ['operator', 'guardian', 'node', 'agent'],
    operator: ['guardian', 'node', 'agent'],
  };
  for (const by of roles) {
    await using w = await world();
    const keys = { realm: w.key, operator: fresh(), guardian: fresh(), node: fresh(), agent: fresh() };
    for (const role of roles.slice(1)) t.is(await w.give(register(keys[role], owners[role]), w.key), 'taken');
    for (const role of roles) {
      const other = fresh();
      const isAllowed = allowed[by]?.includes(role) === true;
      const refusal = role === 'realm' ? 'keyring_realm_key' : 'keyring_unauthorised';
      t.is(
        await w.give(register(other, owners[role]), keys[by]),
        isAllowed ? 'taken' : refusal,
        `${by} registers ${role}`,
      );
      // What was refused is not there; then the realm's own key brings one in to be revoked.
      if (!isAllowed && role !== 'realm') t.is(await w.give(register(other, owners[role]), w.key), 'taken');
      const end = role === 'realm' ? w.key : other;
      t.is(await w.give(revoke(end), keys[by]), isAllowed ? 'taken' : refusal, `${by} revokes ${role}`);
    }
  }
});

test('R2: a rotation needs both signatures and the same owner, and leaves the old key powerless', async (t) => {
  await using w = await world();
  const [old, next, other] = [fresh(), fresh(), fresh()];
  await w.give(register(old, 'session/a'), w.key);
  await w.give(register(other, 'session/b'), w.key);
  t.is(await w.give(rotate(next, 'session/a'), old), 'keyring_unproven');
  t.is(await w.give(rotate(next, 'session/b'), old, [next]), 'keyring_unauthorised');
  // The realm's key is no owner's key: nobody rotates for another.
  t.is(await w.give(rotate(next, 'session/a'), w.key, [next]), 'keyring_unauthorised');
  t.is(await w.give(rotate(other, 'session/a'), old, [other]), 'keyring_known_key');
  t.is(await w.give(rotate(next, 'session/a'), old, [next]), 'taken');
  const { keys } = await w.ring();
  t.like(keys[old.kid], { status: 'rotated', successor: next.kid, until: NOW });
  t.like(keys[next.kid], { status: 'active', owner: 'session/a', since: NOW, by: old.kid });
  t.is(await w.give(rotate(fresh(), 'session/a'), old), 'keyring_unauthorised');
  t.like(w.updates.at(-1), { keys: [{ kid: next.kid }, { kid: old.kid, until: NOW }] });
});

test('R3: what was revoked or rotated never counts again, and a revoked operator orders nothing', async (t) => {
  await using w = await world();
  const [agent, operator] = [fresh(), fresh()];
  await w.give(register(agent, 'session/a'), w.key);
  await w.give(register(operator, 'operator/o'), w.key);
  t.is(await w.give(revoke(agent, NOW + 1), operator), 'keyring_from_future');
  t.is(await w.give(revoke(agent, NOW - 60_000), operator), 'taken');
  t.like((await w.ring()).keys[agent.kid], {
    status: 'revoked',
    until: NOW,
    distrustedFrom: NOW - 60_000,
    reason: 'lost',
    endedBy: operator.kid,
  });
  t.is(await w.give(revoke(agent), w.key), 'keyring_ended_key');
  t.is(await w.give(register(agent, 'session/a'), w.key), 'keyring_known_key');
  t.is(await w.give(register(agent, 'session/other'), w.key), 'keyring_known_key');
  t.is(await w.give(revoke(operator), w.key), 'taken');
  t.is(await w.give(register(fresh(), 'session/b'), operator), 'keyring_unauthorised');
  t.is(await w.give(revoke(fresh()), w.key), 'keyring_unknown_key');
});

test('R4: an order counts once, for its realm and its ring, on the state its signer knew; none comes from an actor', async (t) => {
  await using w = await world();
  const order = register(fresh(), 'session/a');
  t.is(await w.give(order, w.key, [], { realm: 'other' }), 'keyring_foreign');
  t.is(await w.give(order, w.key, [], { ring: fresh().kid }), 'keyring_foreign');
  t.is(await w.give(order, w.key, [], { seq: 3 }), 'keyring_moved');
  t.is(await w.give(order, w.key, [], { seq: 1 }), 'keyring_moved');
  t.is(await w.give(order, w.key), 'taken');
  t.is(await w.give(order, w.key, [], { seq: 2 }), 'keyring_moved');
  const founder = fresh();
  const founding = { op: 'found', keys: [publicRecord(founder, 'realm/test')] };
  t.is(await w.give(founding, founder, [], { ring: founder.kid, seq: 1 }), 'keyring_moved');
  t.is(await w.give(order, fresh()), 'keyring_unauthorised');
  const signed = signOrder(
    { ...order, realm: 'test', ring: w.key.kid, seq: 3, by: w.key.kid } as KeyringOrder,
    [w.key],
  );
  const mailed = w.realm.ask(ACTOR, { type: 'keyring.order', ...signed }, { from: 'session/evil' });
  t.is((await t.throwsAsync<FabricError>(mailed)).code, 'keyring_unauthorised');
});

test('O1, O2: an order with any bit changed is refused, and no other signature of a key is one of an order', (t) => {
  const key = fresh();
  const agent = fresh();
  const order: KeyringOrder = {
    op: 'register',
    realm: 'test',
    ring: key.kid,
    seq: 7,
    by: key.kid,
    key: publicRecord(agent, 'session/a'),
  };
  const signed = signOrder(order, [key, agent]);
  const known = {
    [key.kid]: {
      ...publicRecord(key, 'realm/test'),
      role: 'realm',
      status: 'active',
      since: 0,
      by: key.kid,
      proven: true,
    },
  } as const;
  t.notThrows(() => checkOrder(signed, known));
  const forged = (change: Partial<SignedOrder>): void => {
    t.throws(() => checkOrder({ ...signed, ...change }, known), { code: 'order_forged' });
  };
  for (const change of [
    { seq: 8 },
    { realm: 'tesu' },
    { key: publicRecord(fresh(), 'session/a') },
    { key: publicRecord(agent, 'session/b') },
  ]) {
    forged({ order: { ...order, ...change } as KeyringOrder });
  }
  // A key under another's kid.
  forged({ order: { ...order, key: { ...publicRecord(fresh(), 'session/a'), kid: agent.kid } } });
  fc.assert(
    fc.property(fc.nat(1), fc.nat(511), (which, bit) => {
      const signatures = signed.signatures.map(({ kid, sig }, at) => {
        const bytes = Buffer.from(sig, 'base64url');
        if (at === which) bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        return { kid, sig: bytes.toString('base64url') };
      });
      t.throws(() => checkOrder({ order, signatures }, known), { code: 'order_forged' });
    }),
  );
  // The signature of an IFMessage, which is over JSON without the context of orders.
  const draft = {
    performative: 'inform',
    from: 'if://session/a',
    to: ['if://b/c'],
    conversation: 'c',
    content: order,
  } as const;
  const message = signMessage(
    stampMessage({ ...draft, to: [...draft.to] }, { id: 'm', now: NOW, seq: 1 }),
    key,
  );
  forged({ signatures: [{ kid: key.kid, sig: message.signature?.sig ?? '' }] });
  t.true(Buffer.from(orderBytes(order)).toString().startsWith('infrafabric-keyring-v1\n{'));
});

test('a verifier that trusts an old key of the realm is led to the new one by signatures alone', async (t) => {
  await using w = await world();
  const keys = [w.key, fresh(), fresh(), fresh()];
  for (const [at, next] of keys.slice(1).entries()) {
    await w.realm.advance('1h');
    t.is(await w.give(rotate(next, 'realm/test'), keys[at] as SigningKey, [next]), 'taken');
  }
  const ring = await w.ring();
  const kids = keys.map(({ kid }) => kid);
  t.deepEqual(
    realmKeys(ring).map(({ kid }) => kid),
    kids,
  );
  t.deepEqual(
    realmKeys(ring).map(({ until }) => until),
    [NOW + 3_600_000, NOW + 7_200_000, NOW + 10_800_000, undefined],
  );
  for (const [at, { publicKey }] of keys.entries()) {
    t.deepEqual(
      successorsOf(publicKey, ring).map(({ kid }) => kid),
      kids.slice(at + 1),
    );
  }
  t.deepEqual(successorsOf(fresh().publicKey, ring), []);
  // Whoever tells the history can leave out, and nothing more.
  const [, second] = kids;
  const stranger = fresh();
  const order = {
    op: 'rotate',
    realm: 'test',
    ring: w.key.kid,
    seq: 2,
    by: w.key.kid,
    key: publicRecord(stranger, 'realm/test'),
  } as const;
  const forged = {
    ...ring.keys[second ?? ''],
    ...publicRecord(stranger, 'realm/test'),
    order: signOrder(order, [stranger]),
  };
  const claims = signOrder(order, [stranger, stranger]).signatures.map(({ sig }, at) => ({
    kid: at === 0 ? w.key.kid : stranger.kid,
    sig,
  }));
  for (const lie of [forged, { ...forged, order: { order, signatures: claims } }]) {
    t.deepEqual(successorsOf(w.key.publicKey, { keys: { [stranger.kid]: lie as never } }), []);
  }
});
