import test from 'ava';
import fc from 'fast-check';
import { retryDelayMs, retryPolicy } from '#runtime/effects/backoff';
import { type Driver, type EffectCall, terminal } from '#runtime/effects/driver';
import { createEffectHub, type EffectLimits, Effects } from '#runtime/effects/runner';
import type { EffectResult, PendingEffect } from '#runtime/shard/ports';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import { cases } from '../rig/effort.ts';
import { seededRandom, settle, silentLog, VirtualClock } from '../rig/virtual-time.ts';

const kinds = errorKinds({ busy: { retryable: true, help: '' }, broken: { retryable: false, help: '' } });
const forever = () => new Promise<never>(() => undefined);

function rig(
  drivers: Record<string, Driver['run'] | Omit<Driver, 'name'>>,
  limits: Partial<EffectLimits> = {},
) {
  const clock = new VirtualClock();
  const results: EffectResult[] = [];
  const effects = new Effects({
    drivers: Object.entries(drivers).map(([name, d]) =>
      typeof d === 'function' ? { name, run: d } : { name, ...d },
    ),
    clock,
    random: seededRandom(),
    deliver: (result) => results.push(result),
    log: silentLog,
    limits,
  });
  const start = (key: string, driver: string, more: Partial<PendingEffect> = {}) =>
    effects.start({ key, actor: 'counter/k1', driver, ...more });
  return { clock, results, effects, start };
}

function codes(results: readonly EffectResult[]): (string | undefined)[] {
  return results.map((r) => (r.ok ? 'ok' : r.error.code));
}

test('R1: a key is delivered once, however often it is started while it runs, and may be started again after', async (t) => {
  let runs = 0;
  const { start, results, clock } = rig({ d: async () => ++runs });
  for (let i = 0; i < 3; i++) start('k', 'd');
  await clock.advance(0);
  t.deepEqual(results, [{ key: 'k', ok: true, output: 1 }]);
  start('k', 'd');
  await clock.advance(0);
  t.is(results.length, 2);
  t.is(clock.pending, 0, 'no timer is left behind');
});

test('R1: nothing is delivered after a cancel: waiting, running, between attempts, or refused', async (t) => {
  const signals: AbortSignal[] = [];
  const { start, effects, results, clock } = rig(
    {
      slow: async ({ signal }) => {
        signals.push(signal);
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        return 'too late';
      },
      fails: () => Promise.reject(new FabricError(kinds.busy, 'busy')),
    },
    { driverConcurrencyMax: 1 },
  );
  start('running', 'slow');
  start('waiting', 'slow');
  start('pausing', 'fails');
  start('refused', 'nobody');
  effects.cancel('refused');
  await settle();
  t.is(signals.length, 1);
  for (const key of ['running', 'waiting', 'pausing', 'never started']) effects.cancel(key);
  await clock.advance(1_000_000);
  t.true(signals[0]?.aborted);
  t.is(signals.length, 1, 'the waiting one never began');
  t.deepEqual(results, []);
  t.is(effects.pending, 0);
  t.is(clock.pending, 0);
});

test('R1: a key started again after its cancel is not answered by the old call', async (t) => {
  const finish: ((value: string) => void)[] = [];
  const { start, effects, results } = rig({ d: () => new Promise((resolve) => finish.push(resolve)) });
  start('k', 'd');
  await settle();
  effects.cancel('k');
  start('k', 'd');
  await settle();
  finish[0]?.('old');
  await settle();
  t.deepEqual(results, []);
  finish[1]?.('new');
  await settle();
  t.deepEqual(results, [{ key: 'k', ok: true, output: 'new' }]);
});

test('R2: drivers run, and results come, only after start has returned', async (t) => {
  let ran = false;
  const { start, results } = rig({
    d: async () => {
      ran = true;
    },
  });
  start('a', 'd');
  start('b', 'nobody');
  t.false(ran);
  t.deepEqual(results, []);
  await settle();
  t.deepEqual(codes(results).sort(), ['ok', 'unknown_driver']);
});

