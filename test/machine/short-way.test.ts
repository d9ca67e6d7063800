/** The short way of machines that decide, beside the chart that it stands for. */
import { inspect, isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { decode, encode } from 'msgpackr';
import { decidedMachine, type Outcome, TIMER_EVENT } from '#machines/decided';
import { createRegistry } from '#runtime/machine/registry';
import type { EventData, LiveState, Machine, Step, StepContext } from '#runtime/machine/types';
import { SHORT_WAY } from '#schemas/machine-kit';

interface Known {
  readonly status: 'absent' | 'open' | 'ended';
  readonly n: number;
  readonly list: readonly number[];
  readonly heard: string;
}

const STATUSES = ['absent', 'open', 'ended'] as const;
const NOW: StepContext = { self: 'book/main', at: 7, from: 'session/a' };

/** Does what its event says. */
function machine() {
  return decidedMachine<Known>({
    id: 'book',
    version: '1',
    statuses: STATUSES,
    hears: ['book.*', 'tick', `${TIMER_EVENT}due`, 'xstate.done.actor.call', 'xstate.error.actor.call'],
    drivers: ['http'],
    context: () => ({ status: 'absent', n: 0, list: [], heard: '' }),
    decide: (context, { event, self, at, from }) => {
      if (event['throws'] === true) throw new Error('no');
      const outcome = (event['outcome'] ?? {}) as Outcome<Known>;
      if (outcome.patch === undefined || Object.keys(outcome.patch).length === 0) return outcome;
      return { ...outcome, patch: { ...outcome.patch, heard: `${self} ${at} ${from} ${context.n}` } };
    },
  });
}

const data = fc.constantFrom({ a: 1 }, { text: 'x', list: [1, 2] }, {});
const event = fc.constantFrom({ type: 'x' }, { type: 'y', n: 1 });
const few = <T>(one: fc.Arbitrary<T>) => fc.array(one, { maxLength: 2 });
/** Children: some steps begin or end one. */
const seldom = <T>(one: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant<T[]>([]) }, few(one));
const outcome = fc.record(
  {
    patch: fc.record(
      {
        status: fc.oneof(
          { weight: 20, arbitrary: fc.constantFrom<unknown>(...STATUSES) },
          fc.constantFrom('elsewhere', undefined),
        ),
        n: fc.nat(9),
        list: few(fc.nat(9)),
      },
      { requiredKeys: [] },
    ),
    reply: data,
    mail: few(fc.record({ to: fc.constantFrom('a/b', 'c/d'), event })),
    starts: few(
      fc.record({
        to: fc.constant('a/b'),
        childId: fc.constant('k'),
        machine: fc.constant('m'),
        input: data,
      }),
    ),
    tell: few(event),
    effects: seldom(
      fc.record({ id: fc.constantFrom('call', 'other'), driver: fc.constant('http'), input: data }),
    ),
    ended: seldom(fc.constantFrom('call', 'other')),
    timers: few(fc.record({ id: fc.constantFrom('due', 'late'), delayMs: fc.nat(9) })),
    cancelled: few(fc.constantFrom('due', 'late')),
    log: fc.record({ severity: fc.constantFrom('INFO', 'WARN', 'HIGH'), message: event }),
  },
  { requiredKeys: [] },
);
const types = fc.constantFrom(
  'book.do',
  'book.do',
  'book.do',
  'book.a.b',
  'book',
  'tick',
  'tick.x',
  'other',
  `${TIMER_EVENT}due`,
  `${TIMER_EVENT}other`,
  'xstate.done.actor.call',
  'xstate.error.actor.call',
  'xstate.error.actor.other',
);
const moves = fc.array(
  fc.record({ type: types, outcome, throws: fc.nat(9).map((n) => n === 0), restore: fc.boolean() }),
  {
    minLength: 3,
    maxLength: 12,
  },
);

test('the short way gives what the chart gives, step by step and byte by byte (D3, H5)', (t) => {
  const short = hosted(machine());
  const chart = hosted(Object.assign(machine(), { [SHORT_WAY]: undefined }));
  let asked = 0;
  const way = (machine() as unknown as Record<symbol, (...args: unknown[]) => unknown>)[SHORT_WAY];
  t.is(typeof way, 'function');
  fc.assert(
    fc.property(moves, (sequence) => {
      let mine = short.initial(undefined, NOW).state;
      let theirs = chart.initial(undefined, NOW).state;
      for (const { restore, throws, ...sent } of sequence) {
        if (mine.status !== 'active') return;
        const heard = { ...sent, ...(throws && sent.outcome.log === undefined && { throws }) };
        const before = encode(short.persist(mine));
        if (restore) mine = short.restore(decode(before));
        const one = attempt(short, mine, heard);
        const other = attempt(chart, theirs, heard);
        if (!isDeepStrictEqual(seen(short, one), seen(chart, other)))
          throw new Error(`short way:\n${inspect(one)}\nchart:\n${inspect(other)}`);
        if (!encode(short.persist(mine)).equals(before)) throw new Error('the given state was changed');
        if (typeof one === 'string' || typeof other === 'string') continue;
        if (way?.(mine, heard, NOW) !== undefined) asked += 1;
        [mine, theirs] = [one.state, other.state];
      }
    }),
    { numRuns: 400 },
  );
  t.true(asked > 400, `only ${asked} steps went the short way`);
});

function hosted(made: ReturnType<typeof machine>): Machine {
  return createRegistry(['http']).define({ name: 'book', version: 1, machine: made });
}

function attempt(host: Machine, state: LiveState, sent: EventData): Step | string {
  try {
    return host.step(state, sent, NOW);
  } catch (thrown) {
    return String(thrown);
  }
}

function seen(host: Machine, step: Step | string) {
  if (typeof step === 'string') return step;
  const { state, actions } = step;
  return { bytes: encode(host.persist(state)), value: state.value, context: state.context, actions };
}
