/** Only what the log gives back as it went in becomes a part of a state, or is told to others (S2, C2). */
import test from 'ava';
import fc from 'fast-check';
import { assign, emit, setup } from 'xstate';
import { decode, encode } from '#runtime/bus/codec';
import { contextProblem, storageProblem } from '#runtime/shard/storable';
import { testRealm } from '#runtime/testing/testing';
import { invocation, kernelActions } from '#schemas/machine-kit';
import { cases } from '../rig/effort.ts';

class Point {
  x = 1;
}
const UNSTORABLE: Readonly<Record<string, () => unknown>> = {
  Map: () => new Map([['a', 1]]),
  Set: () => new Set([1]),
  Date: () => new Date(0),
  RegExp: () => /x/,
  Error: () => new Error('x'),
  Point: () => new Point(),
  Buffer: () => Buffer.from('x'),
  function: () => () => 1,
  symbol: () => Symbol('x'),
  'above 64 bits': () => 2n ** 80n,
  cycle: () => {
    const self: { self?: unknown } = {};
    self.self = self;
    return self;
  },
  prototype: () => JSON.parse('{"__proto__":1}'),
};

type Order = { readonly type: string; readonly what: string };
const make = (what: string): unknown => UNSTORABLE[what]?.();

/** Puts something on demand where it does not belong. */
const odd = setup({
  types: {} as { context: { kept: unknown; heard: unknown[] }; events: Order },
  actions: { ...kernelActions },
}).createMachine({
  id: 'odd',
  version: '1',
  context: { kept: null, heard: [] },
  on: {
    keep: { actions: assign({ kept: ({ event }) => ({ deep: [make(event.what)] }) }) },
    reply: { actions: { type: 'reply', params: ({ event }) => ({ it: make(event.what) }) } },
    post: {
      actions: {
        type: 'send',
        params: ({ event }) => ({ to: 'odd/b', event: { type: 'hear', it: make(event.what) } }),
      },
    },
    half: {
      actions: [
        assign({ kept: () => ['cut \ud83d', -0, Number.NaN] }),
        { type: 'send', params: { to: 'odd/b', event: { type: 'hear', it: ['cut \ud83d', -0] } } },
      ],
    },
    join: {
      actions: assign({
        kept: ({ context }) => {
          const [text, zero] = context.kept as [string, number];
          return [`${text}\ude00`, 1 / zero];
        },
      }),
    },
    hear: {
      actions: assign({
        heard: ({ context, event }) => [...context.heard, (event as unknown as { it: unknown }).it],
      }),
    },
    dieBig: {
      actions: {
        type: 'fail',
        params: { error: { code: 'x', message: 'y'.repeat(1_200_000), retryable: false } },
      },
    },
    throwBig: {
      actions: assign(() => {
        throw new Error('z'.repeat(1_200_000));
      }),
    },
    dieOdd: {
      actions: { type: 'fail', params: { error: { toString: 1 } } },
    },
    tellNothing: {
      actions: [assign({ heard: ['told'] }), emit(() => undefined as never)],
    },
    throwOdd: {
      actions: assign(() => {
        throw Object.create(null);
      }),
    },
  },
});

test('what cannot be stored is refused where it arises, and the shard comes back from its log (S2)', async (t) => {
  await using realm = await testRealm({ machines: { odd } });
  const code = (type: string, what: string): Promise<string> =>
    realm.ask('odd/a', { type, what }).then(
      () => 'taken',
      (error: { code: string }) => error.code,
    );
  for (const what of Object.keys(UNSTORABLE)) {
    t.is(await code('keep', what), 'not_encodable', what);
    t.is(await code('reply', what), 'bad_action', what);
    t.is(await code('post', what), 'bad_action', what);
  }
  t.is(await code('throwBig', ''), 'machine_threw');
  t.is(await code('throwOdd', ''), 'machine_threw');
  t.is(await code('tellNothing', ''), 'bad_action');
  await realm.ask('odd/c', { type: 'dieOdd' });
  t.like(await realm.actor('odd/c'), { status: 'error' });
  t.is(await code('half', ''), 'taken');
  await realm.idle();
  t.deepEqual((await realm.actor('odd/b')).context, { kept: null, heard: [['cut \ufffd', 0]] });
  t.is(await code('join', ''), 'taken');
  const { context } = await realm.actor('odd/a');
  t.deepEqual(context, { kept: ['cut \ufffd\ufffd', Number.POSITIVE_INFINITY], heard: [] });
  realm.crash();
  await realm.restart();
  t.deepEqual((await realm.actor('odd/a')).context, context);
});