test('R3: hostile drivers reach only their own effect', async (t) => {
  const cyclic: Record<string, unknown> = {};
  Object.assign(cyclic, { self: cyclic });
  let wide: unknown = 'x';
  for (let i = 0; i < 60; i++) wide = [wide, wide];
  const retry = { attempts: 1 };
  const { start, results, clock, effects } = rig(
    {
      good: async ({ input }) => input,
      throwsNow: () => {
        throw new Error('now');
      },
      never: forever,
      twice: () =>
        new Promise((resolve, reject) => {
          resolve(1);
          reject(new Error('and again'));
        }),
      notAPromise: (() => 7) as unknown as Driver['run'],
      thenThrows: () =>
        ({
          // biome-ignore lint/suspicious/noThenProperty: a hostile thenable is the point
          then: () => {
            throw new Error('then');
          },
        }) as unknown as Promise<unknown>,
      cyclic: async () => cyclic,
      wide: async () => wide,
      big: async () => 'x'.repeat(2_000),
      sparse: async () => new Array(4_000_000_000),
      func: async () => ({ f: () => 1 }),
      date: async () => new Date(0),
      getter: async () => ({
        get x() {
          throw new Error('no');
        },
      }),
      nothing: () => Promise.reject(undefined),
      unreadable: () =>
        Promise.reject({
          toString: () => {
            throw new Error('no');
          },
        }),
      badInput: {
        validate: () => {
          throw new Error('n is missing');
        },
        run: async () => t.fail('ran'),
      },
    },
    { outputBytesMax: 1_000, timeoutMs: 50 },
  );
  const drivers = [
    'throwsNow',
    'never',
    'twice',
    'notAPromise',
    'thenThrows',
    'cyclic',
    'wide',
    'big',
    'sparse',
    'func',
    'date',
    'getter',
    'nothing',
    'unreadable',
    'badInput',
  ];
  for (const d of drivers) start(d, d, { retry });
  start('good', 'good', { input: { n: 1, s: 'ö', list: [1, null], bytes: Uint8Array.of(1) } });
  await clock.advance(100);
  const byKey = Object.fromEntries(results.map((r) => [r.key, r.ok ? 'ok' : r.error.code]));
  t.deepEqual(byKey, {
    good: 'ok',
    throwsNow: 'driver_error',
    never: 'effect_timeout',
    twice: 'ok',
    notAPromise: 'ok',
    thenThrows: 'driver_error',
    cyclic: 'effect_output_not_plain',
    wide: 'effect_output_too_big',
    big: 'effect_output_too_big',
    sparse: 'effect_output_too_big',
    func: 'effect_output_not_plain',
    date: 'effect_output_not_plain',
    getter: 'effect_output_not_plain',
    nothing: 'driver_error',
    unreadable: 'driver_error',
    badInput: 'effect_bad_input',
  });
  t.is(results.length, drivers.length + 1, 'each once');
  t.is(effects.pending, 0);
});

test('R3: an output is what the log gives back: whole characters, and no negative zero', async (t) => {
  const { start, results } = rig({
    d: async () => ({ 'k\ud83d': ['cut \ud83d', -0, { n: -0 }], undef: undefined }),
  });
  start('k', 'd');
  await settle();
  t.deepEqual(results, [{ key: 'k', ok: true, output: { 'k\ufffd': ['cut \ufffd', 0, { n: 0 }] } }]);
});

test('R3: what a driver changes in its output later changes nothing', async (t) => {
  const output = { list: [1] };
  const { start, results } = rig({ d: async () => output });
  start('k', 'd');
  await settle();
  output.list.push(2);
  t.deepEqual(results, [{ key: 'k', ok: true, output: { list: [1] } }]);
});

