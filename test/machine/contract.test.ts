import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { decode, encode } from 'msgpackr';
import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  assign,
  enqueueActions,
  fromCallback,
  fromPromise,
  fromTransition,
  initialTransition,
  not,
  raise,
  sendParent,
  setup,
  transition,
} from 'xstate';
import { counter } from '#machines/counter';
import { loadMachineModule } from '#runtime/machine/module';
import { createRegistry } from '#runtime/machine/registry';
import type { EventData, LiveState, MachineAction, Step, StepContext } from '#runtime/machine/types';
import type { FabricError } from '#schemas/fabric-error';
import { effectInput, invocation, kernelActions, moment } from '#schemas/machine-kit';
import { EVENT_TYPES, randomMachine, randomShape } from '../rig/random-machines.ts';
import { isEveryday } from '../rig/tier.ts';

const RUNS = isEveryday ? 100 : 400;

const at = (self: string): StepContext => ({ self: `random/${self}`, at: 7 });

interface Move {
  readonly actor: number;
  readonly event: EventData;
  readonly restore: boolean;
}

const event: fc.Arbitrary<EventData> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...EVENT_TYPES).map((type) => ({ type })) },
  fc.nat(8).map((n) => ({ type: `xstate.done.actor.call-n${n}`, output: n, actorId: `call-n${n}` })),
  fc
    .nat(8)
    .map((n) => ({ type: `xstate.error.actor.call-n${n}`, error: { code: 'no' }, actorId: `call-n${n}` })),
  fc.nat(8).map((n) => ({ type: `xstate.after.50.n${n}` })),
);
const moves: fc.Arbitrary<Move[]> = fc.array(fc.record({ actor: fc.nat(2), event, restore: fc.boolean() }), {
  minLength: 5,
  maxLength: 25,
});

test('the host steps like XState, actors share nothing, and a restored state has the same future (H1-H4)', (t) => {
  let machines = 0;
  fc.assert(
    fc.property(randomShape, moves, (made, sequence) => {
      const machine = randomMachine(made);
      const host = createRegistry(['http']).define({ name: 'random', version: 1, machine });
      const first = attempt(() => initial(machine));
      if (!('threw' in first) && first.value[0].status === 'active') machines++;
      const states: (LiveState | undefined)[] = [];
      const models: (AnyMachineSnapshot | undefined)[] = [];
      for (const i of [0, 1, 2]) {
        const mine = attempt(() => host.initial(undefined, at(String(i))));
        same(first, mine, `random/${i}`);
        states.push('threw' in mine ? undefined : mine.value.state);
        models.push('threw' in first ? undefined : first.value[0]);
      }
      for (const { actor, event: sent, restore } of sequence) {
        const state = states[actor];
        const model = models[actor];
        if (state === undefined || model === undefined || state.status !== 'active') continue;
        const before = encode(host.persist(state));
        const used = restore ? host.restore(decode(before)) : state;
        if (restore && !encode(host.persist(used)).equals(before))
          throw new Error('persisted twice, it differs');
        const wanted = attempt(() => transition(machine, model as never, sent as never) as never as Result);
        const mine = attempt(() => host.step(used, sent, at(String(actor))));
        same(wanted, mine, `random/${actor}`);
        if (!encode(host.persist(state)).equals(before)) throw new Error('the given state was changed');
        if (!('threw' in mine) && !('threw' in wanted)) {
          states[actor] = mine.value.state;
          models[actor] = wanted.value[0];
        }
      }
    }),
    { numRuns: RUNS },
  );
  t.true(machines >= RUNS / 2, `only ${machines} machines came to life`);
});

type Result = [AnyMachineSnapshot, { type: string; params: unknown }[]];

/** XState keeps a throw of the start in the snapshot; the host lets it out. */
function initial(machine: AnyStateMachine): Result {
  const result = initialTransition(machine) as never as Result;
  if (result[0].status === 'error') throw result[0].error;
  return result;
}

function attempt<T>(run: () => T): { value: T } | { threw: string } {
  try {
    return { value: run() };
  } catch (thrown) {
    return { threw: String(thrown) };
  }
}