test('what a driver gives or fails with is stepped as the log gives it back (C2)', async (t) => {
  const caller = setup({
    types: {} as { context: { told: string[] }; events: { type: 'call' } },
    actors: { fx: invocation<object, unknown>() },
  }).createMachine({
    id: 'caller',
    version: '1',
    context: { told: [] },
    initial: 'idle',
    states: {
      idle: { on: { call: 'calling' } },
      calling: {
        invoke: {
          src: 'fx',
          input: {},
          onDone: {
            target: 'idle',
            actions: assign({
              told: ({ context, event }) => [...context.told, JSON.stringify(event.output)],
            }),
          },
          onError: {
            target: 'idle',
            actions: assign({
              told: ({ context, event }) => [...context.told, (event.error as { message: string }).message],
            }),
          },
        },
      },
    },
  });
  let calls = 0;
  const fx = async (): Promise<unknown> => {
    calls += 1;
    if (calls === 1) return { text: 'cut \ud83d', zero: -0 };
    throw new Error('broken \ud83d');
  };
  await using realm = await testRealm({ machines: { caller }, drivers: { fx } });
  for (let i = 0; i < 2; i++) {
    await realm.ask('caller/a', { type: 'call' });
    await realm.advance('1m');
  }
  const { context } = await realm.actor('caller/a');
  const told = (context as { told: string[] }).told;
  t.is(told[0], '{"text":"cut \ufffd","zero":0}');
  t.true(told[1]?.includes('broken \ufffd'), told[1]);
  realm.crash();
  await realm.restart();
  t.deepEqual((await realm.actor('caller/a')).context, context);
});

test('an end that is too big for a commit is refused, and the shard goes on (S2)', async (t) => {
  const kid = setup({
    types: {} as { context: { parts: string[] }; events: { type: 'more' } | { type: 'finish' } },
  }).createMachine({
    id: 'kid',
    version: '1',
    context: { parts: [] },
    initial: 'on',
    states: {
      on: {
        on: {
          more: { actions: assign({ parts: ({ context }) => [...context.parts, 'x'.repeat(200_000)] }) },
          finish: 'off',
        },
      },
      off: { type: 'final' },
    },
    output: ({ context }) => context.parts,
  });
  await using realm = await testRealm({ machines: { kid, odd } });
  for (let i = 0; i < 6; i++) await realm.ask('kid/a', { type: 'more' });
  realm.send('kid/a', { type: 'finish' });
  realm.send('odd/a', { type: 'dieBig' });
  await realm.advance('10s');
  t.deepEqual(
    realm.dead().map(({ error }) => error.code),
    ['output_too_big', 'output_too_big'],
  );
  t.is((await realm.actor('kid/a')).status, 'active');
  t.is(realm.node.shard(0).status().phase, 'running');
});

const leaf = fc.oneof(
  fc.constantFrom<unknown>(
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    undefined,
    null,
    '\ud83d',
    'a\udc00b',
    7n,
  ),
  fc.double(),
  fc.string({ unit: 'binary' }),
  fc.uint8Array({ maxLength: 8 }),
);
const tree = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('any'), { maxLength: 5 }),
    fc.sparseArray(tie('any'), { maxNumElements: 4, maxLength: 7 }),
    fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), tie('any'), {
      maxKeys: 5,
      noNullPrototype: true,
    }),
  ),
})).any;

test('a checked value is what storage gives back, byte for byte and part for part (C2)', (t) => {
  fc.assert(
    fc.property(tree, (any) => {
      const context = { any, before: 1 };
      if (contextProblem(context, { before: 1 }) !== undefined) return;
      const bytes = encode(context);
      const back = decode(bytes);
      t.deepEqual(back, context);
      t.deepEqual(encode(back), bytes);
      t.is(storageProblem(back), undefined);
    }),
    { numRuns: cases(500, 150) },
  );
});

test('what a step writes anew is looked at as if nothing had been there before', (t) => {
  const bad = fc.constantFrom(
    ...Object.values(UNSTORABLE).map((of) => of()),
    -0,
    0,
    'cut \ud83d',
    Object,
    Object.prototype,
    undefined,
  );
  const key = fc.constantFrom('a', 'b', 'constructor', '__proto__', 'toString', 'cut \ud83d', 'length');
  const fields = fc.array(fc.tuple(key, fc.oneof(bad, fc.jsonValue())), { maxLength: 4 });
  const own = (all: [string, unknown][]): object => {
    const made = {};
    for (const [name, value] of all)
      Object.defineProperty(made, name, { value, enumerable: true, writable: true, configurable: true });
    return made;
  };
  fc.assert(
    fc.property(fields, fields, (old, fresh) => {
      const before = { row: own(old), rows: [own(old)] };
      if (storageProblem(before) !== undefined) return;
      const make = () => ({ row: own([...old, ...fresh]), rows: [own([...fresh, ...old])] });
      const [one, other] = [make(), make()];
      t.is(contextProblem(one, before), storageProblem(other));
      if (storageProblem(other) === undefined) t.deepEqual(encode(one), encode(other));
    }),
    { numRuns: cases(2_000, 400) },
  );
});