test('R4: the policy of the effect stands before the driver’s, and that before the default', (t) => {
  t.like(retryPolicy({ attempts: 2 }, { attempts: 9, factor: 3 }), {
    attempts: 2,
    factor: 3,
    firstDelayMs: 200,
  });
  t.like(retryPolicy({ attempts: Number.POSITIVE_INFINITY, jitter: -1, factor: Number.NaN }), {
    attempts: 1_000,
    jitter: 0,
    factor: 2,
  });
});

test('R4: retryable errors are tried up to the limit, terminal ones never again', async (t) => {
  const attempts: Record<string, number> = {};
  const failing = (error: () => unknown) => async (call: EffectCall) => {
    attempts[call.key] = call.attempt;
    throw error();
  };
  const { start, results, clock } = rig({
    busy: { retry: { attempts: 3 }, run: failing(() => new FabricError(kinds.busy, 'busy')) },
    plain: { retry: { attempts: 3 }, run: failing(() => new Error('plain')) },
    broken: failing(() => new FabricError(kinds.broken, 'broken')),
    final: failing(() => terminal(new Error('paid already'))),
  });
  for (const d of ['busy', 'plain', 'broken', 'final']) start(d, d);
  start('busy4', 'busy', { retry: { attempts: 4 } });
  await clock.advance(600_000);
  t.deepEqual(attempts, { busy: 3, plain: 3, broken: 1, final: 1, busy4: 4 });
  t.deepEqual(codes(results).sort(), ['broken', 'busy', 'busy', 'driver_error', 'effect_failed']);
  t.like(
    results.find((r) => r.key === 'busy4'),
    { error: { message: 'busy', details: { attempts: 4 } } },
  );
});

test('R4: a second attempt may succeed, waits its time, and not less than the other side asked for', async (t) => {
  const at: number[] = [];
  const { start, results, clock } = rig({
    d: async ({ attempt }) => {
      at.push(clock.now());
      if (attempt < 3) {
        const details = attempt === 2 ? { retryAfterMs: 5_000 } : {};
        throw new FabricError(kinds.busy, 'busy', { details });
      }
      return 'done';
    },
  });
  start('k', 'd', { retry: { firstDelayMs: 100, jitter: 0 } });
  await clock.advance(10_000);
  t.deepEqual(results, [{ key: 'k', ok: true, output: 'done' }]);
  t.deepEqual([(at[1] ?? 0) - (at[0] ?? 0), (at[2] ?? 0) - (at[1] ?? 0)], [100, 5_000]);
});

