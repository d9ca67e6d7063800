/** The parts by themselves: sealing (S), data keys (K), the door (D, A), drivers (F), marks and displays. */
import { createSecretKey, randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { z } from 'zod';
import type { Driver, EffectCall } from '#runtime/effects/driver';
import { createRegistry } from '#runtime/machine/registry';
import { DataKeys, keyRowOf } from '#runtime/privacy/data-keys';
import { privacyView, REDACTED_MARK, SEALED_MARK } from '#runtime/privacy/display';
import { type DoorDeps, PrivacyDoor } from '#runtime/privacy/door';
import { privacyDriver } from '#runtime/privacy/driver';
import { privateDriver } from '#runtime/privacy/effects';
import { Marks, markedFields, rulesOf } from '#runtime/privacy/marks';
import { mapAt, parsePointer, pointerText } from '#runtime/privacy/pointer';
import { open, seal } from '#runtime/privacy/seal';
import { planSealing } from '#runtime/privacy/sealing';
import type { Ask, InboxMessage } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { isSealed, replaceSealed, SEALED, type Sealed, sealedIn } from '#schemas/sealed';
import { cases } from '../rig/effort.ts';
import { silentLogger } from '../rig/nats.ts';
import { person } from './person.ts';
import { MemoryRows } from './rig.ts';

const REALM = 'test';
const RUNS = { numRuns: cases(300, 60) };

function newKey(kid = 'k1') {
  return { kid, key: createSecretKey(randomBytes(32)) };
}

async function newKeys(rows = new MemoryRows(), privacyKey = createSecretKey(randomBytes(32))) {
  const keys = await DataKeys.open({ rows, realm: REALM, privacyKey, now: () => 1_000 });
  return { keys, rows, privacyKey };
}

/** Plain data as a door lets it in: with no key that reaches a prototype. */
const plainData = fc
  .jsonValue({ maxDepth: 4 })
  .map((value) => JSON.stringify(value))
  .filter((text) => !text.includes('"__proto_'))
  .map((text) => JSON.parse(text) as unknown);

test('S2: whatever is sealed opens as it was; S1: with any label, byte, realm or key changed it does not', (t) => {
  const key = newKey();
  fc.assert(
    fc.property(plainData, fc.string(), fc.string(), fc.nat(), (value, subject, path, at) => {
      const sealed = seal(value, { realm: REALM, subject, path }, key);
      t.true(isSealed(sealed));
      t.deepEqual(open(sealed, REALM, key.key), value);
      t.deepEqual(open(JSON.parse(JSON.stringify(sealed)) as Sealed, REALM, key.key), value);
      const inner = sealed[SEALED];
      const ct = Buffer.from(inner.ct, 'base64url');
      ct[at % ct.byteLength] = (ct[at % ct.byteLength] ?? 0) ^ (1 << (at % 8));
      const forged = [
        { ...inner, subject: `${subject}x` },
        { ...inner, path: `${path}/x` },
        { ...inner, kid: 'k2' },
        { ...inner, ct: ct.toString('base64url') },
      ];
      for (const other of forged)
        t.throws(() => open({ [SEALED]: other }, REALM, key.key), { instanceOf: FabricError });
      t.throws(() => open(sealed, 'other', key.key));
      t.throws(() => open(sealed, REALM, newKey().key));
    }),
    RUNS,
  );
});

test('S3: short answers have one length, and the same plain value never the same ciphertext', (t) => {
  const key = newKey();
  const at = { realm: REALM, subject: 's', path: '/p' };
  const all = ['yes', 'no', true, 1987, null, 'a name of 20 letters'].map(
    (value) => seal(value, at, key)[SEALED].ct,
  );
  t.is(new Set(all.map((ct) => ct.length)).size, 1);
  t.not(seal('yes', at, key)[SEALED].ct, seal('yes', at, key)[SEALED].ct);
});

test('pointers: what is marked is replaced, nothing else, and the event that came is not changed', (t) => {
  fc.assert(
    fc.property(
      plainData,
      fc.array(fc.array(fc.oneof(fc.string(), fc.constant('*')), { maxLength: 3, minLength: 1 })),
      (value, pointers) => {
        const before = JSON.stringify(value);
        const seen: string[] = [];
        const mapped = mapAt(value, pointers, (_, path) => {
          seen.push(path);
          return 'X';
        });
        t.is(JSON.stringify(value), before);
        if (seen.length === 0) t.is(mapped, value);
        for (const pointer of pointers) t.deepEqual(parsePointer(pointerText(pointer)), pointer);
      },
    ),
    RUNS,
  );
  const data = { a: [{ b: 1, c: 2 }, { b: 3 }], 'x/y': { '~': 4 } };
  t.deepEqual(
    mapAt(data, ['/a/*/b', '/x~1y/~0', '/nosuch'].map(parsePointer), (_, path) => path),
    { a: [{ b: '/a/0/b', c: 2 }, { b: '/a/1/b' }], 'x/y': { '~': '/x~1y/~0' } },
  );
});

test('marks: zod and JSON Schemas mark fields at any depth; an event of an unknown type is held against all of them', (t) => {
  const address = z.object({ street: z.string().meta({ 'x-personal': true }), country: z.string() });
  const schema = z.object({
    id: z.string(),
    homes: z.array(address),
    byName: z.record(z.string(), z.string().meta({ 'x-personal': true })),
    either: z.union([z.object({ a: z.string().meta({ 'x-personal': true }) }), z.number()]),
  });
  t.deepEqual(markedFields(schema), ['/homes/*/street', '/byName/*', '/either/a']);
  const json = {
    $defs: { person: { properties: { name: { 'x-personal': true }, boss: { $ref: '#/$defs/person' } } } },
    $ref: '#/$defs/person',
  };
  t.deepEqual(markedFields(json).slice(0, 2), ['/name', '/boss/name']);
  t.is(rulesOf(undefined, undefined), undefined);
  const bad = (subject: string, ...fields: string[]) =>
    t.throws(() => rulesOf({ subject, fields, sends: 'seal' }, undefined), { instanceOf: FabricError })
      ?.message ?? '';
  t.regex(
    t.throws(() => rulesOf(undefined, { events: { a: z.object({ n: z.string() }) } })).message,
    /Nothing is marked/,
  );
  t.regex(bad('actor'), /Nothing is marked/);
  t.regex(bad('actor', '/type'), /cannot be sealed/);
  for (const field of ['/message', '/message/from', '/message/*/x'])
    t.regex(bad('actor', field), /only what lies under/);
  t.regex(bad('email', '/name'), /neither actor nor/);
  for (const field of ['/email', '/*', '/email/local']) t.regex(bad('/email/local', field), /in the clear/);
  const rules = rulesOf({ fields: ['/email'], sends: 'seal' }, { events: { register: schema, other: json } });
  const marks = new Marks(rules ?? { subject: 'actor', fields: [], events: {}, sends: 'seal' });
  t.deepEqual(marks.of('other').map(pointerText).includes('/homes/*/street'), false);
  t.true(marks.of('regster').map(pointerText).includes('/homes/*/street'));
  t.true(marks.of('register').map(pointerText).includes('/email'));
});

test('a machine’s file that was read anew brings its marks; a child of the same name does not take them', (t) => {
  const registry = createRegistry(['process']);
  registry.define(person);
  const anew = { events: { get: { properties: { why: { 'x-personal': true } } } } };
  registry.define({ ...person, personal: anew });
  const { personal: _, ...bare } = person;
  registry.define(bare);
  t.deepEqual(rulesOf(undefined, registry.personalOf('person', 1))?.events, { get: ['/why'] });
});

test('A1, A2: marked fields are sealed for the subject named; another’s sealed value is taken nowhere', (t) => {
  const marks = new Marks({ subject: '/customer', fields: ['/name'], events: {}, sends: 'seal' });
  const key = newKey();
  const plan = (value: unknown) => planSealing(value, 'order/1', marks, REALM);
  t.is(plan({ type: 'get' }).kind, 'pass');
  t.like(plan({ type: 'x', name: 'Jane' }), { kind: 'refuse', error: { code: 'subject_missing' } });
  t.like(plan(['x']), { kind: 'refuse', error: { code: 'body_withheld' } });
  const made = plan({ type: 'x', customer: 17, name: 'Jane' });
  if (made.kind !== 'seal') return t.fail(made.kind);
  t.is(made.subject, '17');
  const { value } = made.finish(key);
  const { name } = value as { name: Sealed };
  t.is(open(name, REALM, key.key), 'Jane');
  // Read, and written back: still sealed once.
  const again = plan(value);
  if (again.kind !== 'seal') return t.fail(again.kind);
  t.false(again.isPlain);
  t.deepEqual(again.finish(key).value, value);
  const stolen = plan({ type: 'x', customer: '18', name });
  if (stolen.kind !== 'seal') return t.fail(stolen.kind);
  t.throws(() => stolen.finish(newKey('k2')), { message: /not of the subject/ });
  t.like(plan({ type: 'x', customer: '17', note: name }), { kind: 'refuse', error: { code: 'bad_sealed' } });
  t.like(plan({ type: 'x', customer: '17', note: { [SEALED]: 1 } }), {
    kind: 'refuse',
    error: { code: 'bad_sealed' },
  });
  return undefined;
});

test('K1: however many nodes ask at once, a subject has one key', async (t) => {
  const rows = new MemoryRows();
  const privacyKey = createSecretKey(randomBytes(32));
  const nodes = await Promise.all(Array.from({ length: 4 }, () => newKeys(rows, privacyKey)));
  rows.before = () => new Promise((resolve) => setImmediate(resolve));
  const found = await Promise.all(
    nodes.flatMap(({ keys }) => [keys.ensure('a'), keys.ensure('a'), keys.ensure('b')]),
  );
  t.is(new Set(found.map((known) => known.state === 'active' && known.kid)).size, 2);
  t.is(rows.stored.length, 2);
  await t.throwsAsync(newKeys(rows), { message: /not the privacy key/ });
});

test('K2, K3, K4: destroying is heard by every node, ends the same after a crash between tombstone and erasure, and is repeated harmlessly', async (t) => {
  const rows = new MemoryRows();
  const privacyKey = createSecretKey(randomBytes(32));
  const [{ keys: one }, { keys: two }] = await Promise.all([
    newKeys(rows, privacyKey),
    newKeys(rows, privacyKey),
  ]);
  const first = await one.ensure('a');
  t.is((await two.ensure('a')).state, 'active');
  rows.before = async (what) => {
    if (what === 'erase') throw new Error('the node dies here');
  };
  await t.throwsAsync(one.destroy('a', 'order-1'), { message: /does not answer/ });
  t.is(rows.stored.length, 2);
  t.is(two.cached('a'), undefined);
  t.is((await two.ensure('a')).state, 'redacted');
  rows.before = async () => {};
  t.deepEqual(await two.destroy('a', 'order-1'), { at: 1_000, erased: 1 });
  t.deepEqual(await one.destroy('a', 'order-1'), { at: 1_000, erased: 0 });
  t.deepEqual(
    rows.stored.map(({ row }) => keyRowOf(row)?.state),
    ['redacted'],
  );
  await one.readmit('a');
  await one.readmit('a');
  const second = await two.ensure('a');
  t.true(first.state === 'active' && second.state === 'active' && first.kid !== second.kid);
  // A late repetition of the first order does not take the key that came after it.
  await one.destroy('a', 'order-1');
  t.is((await two.ensure('a')).state, 'active');
  await one.destroy('a', 'order-2');
  t.is((await two.ensure('a')).state, 'redacted');
});

test('K4: a key that is destroyed while it is being read is not kept', async (t) => {
  const { keys, rows, privacyKey } = await newKeys();
  await keys.ensure('a');
  const { keys: late } = await newKeys(rows, privacyKey);
  const read = Promise.withResolvers<void>();
  const { get } = rows;
  rows.get = async (subject) => {
    rows.get = get;
    const found = await rows.get(subject);
    await read.promise;
    return found;
  };
  const finding = late.find('a');
  await keys.destroy('a', 'order');
  read.resolve();
  t.is((await finding)?.state, 'redacted');
  t.is(late.cached('a')?.state, 'redacted');
});

function doorDeps(keys: DataKeys, changes: Partial<DoorDeps> = {}): DoorDeps {
  const marks = new Marks({ subject: '/who', fields: ['/name'], events: {}, sends: 'seal' });
  return {
    realm: REALM,
    shard: 0,
    isOn: () => true,
    marksOf: (type) => (type === 'person' ? marks : undefined),
    personalTypes: () => ['person'],
    isKind: (type) => type === 'person' || type === 'plain',
    isMail: () => false,
    keys: () => keys,
    bodyBytesMax: 10_000,
    signedAs: () => {},
    eraser: { erase: async () => {}, stored: async function* () {} },
    clock: { now: () => 0, setTimer: (fn) => setImmediate(fn), clearTimer: () => {} },
    logger: silentLogger,
    ...changes,
  };
}

function message(address: string, body: unknown) {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const subject = `if.ask.${address.replace('/', '.')}`;
  return { subject, body: bytes, contentType: undefined, id: undefined, from: undefined, trace: undefined };
}

test('D2: with keys that come in any order, asks to an actor and sends of a shard stay in theirs', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ actor: fc.nat(2), who: fc.nat(5), hasName: fc.boolean() }), { maxLength: 30 }),
      fc.infiniteStream(fc.nat(4)),
      async (plan, delays) => {
        const { keys, rows } = await newKeys();
        rows.before = async () => {
          for (let n = delays.next().value ?? 0; n > 0; n -= 1)
            await new Promise((resolve) => setImmediate(resolve));
        };
        const door = new PrivacyDoor(doorDeps(keys));
        const asked: number[][] = [[], [], []];
        const sent: number[] = [];
        const inbox = door.inbox({
          open: async (_after, deliver) => {
            for (const [n, { actor, who, hasName }] of plan.entries()) {
              const event = { type: 'x', n, who: `w${who}`, ...(hasName && { name: 'Jane' }) };
              deliver({ ...message(`person/${actor}`, event), seq: n + 1 });
            }
            return { pause() {}, resume() {}, behind: () => 0, close: async () => {} };
          },
          release: async () => {},
        });
        await inbox.open(0, (m: InboxMessage) => sent.push(m.seq));
        for (const [n, { actor, who, hasName }] of plan.entries()) {
          const event = { type: 'x', n, who: `w${who}`, ...(hasName && { name: 'Jane' }) };
          const ask: Ask = { ...message(`person/${actor}`, event), respond: () => t.fail() };
          door.ask(ask, (admitted) => {
            const { n: at, name } = admitted.value as { n: number; name?: unknown };
            t.is(isSealed(name), hasName);
            asked[actor]?.push(at);
          });
        }
        const count = (): number => asked.flat().length + sent.length;
        for (let turns = 0; count() < 2 * plan.length && turns < 10_000; turns += 1) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        t.deepEqual(
          sent,
          plan.map((_, n) => n + 1),
        );
        for (const order of asked)
          t.deepEqual(
            order,
            order.toSorted((a, b) => a - b),
          );
        t.is(asked.flat().length, plan.length);
      },
    ),
    { numRuns: 40 },
  );
});