function same(
  wanted: ReturnType<typeof attempt<Result>>,
  mine: ReturnType<typeof attempt<Step>>,
  self: string,
): void {
  const left = 'threw' in wanted ? wanted : model(wanted.value, self);
  const right = 'threw' in mine ? mine : seen(mine.value);
  if (!isDeepStrictEqual(left, right)) {
    throw new Error(`XState:\n${JSON.stringify(left, null, 1)}\nhost:\n${JSON.stringify(right, null, 1)}`);
  }
}

function seen({ state, actions }: Step) {
  const { status, value, context, output, error } = state;
  const { children } = state.raw as AnyMachineSnapshot;
  return {
    status,
    value,
    context,
    output,
    error,
    children: Object.keys(children),
    actions: actions.map(line),
  };
}

function line(action: MachineAction): string {
  const { kind, ...rest } = action as { kind: string; id?: string };
  // XState gives no id where the machine gives none.
  if (kind === 'timer' && rest.id?.startsWith('timer.')) delete rest.id;
  return JSON.stringify({ kind, ...rest }, keysSorted);
}

function keysSorted(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What XState's own resolved actions mean, said independently of the host. */
function model([snapshot, actions]: Result, self: string) {
  const { status, value, context, output, error, children } = snapshot;
  const lines = actions.flatMap(({ type, params }) => {
    // biome-ignore lint/suspicious/noExplicitAny: XState leaves the params of its actions untyped
    const p = params as any;
    const meaning = {
      'xstate.raise': () =>
        p.delay === undefined ? undefined : { kind: 'timer', id: p.id, event: p.event, delayMs: p.delay },
      'xstate.cancel': () => ({ kind: 'cancel', id: p.sendId }),
      'xstate.emit': () => ({ kind: 'emit', event: p.event }),
      'xstate.log': () => ({ kind: 'log', message: p.value, severity: 'INFO' }),
      'xstate.stopChild': () => (p === undefined ? undefined : { kind: 'stopChild', childId: p.id }),
      'xstate.spawnChild': () =>
        p.src === 'http'
          ? { kind: 'invoke', childId: p.id, driver: 'http', input: p.input }
          : { kind: 'spawn', childId: p.id, machine: 'random/kid@1', input: p.input },
      'xstate.sendTo': () => {
        if (p.event.type === 'c') return { kind: 'send', to: self, event: p.event };
        return { kind: 'sendChild', childId: 'kid', event: p.event };
      },
      reply: () => ({ kind: 'reply', body: p }),
    }[type];
    const action = meaning?.();
    return action === undefined ? [] : [line(action as never)];
  });
  return { status, value, context, output, error, children: Object.keys(children), actions: lines };
}

let count = 0;
const counted = (): number => count++;

const refused: readonly [string, string, () => unknown][] = [
  [
    'spawning inside assign',
    'spawnChild',
    () => on(assign({ n: ({ spawn }: { spawn: (src: string) => unknown }) => spawn('kid') })),
  ],
  ['an inline function action', 'inline function', () => on(() => {})],
  ['an action nobody carries out', 'nothing carries out', () => on('dance')],
  ['an undeclared guard', 'guard "maybe"', () => ({ on: { go: { guard: 'maybe' } } })],
  ['an undeclared delay', 'delay "soon"', () => ({ after: { soon: {} } })],
  ['an undeclared actor', 'actor "ghost"', () => ({ invoke: { src: 'ghost' } })],
  ['systemId', 'systemId', () => ({ invoke: { src: 'http', systemId: 'x' } })],
  ['inline logic', 'inline logic', () => ({ invoke: { src: fromPromise(() => Promise.resolve(1)) } })],
  ['a clock in the context', 'Date.now', () => ({ context: () => ({ at: Date.now() }) })],
  ['a context that differs each time', 'each time', () => ({ context: () => ({ at: counted() }) })],
  [
    'a clock in an assign',
    'its assign uses Date.now, so a replay would differ; take the time from moment(system).at',
    () => on(assign({ at: () => Date.now() })),
  ],
  ['a clock as an assign', 'uses Date.now', () => on(assign({ at: Date.now }))],
  [
    'a clock in a whole assign',
    'uses new Date()',
    () => on(assign(() => ({ at: new Date().toISOString() }))),
  ],
  [
    'chance in a guard',
    'its guard uses Math.random',
    () => ({ on: { go: { guard: () => Math.random() < 0.5 } } }),
  ],
  [
    'chance in a guard of a guard',
    'Math.random',
    () => ({ on: { go: { guard: not(() => Math.random() < 0.5) } } }),
  ],
  [
    'the environment in params',
    'its params uses process.env',
    () => on({ type: 'reply', params: () => ({ home: process.env['HOME'] }) }),
  ],
  [
    'a fetch in enqueueActions',
    'uses fetch',
    () => on(enqueueActions(() => void fetch('http://localhost').catch(() => {}))),
  ],
  [
    'an id made in an input',
    'its input uses crypto.randomUUID',
    () => ({ invoke: { src: 'http', input: () => ({ id: crypto.randomUUID() }) } }),
  ],
  [
    'a clock in an output',
    'its output uses performance.now',
    () => ({ type: 'final', output: () => performance.now() }),
  ],
  [
    'chance in a delay',
    'its delay uses Math.random',
    () => on(raise({ type: 'x' }, { delay: () => Math.random() })),
  ],
  ['a function in the context', 'context.f is a function', () => ({ context: { f: () => 1 } })],
  ['a Map in the context', 'context.m is a Map', () => ({ context: { m: new Map() } })],
  [
    'a class instance in the context',
    'context.d.u is a URL',
    () => ({ context: { d: { u: new URL('if://a/b') } } }),
  ],
];

for (const [what, why, config] of refused) {
  test(`${what} is refused at load, with the machine, the state and the reason`, (t) => {
    const machine = setup({}).createMachine({
      initial: 'here',
      states: { here: config() as object },
      ...top(config()),
    } as never);
    const error = t.throws(() =>
      createRegistry(['http']).define({ name: 'bad', version: 1, machine: machine as never }),
    ) as FabricError;
    t.is(error.code, 'bad_machine');
    t.regex(error.message, /^Machine bad, state (here|\(context\)): /);
    t.true(error.message.includes(why), error.message);
  });
}

function on(action: unknown): object {
  return { on: { go: { actions: action } } };
}

/** The context belongs to the machine, not to a state. */
function top(config: unknown): object {
  const { context } = config as { context?: unknown };
  return context === undefined ? {} : { context };
}

test('what a machine declares is checked like what it says inline, and pure code that looks alike is taken', (t) => {
  const define = (machine: unknown) =>
    createRegistry(['http']).define({ name: 'bad', version: 1, machine: machine as never });
  const declared: Record<string, object> = {
    'action mark': { actions: { mark: assign({ at: () => Date.now() }) } },
    'guard maybe': { guards: { maybe: () => Math.random() < 0.5 } },
    'delay soon': { delays: { soon: () => Date.now() } },
  };
  for (const [where, parts] of Object.entries(declared)) {
    t.throws(() => define(setup(parts as never).createMachine({})), {
      message: new RegExp(`^Machine bad, state \\(${where}\\): its `),
    });
  }
  const alike = assign(({ context, event }) => {
    // Date.now() and Math.random() in a comment
    const process = context as { readonly Date: { now: number }; readonly id: string };
    const at = new Date((event as unknown as { at: number }).at).toISOString();
    return { at, id: process.id, seen: process.Date.now, why: 'not Date.now()' };
  });
  t.notThrows(() =>
    define(setup({}).createMachine({ context: {}, on: { go: { actions: alike as never } } })),
  );
});

test('callbacks, transition functions, and invocations without a driver are refused at load', (t) => {
  for (const logic of [
    fromCallback(() => {}),
    fromTransition((s: number) => s, 0),
    fromPromise(() => Promise.resolve(1)),
  ]) {
    const machine = setup({ actors: { odd: logic as never } }).createMachine({});
    t.is(
      (
        t.throws(() =>
          createRegistry().define({ name: 'bad', version: 1, machine: machine as never }),
        ) as FabricError
      ).code,
      'bad_machine',
    );
  }
  t.throws(() => createRegistry().define({ ...counter, version: 0 }), { message: /version/ });
});

test('kernel actions, effects and the moment reach the kernel as data', (t) => {
  const machine = setup({ actions: { ...kernelActions } }).createMachine({
    context: {},
    on: {
      go: {
        actions: [
          assign(({ system }) => ({ at: moment(system).at })),
          { type: 'send', params: { to: 'a/b', event: { type: 'x' }, delay: 5, id: 'i' } },
          sendParent({ type: 'up' }),
          { type: 'migrate', params: { to: 'a/b', machine: 'm@2' } },
          { type: 'http' as never, params: effectInput({ url: '/' }, { timeoutMs: 9 }) as never },
        ],
      },
      end: { actions: { type: 'fail', params: { error: 'tired' } } },
    },
  });
  const host = createRegistry(['http']).define({ name: 'm', version: 1, machine: machine as never });
  const { state, actions } = host.step(host.initial(undefined, at('x')).state, { type: 'go' }, at('x'));
  t.deepEqual(state.context, { at: 7 });
  t.deepEqual(actions, [
    { kind: 'send', to: 'a/b', event: { type: 'x' }, delayMs: 5, id: 'i' },
    { kind: 'sendParent', event: { type: 'up' } },
    { kind: 'migrate', to: 'a/b', machine: 'm@2' },
    { kind: 'effect', driver: 'http', input: { url: '/' }, timeoutMs: 9 },
  ]);
  const ended = host.step(state, { type: 'end' }, at('x')).state;
  t.is(ended.status, 'error');
  t.is(ended.error, 'tired');
});

test('versions live side by side, and data moves along declared migrations only', (t) => {
  const registry = createRegistry();
  registry.define(counter);
  registry.define({
    name: 'counter',
    version: 2,
    machine: counter.machine,
    migrate: (data) => ({ ...(data as object), two: true }),
  });
  t.is(registry.machine('counter').version, 2);
  t.is(registry.byRef('counter@1').version, 1);
  t.deepEqual(registry.migrate('counter', 1, 2, { a: 1 }), { a: 1, two: true });
  t.throws(() => registry.migrate('counter', 2, 1, {}), { code: 'no_migration' });
  t.throws(() => registry.byRef('counter@9'), { code: 'unknown_machine' });
});

test('the counter refuses an amount that is not a number, and stays as it was', (t) => {
  const host = createRegistry().define(counter);
  const { state } = host.initial(undefined, at('c'));
  t.throws(() => host.step(state, { type: 'add', by: '3' }, at('c')), { code: 'bad_amount' });
  t.deepEqual(host.step(state, { type: 'add', by: 3 }, at('c')).actions, [{ kind: 'reply', body: { n: 3 } }]);
});

test('an invocation ends by its result after a restore too, and one that is left is stopped', (t) => {
  const machine = setup({ actors: { http: invocation<number, { url: string }>() } }).createMachine({
    context: {},
    initial: 'calling',
    states: {
      calling: {
        invoke: { id: 'call', src: 'http', input: { url: '/' }, onDone: 'done', onError: 'failed' },
        on: { leave: 'left' },
      },
      done: {},
      failed: {},
      left: {},
    },
  });
  const host = createRegistry(['http']).define({ name: 'm', version: 1, machine: machine as never });
  const begun = host.initial(undefined, at('x'));
  t.deepEqual(begun.actions, [{ kind: 'invoke', childId: 'call', driver: 'http', input: { url: '/' } }]);
  const stored = host.persist(begun.state);
  t.deepEqual(stored, { value: 'calling', context: {}, children: { call: 'http' } });
  const after = (type: string) => host.step(host.restore(stored), { type, output: 1, error: 'no' }, at('x'));
  t.is(after('xstate.done.actor.call').state.value, 'done');
  t.is(after('xstate.error.actor.call').state.value, 'failed');
  const left = after('leave');
  t.deepEqual(left.actions, [{ kind: 'stopChild', childId: 'call' }]);
  t.deepEqual(host.persist(left.state), { value: 'left', context: {} });
});

test('a machine module that cannot be used says which part of its name is wrong', async (t) => {
  const base = resolve(import.meta.dirname, '../../machines');
  t.is((await loadMachineModule('./counter.ts#counter', base)).at(-1)?.version, 1);
  const message = async (specifier: string) =>
    (await t.throwsAsync(loadMachineModule(specifier, base))).message;
  t.regex(await message('./counter.ts'), /names no export/);
  t.regex(await message('./absent.ts#counter'), /no such file/);
  t.regex(await message('./counter.ts#missing'), /exports .*counter.*, not missing/);
  t.regex(await message('./counter.ts#counterErrors'), /neither a machine/);
});
