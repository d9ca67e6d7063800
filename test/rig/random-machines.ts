/** Random machines that use every part of XState which the kernel accepts. */
import fc from 'fast-check';
import {
  type AnyStateMachine,
  assign,
  cancel,
  emit,
  enqueueActions,
  fromPromise,
  log,
  raise,
  sendTo,
  setup,
  spawnChild,
  stopChild,
} from 'xstate';
import { kernelActions } from '#schemas/machine-kit';

export const EVENT_TYPES = ['a', 'b', 'c', 'd'] as const;

interface Shape {
  readonly kind: 'atomic' | 'compound' | 'parallel' | 'final';
  readonly children: readonly Shape[];
  readonly history: 'none' | 'shallow' | 'deep';
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly on: readonly Move[];
  readonly always: readonly Move[];
  readonly after: readonly Move[];
  readonly invoke: boolean;
  readonly done: number | undefined;
}

interface Move {
  readonly event: string;
  readonly to: number | undefined;
  readonly guard: string | undefined;
  readonly reenter: boolean;
  readonly actions: readonly string[];
}

const child = setup({}).createMachine({ id: 'child', initial: 'on', states: { on: {} } });

const world = setup({
  types: {} as { context: { n: number; seen: string[] }; input: { n: number } | undefined },
  actors: { http: fromPromise(() => Promise.resolve(1)), kid: child },
  delays: { slow: ({ context }) => 1_000 + context.n },
  guards: {
    even: ({ context }) => context.n % 2 === 0,
    small: ({ context }) => context.n < 6,
    fragile: ({ context }) => {
      if (context.n === 13) throw new Error('a guard threw');
      return true;
    },
  },
  actions: {
    ...kernelActions,
    inc: assign({ n: ({ context }) => context.n + 1 }),
    seen: assign({ seen: ({ context, event }) => [...context.seen.slice(-5), event.type] }),
    fragileAssign: assign(({ context }) => {
      if (context.n === 9) throw new Error('an assign threw');
      return { n: context.n + 2 };
    }),
    raiseB: raise({ type: 'b' }),
    raiseLate: raise({ type: 'c' }, { delay: 'slow', id: 'late' }),
    raiseUnnamed: raise({ type: 'd' }, { delay: 5 }),
    cancelLate: cancel('late'),
    emitted: emit(({ context }) => ({ type: 'counted', n: context.n })),
    logged: log(({ context }) => context.n),
    toSelf: sendTo(({ self }) => self, { type: 'c' }),
    spawnKid: spawnChild('kid', { id: 'kid' }),
    toKid: sendTo('kid', { type: 'hello' }),
    stopKid: stopChild('kid'),
    queued: enqueueActions(({ enqueue, check }) => {
      if (check(({ context }) => context.n % 2 === 0)) enqueue.assign({ n: ({ context }) => context.n + 3 });
      enqueue.emit({ type: 'queued' });
      enqueue.raise({ type: 'd' });
    }),
  },
});

const ACTIONS = [
  'inc',
  'inc',
  'seen',
  'fragileAssign',
  'raiseB',
  'raiseLate',
  'raiseUnnamed',
  'cancelLate',
  'emitted',
  'logged',
  'toSelf',
  'spawnKid',
  'toKid',
  'stopKid',
  'queued',
  'answer',
];

const actions = fc.array(fc.constantFrom(...ACTIONS), { maxLength: 3 });
/** Rarely throws or loops, so that most machines come to life. */
const CALM = ACTIONS.filter((name) => !['toKid', 'raiseB', 'queued', 'fragileAssign'].includes(name));
const calm = fc.array(fc.constantFrom(...CALM), { maxLength: 3 });
const move: fc.Arbitrary<Move> = fc.record({
  event: fc.constantFrom(...EVENT_TYPES),
  to: fc.option(fc.nat(40), { nil: undefined, freq: 4 }),
  guard: fc.option(fc.constantFrom('even', 'small', 'fragile'), { nil: undefined }),
  reenter: fc.boolean(),
  actions,
});