test('D3: asks beyond the bound are refused while the bucket hangs, sends pause the inbox, and both go on after it', async (t) => {
  const { keys, rows } = await newKeys();
  const back = Promise.withResolvers<void>();
  rows.before = () => back.promise;
  const door = new PrivacyDoor(doorDeps(keys));
  let [refused, admitted, delivered] = [0, 0, 0];
  const flow: string[] = [];
  const inbox = door.inbox({
    open: async (_after, deliver) => {
      for (let n = 1; n <= 1_100; n += 1)
        deliver({ ...message('person/1', { type: 'x', who: 'a', name: 'n' }), seq: n });
      return {
        pause: () => flow.push('pause'),
        resume: () => flow.push('resume'),
        behind: () => 0,
        close: async () => {},
      };
    },
    release: async () => {},
  });
  await inbox.open(0, () => {
    delivered += 1;
  });
  for (let n = 0; n < 4_100; n += 1) {
    const ask = {
      ...message('person/1', { type: 'x', who: 'a', name: 'n' }),
      respond: () => {
        refused += 1;
      },
    };
    door.ask(ask, () => {
      admitted += 1;
    });
  }
  // Kinds without personal fields wait for nobody.
  let other = 0;
  door.ask({ ...message('plain/1', { type: 'inc' }), respond: () => t.fail() }, () => {
    other += 1;
  });
  t.deepEqual([refused, admitted, delivered, other], [4, 0, 0, 1]);
  t.deepEqual(flow, ['pause']);
  back.resolve();
  for (let turns = 0; delivered < 1_100 || admitted < 4_096; turns += 1) {
    if (turns > 10_000) return t.fail(`${delivered} ${admitted}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.deepEqual(flow, ['pause', 'resume']);
  return undefined;
});

/** An inbox whose messages up to 100 came in the clear and were consumed by a node that died. */
function inheritedInbox() {
  const plain = new Set(Array.from({ length: 100 }, (_, n) => n + 1));
  const inherited = {
    plain,
    /** Plain messages that were there when the inbox let go of them. */
    purged: [] as number[],
    /** Awaited before each message is read. */
    before: async (_seq: number): Promise<void> => {},
    timers: new Set<() => void>(),
    door: async () => {
      const { keys } = await newKeys();
      const changes: Partial<DoorDeps> = {
        eraser: {
          erase: async (seqs) => seqs.forEach((seq) => void plain.delete(seq)),
          stored: async function* (_shard, _type, through) {
            for (let seq = 1; seq <= through; seq += 1) {
              await inherited.before(seq);
              const tail = seq % 2 === 0 ? 'person/1' : 'person/%';
              const body = { type: 'x', who: 'a', name: 'Jane Roe' };
              if (plain.has(seq)) yield { ...message(tail, body), seq };
            }
          },
        },
        clock: {
          now: () => 0,
          setTimer: (fn) => {
            inherited.timers.add(fn);
            return fn;
          },
          clearTimer: (fn) => void inherited.timers.delete(fn as () => void),
        },
      };
      const inbox = new PrivacyDoor(doorDeps(keys, changes)).inbox({
        open: async () => ({ pause() {}, resume() {}, behind: () => 0, close: async () => {} }),
        release: async () => void inherited.purged.push(plain.size),
      });
      return { inbox, line: await inbox.open(100, nothing) };
    },
  };
  return inherited;
}

function nothing(): never {
  throw new Error('nothing is delivered');
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('D4: the inbox does not let go of what a node that died took in the clear before it is overwritten, which is tried until it is', async (t) => {
  const inherited = inheritedInbox();
  const back = Promise.withResolvers<void>();
  let isAway = true;
  inherited.before = async (seq) => {
    if (isAway && seq > 70) throw new Error('the server is away');
    if (seq === 90) await back.promise;
  };
  const { inbox } = await inherited.door();
  await turns();
  t.is(inherited.plain.size, 36, 'what was found first is overwritten, whatever comes after');
  await t.throwsAsync(inbox.release(120), { message: 'the server is away' });
  t.is(inherited.timers.size, 1);
  for (const retry of inherited.timers) retry();
  await turns();
  await t.throwsAsync(inbox.release(120), { message: 'the server is away' });
  t.deepEqual(inherited.purged, []);
  isAway = false;
  for (const retry of inherited.timers) retry();
  await turns();
  const releasing = inbox.release(120);
  await turns();
  t.deepEqual(inherited.purged, [], 'it is still being looked through');
  back.resolve();
  await releasing;
  t.deepEqual(inherited.purged, [0]);
  t.is(inherited.timers.size, 0);
  await inbox.release(140);
  t.is(inherited.purged.length, 2);
});

test('D4: who leaves a shard whose inbox is still looked through purges nothing of it, and looks no further', async (t) => {
  const inherited = inheritedInbox();
  const back = Promise.withResolvers<void>();
  let reads = 0;
  inherited.before = async () => {
    reads += 1;
    if (reads === 50) await back.promise;
  };
  const { inbox, line } = await inherited.door();
  await turns();
  const releasing = t.throwsAsync(inbox.release(120), { code: 'shard_moved' });
  await line.close();
  back.resolve();
  await releasing;
  await t.throwsAsync(inbox.release(120), { code: 'shard_moved' });
  t.is(reads, 50);
  t.deepEqual([inherited.purged.length, inherited.timers.size], [0, 0]);
  // Its own again.
  await inbox.open(100, nothing);
  await inbox.release(120);
  t.deepEqual(inherited.purged, [0]);
});

test('D1: what cannot be read, is too big, or is for nobody is withheld', async (t) => {
  const { keys } = await newKeys();
  const door = new PrivacyDoor(doorDeps(keys));
  const admit = (address: string, body: unknown): Promise<Ask> =>
    new Promise((resolve) => door.ask({ ...message(address, body), respond: () => t.fail() }, resolve));
  for (const [address, body, code] of [
    ['person/1', '{"name": Jane Roe}', 'body_withheld'],
    ['person/1', '["Jane Roe"]', 'body_withheld'],
    ['person/1', { type: 'x', name: 'Jane Roe' }, 'subject_missing'],
    ['person/1', { type: 'x', who: 'a', name: 'Jane Roe'.repeat(2_000) }, 'body_too_big'],
    ['person/1', { type: 'x', who: 'a', note: { [SEALED]: 'Jane Roe' } }, 'bad_sealed'],
    ['nosuch/1', { type: 'x', name: 'Jane Roe' }, undefined],
  ] as const) {
    const { body: kept, refusal, value } = await admit(address, body);
    t.is(refusal?.code, code);
    t.false(`${Buffer.from(kept).toString()}${JSON.stringify([refusal, value])}`.includes('Jane'), code);
  }
  t.like(await admit('plain/1', { type: 'x', note: { [SEALED]: 'x' } }), { refusal: { code: 'bad_sealed' } });
  t.like(await admit('plain/1', '{"type":"x","note":{"\\u0024sealed":1}}'), {
    refusal: { code: 'bad_sealed' },
  });
  t.is((await admit('plain/1', { type: 'x', note: '$sealed' })).refusal, undefined);
  // As an ask that came with others: decoded, not yet checked, and nested to exhaust a stack.
  let deep: unknown = {};
  for (let n = 0; n < 100_000; n += 1) deep = [deep];
  for (const address of ['plain/1', 'person/1']) {
    const ask = { ...message(address, {}), value: deep, respond: () => t.fail() };
    t.notThrows(() => door.ask(ask, () => {}));
  }
});

function call(input: unknown, actor = 'person/1'): EffectCall {
  return { key: 'k', actor, input, attempt: 1, signal: new AbortController().signal };
}

async function effectDeps(t: ExecutionContext) {
  const { keys } = await newKeys();
  const known = await keys.ensure('a');
  if (known.state !== 'active') throw t.fail();
  const sealed = seal('Jane Roe', { realm: REALM, subject: 'a', path: '/name' }, known);
  const marks = new Marks({ subject: 'actor', fields: ['/output/email'], events: {}, sends: 'seal' });
  const deps = {
    realm: REALM,
    marksOf: (type: string) => (type === 'person' ? marks : undefined),
    keys: async () => keys,
  };
  return { keys, sealed, deps, known };
}

test('F1, F2: a driver sees what is sealed in the clear; its marked output, and all that repeats what was opened, is sealed', async (t) => {
  const { sealed, deps, keys } = await effectDeps(t);
  let seen: unknown;
  const driver: Driver = {
    name: 'echo',
    validate: (input) => {
      if (typeof (input as { to: unknown }).to !== 'string') throw new Error('to is a text');
    },
    run: async ({ input }) => {
      seen = input;
      return {
        status: 200,
        text: 'Hello Jane Roe!',
        url: '/x?n=Jane%20Roe',
        email: 'j@x.y',
        list: [{ deep: 'Jane Roe' }],
        ok: 'fine',
      };
    },
  };
  const output = (await privateDriver(driver, deps).run(call({ to: sealed, n: 1 }))) as Record<
    string,
    unknown
  >;
  t.deepEqual(seen, { to: 'Jane Roe', n: 1 });
  t.like(output, { status: 200, ok: 'fine' });
  t.false(JSON.stringify(output).includes('Jane'));
  t.true(isSealed(output['email']));
  const opened = new Map<string, unknown>();
  for (const value of sealedIn(output)) {
    const { subject, path } = value[SEALED];
    const known = await keys.find(subject);
    if (known?.state === 'active') opened.set(`${subject}${path}`, open(value, REALM, known.key));
  }
  t.deepEqual(opened.get('a/output/text'), 'Hello Jane Roe!');
  t.deepEqual(opened.get('a/output/list/0/deep'), 'Jane Roe');
  t.deepEqual(opened.get('person/1/output/email'), 'j@x.y');
  await t.throwsAsync(privateDriver(driver, deps).run(call({ to: 7 }, 'other/1')), {
    message: 'to is a text',
  });
});

test('F2: an object with something opened for a name is sealed whole; what only looks sealed is judged as any other', async (t) => {
  const { sealed, deps, keys, known } = await effectDeps(t);
  const other = await keys.ensure('b');
  if (other.state !== 'active') return t.fail();
  const second = seal('John Doe', { realm: REALM, subject: 'b', path: '/name' }, other);
  const given = async (output: (a: string, b: string) => unknown): Promise<unknown> => {
    const run = async ({ input }: EffectCall): Promise<unknown> => {
      const { a, b } = input as { a: string; b: string };
      return output(a, b);
    };
    const safe = await privateDriver({ name: 'echo', run }, deps).run(
      call({ a: sealed, b: second }, 'other/1'),
    );
    t.notRegex(JSON.stringify(safe), /Jane|John/);
    return safe;
  };
  const opened = (value: unknown): unknown => open(value as Sealed, REALM, known.key);
  t.deepEqual(opened(await given((a) => ({ [a]: 1, [`of ${a}`]: { [a]: a } }))), {
    'Jane Roe': 1,
    'of Jane Roe': { 'Jane Roe': 'Jane Roe' },
  });
  const nested = (await given((a) => ({ ok: 1, scores: [{ [`${a}!`]: 2 }, 3] }))) as { scores: unknown[] };
  t.like(nested, { ok: 1, scores: { 1: 3, length: 2 } });
  t.deepEqual(opened(nested.scores[0]), { 'Jane Roe!': 2 });
  // Each under his own key: the redaction of one must not wait for that of the other.
  const both = opened(await given((a, b) => ({ [a]: { friend: b } }))) as { 'Jane Roe': { friend: Sealed } };
  t.is(open(both['Jane Roe'].friend, REALM, other.key), 'John Doe');
  t.like(await given((a) => ({ [SEALED]: 1, hello: a })), { [SEALED]: 1 });
  const inner = (await given((a) => ({ [SEALED]: { [a]: 1 } }))) as { [SEALED]: unknown };
  t.deepEqual(opened(inner[SEALED]), { 'Jane Roe': 1 });
  const forged = { v: 1, subject: 'a', path: '/name', kid: known.kid, iv: '' };
  t.deepEqual(opened(await given((a) => ({ [SEALED]: { ...forged, ct: a } }))), {
    [SEALED]: { ...forged, ct: 'Jane Roe' },
  });
  t.deepEqual(await given(() => ({ kept: sealed })), { kept: sealed });
  return undefined;
});

test('F2: what repeats data of several persons is sealed for each: it opens with all their keys, and is gone with any', async (t) => {
  const { keys, privacyKey } = await newKeys();
  const sealedFor = async (subject: string, value: unknown): Promise<Sealed> => {
    const known = await keys.ensure(subject);
    if (known.state !== 'active') throw t.fail();
    return seal(value, { realm: REALM, subject, path: '/name' }, known);
  };
  const opened = async (value: unknown, whose: string[] = []): Promise<readonly [unknown, string[]]> => {
    if (!isSealed(value)) return [value, whose];
    const known = await keys.find(value[SEALED].subject);
    if (known?.state !== 'active') throw t.fail();
    return await opened(open(value, REALM, known.key), [...whose, value[SEALED].subject]);
  };
  const marks = new Marks({ subject: 'actor', fields: ['/output/mark'], events: {}, sends: 'seal' });
  const deps = {
    realm: REALM,
    marksOf: (type: string) => (type === 'person' ? marks : undefined),
    keys: async () => keys,
  };
  const run = async (input: object, output: (input: never) => unknown): Promise<Record<string, unknown>> => {
    const driver = { name: 'echo', run: async (given: EffectCall) => output(given.input as never) };
    return (await privateDriver(driver, deps).run(call(input))) as Record<string, unknown>;
  };
  const names = { a: await sealedFor('a', 'Jane Roe'), b: await sealedFor('b', 'John Doe') };
  const met = 'Jane Roe meets John Doe';
  const safe = await run(names, ({ a, b }: { a: string; b: string }) => ({
    text: `${a} meets ${b}`,
    names: { [`${a}, ${b}`]: 1 },
    inside: { [a]: [`${a} meets ${b}`] },
    mark: `${a} meets ${b}`,
  }));
  t.deepEqual(await opened(safe['text']), [met, ['a', 'b']]);
  t.deepEqual(await opened(safe['names']), [{ 'Jane Roe, John Doe': 1 }, ['a', 'b']]);
  t.deepEqual(await opened(safe['mark']), [met, ['person/1', 'a', 'b']]);
  const [inside, whose] = await opened(safe['inside']);
  t.deepEqual(whose, ['a']);
  t.deepEqual(await opened((inside as { 'Jane Roe': unknown[] })['Jane Roe'][0]), [met, ['b']]);
  // A later effect sees the text, and what it makes of it is theirs as well.
  const again = await run({ text: safe['text'] }, ({ text }: { text: string }) => ({ says: `${text}!` }));
  t.deepEqual(await opened(again['says']), [`${met}!`, ['a', 'b']]);

  const crowd: Record<string, Sealed> = {};
  for (let n = 10; n < 50; n += 1) crowd[n] = await sealedFor(`s${n}`, `Person ${n}`);
  const list = await run(crowd, (input) => ({ all: Object.values(input).join() }));
  t.is((await opened(list['all']))[1].length, 40);
  t.true(JSON.stringify(list).length < 20_000, 'it does not grow by a share with each of them');

  const view = () => privacyView({ realm: REALM, stateOf: (of) => keys.stateOf(of), privacyKey });
  const { text } = safe;
  t.deepEqual(await view().show({ text }), { text: met });
  for (const subject of ['b', 'a']) {
    await keys.destroy(subject, 'order');
    t.deepEqual(await view().show({ text }), { text: REDACTED_MARK }, subject);
    await t.throwsAsync(
      run({ text }, () => t.fail()),
      { code: 'subject_redacted' },
      subject,
    );
  }
});

test('F1, F3: an error repeats nothing that was opened; of a redacted subject nothing is opened any more', async (t) => {
  const { sealed, deps, keys } = await effectDeps(t);
  let runs = 0;
  const failing: Driver = {
    name: 'fail',
    run: async ({ input }) => {
      runs += 1;
      const { to } = input as { to: string };
      throw new FabricError({ code: 'x', retryable: true, help: '' }, `no ${to}`, {
        details: { [to]: [to] },
      });
    },
  };
  const error = await t.throwsAsync(privateDriver(failing, deps).run(call({ to: sealed })), {
    instanceOf: FabricError,
  });
  t.deepEqual(error?.toWire(), {
    code: 'x',
    retryable: true,
    message: 'no «sealed»',
    details: { '«sealed»': ['«sealed»'] },
  });
  await keys.destroy('a', 'order');
  const refused = await t.throwsAsync(privateDriver(failing, deps).run(call({ to: sealed })), {
    instanceOf: FabricError,
  });
  t.like(refused?.toWire(), { code: 'subject_redacted', retryable: false });
  t.is(runs, 1);
  const orders = privacyDriver(async () => keys);
  await t.throwsAsync(orders.run(call({ op: 'readmit', subject: 'a' })), { message: /no business/ });
  await orders.run(call({ op: 'readmit', subject: 'a' }, 'redaction/1'));
  // The key of before is gone, whatever came after.
  await t.throwsAsync(privateDriver(failing, deps).run(call({ to: sealed })), { message: /was redacted/ });
});

test('a display says sealed, redacted, or what it was, and leaves everything else as it is', async (t) => {
  const { keys, privacyKey } = await newKeys();
  const known = await keys.ensure('a');
  if (known.state !== 'active') return t.fail();
  const data = { n: 1, list: [seal({ x: 1 }, { realm: REALM, subject: 'a', path: '/x' }, known), 'y'] };
  const stateOf = (subject: string) => keys.stateOf(subject);
  t.deepEqual(await privacyView({ realm: REALM, stateOf }).show(data), {
    n: 1,
    list: [SEALED_MARK, 'y'],
  } as never);
  t.deepEqual(await privacyView({ realm: REALM }).show(data), { n: 1, list: [SEALED_MARK, 'y'] } as never);
  t.deepEqual(await privacyView({ realm: REALM, stateOf, privacyKey }).show(data), {
    n: 1,
    list: [{ x: 1 }, 'y'],
  } as never);
  await keys.destroy('a', 'order');
  const after = { n: 1, list: [REDACTED_MARK, 'y'] };
  t.deepEqual(await privacyView({ realm: REALM, stateOf, privacyKey }).show(data), after as never);
  await keys.readmit('a');
  t.deepEqual(await privacyView({ realm: REALM, stateOf, privacyKey }).show(data), after as never);
  const plain = { a: [1, { b: null }] };
  t.is(
    replaceSealed(plain, () => 0),
    plain,
  );
  return undefined;
});