test('R4: pauses grow, stay within the policy and lose at most the share that is random', (t) => {
  const policy = fc.record({
    attempts: fc.integer({ min: 1, max: 100 }),
    firstDelayMs: fc.integer({ min: 0, max: 100_000 }),
    maxDelayMs: fc.integer({ min: 0, max: 1_000_000 }),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(policy, fc.integer({ min: 1, max: 1_000 }), random, (p, attempt, r) => {
      const whole = retryDelayMs(p, attempt, 0);
      const delay = retryDelayMs(p, attempt, r);
      t.true(whole <= p.maxDelayMs && Number.isInteger(delay));
      t.true(delay <= whole && delay >= Math.floor(whole * (1 - p.jitter)) - 1);
      t.true(retryDelayMs(p, attempt + 1, 0) >= whole);
    }),
    { numRuns: cases(300, 80) },
  );
});

test('R5: attempts at a time are bounded per driver and in all, and a pause holds no slot', async (t) => {
  const now = { a: 0, b: 0 };
  const most = { a: 0, b: 0, all: 0 };
  const work = (name: 'a' | 'b') => async () => {
    now[name]++;
    most[name] = Math.max(most[name], now[name]);
    most.all = Math.max(most.all, now.a + now.b);
    await new Promise<void>((resolve) => clock.setTimer(resolve, 10));
    now[name]--;
  };
  const { start, results, clock } = rig(
    { a: { concurrencyMax: 2, run: work('a') }, b: work('b') },
    { concurrencyMax: 5 },
  );
  for (let i = 0; i < 40; i++) start(`${i}`, i % 2 === 0 ? 'a' : 'b', { actor: `counter/k${i % 7}` });
  await clock.advance(1_000);
  t.like(most, { a: 2, all: 5 });
  t.is(results.length, 40);
  t.true(results.every((r) => r.ok));
});

test('R5: effects beyond the bound, and those of a driver that never stops, are answered with an error', async (t) => {
  const full = rig({ never: forever }, { pendingMax: 2 });
  for (const key of ['1', '2', '3']) full.start(key, 'never');
  await settle();
  t.deepEqual(codes(full.results), ['effect_overloaded']);

  const stuck = rig({ never: forever, good: async () => 1 }, { abandonedMax: 2, timeoutMs: 10 });
  for (const key of ['1', '2']) stuck.start(key, 'never', { retry: { attempts: 1 } });
  await stuck.clock.advance(20);
  stuck.start('3', 'never');
  stuck.start('4', 'good');
  await settle();
  t.deepEqual(codes(stuck.results), ['effect_timeout', 'effect_timeout', 'driver_stuck', 'ok']);
});

test('R6: an actor and a driver with thousands of effects do not hold up the others', async (t) => {
  const order: string[] = [];
  const note = async ({ key }: EffectCall) => {
    order.push(key);
    await new Promise<void>((resolve) => clock.setTimer(resolve, 1));
  };
  const { start, clock } = rig({ a: note, b: note }, { concurrencyMax: 1 });
  for (let i = 0; i < 1_000; i++) start(`greedy${i}`, 'a', { actor: 'counter/greedy' });
  start('modest', 'a', { actor: 'counter/modest' });
  start('other', 'b');
  await clock.advance(10);
  t.true(order.indexOf('modest') >= 0 && order.indexOf('modest') < 6, order.join());
  t.true(order.indexOf('other') >= 0 && order.indexOf('other') < 6, order.join());
});

test('close stops everything, waits for drivers that stop, and no longer than its grace for the others', async (t) => {
  let stopped = false;
  const polite = rig({
    d: ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          stopped = true;
          reject(signal.reason);
        });
      }),
  });
  polite.start('k', 'd');
  await settle();
  await polite.effects.close();
  t.true(stopped);
  t.deepEqual(polite.results, []);
  polite.start('later', 'd');
  await settle();
  t.deepEqual(polite.results, []);

  const rude = rig({ d: forever }, { closeGraceMs: 100 });
  rude.start('k', 'd');
  await settle();
  const closing = rude.effects.close();
  await rude.clock.advance(100);
  await closing;
  t.is(rude.clock.pending, 0);
});

test('R8: the runners of a hub share its bounds, and closing one leaves the others alone', async (t) => {
  const clock = new VirtualClock();
  let now = 0;
  let most = 0;
  const hub = createEffectHub({
    drivers: [
      {
        name: 'one',
        concurrencyMax: 1,
        run: async ({ key }) => {
          most = Math.max(most, ++now);
          await new Promise<void>((resolve) => clock.setTimer(resolve, 10));
          now--;
          return key;
        },
      },
    ],
    clock,
    random: seededRandom(),
    log: silentLog,
  });
  const heard: EffectResult[][] = [[], [], []];
  const [a, b, c] = heard.map((results) => hub.runner((result) => results.push(result)));
  for (const runner of [a, b, c]) {
    for (const n of [1, 2]) runner?.start({ key: `${n}`, actor: 'counter/k1', driver: 'one' });
  }
  await settle();
  const closing = b?.close();
  await clock.advance(100);
  await closing;
  t.is(most, 1);
  t.deepEqual(
    heard.map((results) => results.length),
    [2, 0, 2],
  );
  t.is(clock.pending, 0);
});