function shapeOf(depth: number): fc.Arbitrary<Shape> {
  return fc.record({
    kind: fc.constantFrom(...(['atomic', 'compound', 'compound', 'parallel', 'final'] as const)),
    children: depth === 0 ? fc.constant([]) : fc.array(shapeOf(depth - 1), { minLength: 1, maxLength: 3 }),
    history: fc.constantFrom(...(['none', 'shallow', 'deep'] as const)),
    entry: calm,
    exit: calm,
    on: fc.array(move, { maxLength: 4 }),
    always: fc.array(move, { maxLength: 1 }),
    after: fc.array(move, { maxLength: 1 }),
    invoke: fc.boolean(),
    done: fc.option(fc.nat(40), { nil: undefined }),
  });
}

const DEPTH = 2;
const shape = shapeOf(DEPTH);

/** What a random machine is made of; `build` makes it, so that a counterexample prints short. */
export const randomShape = fc.record({ root: fc.tuple(shape, shape, shape), parallel: fc.boolean() });

export function randomMachine({
  root,
  parallel,
}: {
  root: readonly Shape[];
  parallel: boolean;
}): AnyStateMachine {
  return build(root, parallel);
}

function build(shapes: readonly Shape[], parallel: boolean): AnyStateMachine {
  const ids: string[] = [];
  const states: Record<string, { id?: string; [key: string]: unknown }> = {};
  const later: (() => void)[] = [];
  for (const [i, each] of shapes.entries()) states[`s${i}`] = stateOf(each, DEPTH, ids, later);
  for (const link of later) link();
  return world.createMachine({
    id: 'random',
    version: '1',
    options: { maxIterations: 30 },
    context: { n: 0, seen: [] },
    output: ({ context }: { context: { n: number } }) => context.n,
    states,
    ...(parallel ? { type: 'parallel' } : { initial: 's0' }),
  } as never) as unknown as AnyStateMachine;
}

function stateOf(shape: Shape, depth: number, ids: string[], later: (() => void)[]) {
  const id = `n${ids.length}`;
  ids.push(id);
  const kind = depth === 0 && shape.kind !== 'final' ? 'atomic' : shape.kind;
  const config: { id: string; [key: string]: unknown } = {
    id,
    entry: named(shape.entry),
    exit: named(shape.exit),
  };
  if (kind === 'final') {
    config['type'] = 'final';
    return config;
  }
  if (kind !== 'atomic') {
    const states: Record<string, unknown> = {};
    for (const [i, each] of shape.children.entries()) states[`s${i}`] = stateOf(each, depth - 1, ids, later);
    if (shape.history !== 'none') {
      states['past'] = { id: `${id}past`, type: 'history', history: shape.history };
      ids.push(`${id}past`);
    }
    config['states'] = states;
    if (kind === 'parallel') config['type'] = 'parallel';
    else config['initial'] = 's0';
  }
  later.push(() => {
    const link = ({ to, guard, reenter, actions }: Move) => ({
      ...(to !== undefined && { target: `#${ids[to % ids.length]}` }),
      ...(guard !== undefined && { guard }),
      reenter,
      actions: named(actions),
    });
    config['on'] = Object.fromEntries(shape.on.map((each) => [each.event, link(each)]));
    config['always'] = shape.always.map((each) =>
      link({
        ...each,
        guard: 'small',
        actions: ['inc', ...each.actions.filter((name) => CALM.includes(name))],
      }),
    );
    config['after'] = Object.fromEntries(
      shape.after.map((each) => [each.event === 'a' ? 'slow' : 50, link(each)]),
    );
    if (shape.done !== undefined) config['onDone'] = { target: `#${ids[shape.done % ids.length]}` };
    if (shape.invoke)
      config['invoke'] = { id: `call-${id}`, src: 'http', input: { from: id }, onDone: { actions: 'inc' } };
  });
  return config;
}

function named(names: readonly string[]) {
  return names.map((name) =>
    name === 'answer'
      ? { type: 'reply', params: ({ context }: { context: { n: number } }) => ({ n: context.n }) }
      : name,
  );
}
