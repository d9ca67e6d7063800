import test from 'ava';
import fc from 'fast-check';
import {
  begin,
  type Happening,
  type Order,
  running,
  type Supervision,
  supervise,
} from '#machines/supervision';
import type { ChildSpec, Restart, Strategy, SupervisorSpec } from '#schemas/supervisor';
import { cases } from '../rig/effort.ts';

function child(id: string, restart: Restart = 'permanent', more: Partial<ChildSpec> = {}): ChildSpec {
  return { id, address: `job/${id}`, machine: 'job@1', restart, ...more };
}

function specOf(
  strategy: Strategy,
  children: readonly ChildSpec[],
  intensity = 3,
  periodMs = 5_000,
): SupervisorSpec {
  return { strategy, intensity, periodMs, children };
}

/** A kernel that obeys: every order is answered at once, and noted as `start a`, `stop a` … */
class Bench {
  state: Supervision;
  readonly notes: string[] = [];
  readonly alive = new Set<string>();
  /** Children whose next starts fail. */
  readonly failing = new Map<string, number>();
  at = 0;

  constructor(spec: SupervisorSpec) {
    const { state, orders } = begin(spec);
    this.state = state;
    this.#obey(orders);
  }

  happen(happening: Happening): this {
    const { state, orders } = supervise(this.state, happening, this.at);
    this.state = state;
    this.#obey(orders);
    return this;
  }

  end(id: string, normal = false): this {
    this.alive.delete(id);
    return this.happen({ kind: 'ended', id, normal, ...(!normal && { error: 'boom' }) });
  }

  take(): string[] {
    return this.notes.splice(0);
  }

  #obey(orders: readonly Order[]): void {
    for (const order of orders) {
      if (order.kind === 'restarted') continue;
      if (order.kind === 'follow' || order.kind === 'unfollow') {
        this.notes.push(`${order.kind} ${order.budget}`);
        continue;
      }
      const id = order.kind === 'fail' ? '' : order.child.id;
      this.notes.push(order.kind === 'fail' ? 'fail' : `${order.kind} ${id}`);
      if (order.kind === 'start') {
        const left = this.failing.get(id) ?? 0;
        if (left > 0) {
          this.failing.set(id, left - 1);
          this.happen({ kind: 'ended', id, normal: false, error: 'bad start' });
        } else {
          this.alive.add(id);
          this.happen({ kind: 'started', id });
        }
      } else if (order.kind === 'stop') {
        this.alive.delete(id);
        this.happen({ kind: 'stopped', id });
      } else if (order.kind === 'wind-down') {
        this.alive.delete(id);
        this.happen({ kind: 'ended', id, normal: true });
      }
    }
  }
}

const abc = [child('a'), child('b'), child('c')];

test('children start one at a time, each after the one before has started', (t) => {
  const first = begin(specOf('one_for_one', abc));
  t.deepEqual(
    first.orders.map(({ kind }) => kind),
    ['start'],
  );
  t.is(first.state.mode, 'starting');
  const second = supervise(first.state, { kind: 'started', id: 'a' }, 0);
  t.like(second.orders, [{ kind: 'start', child: { id: 'b' } }]);
  t.deepEqual(
    supervise(second.state, { kind: 'started', id: 'a' }, 0).orders,
    [],
    'a late answer moves nothing',
  );
  t.deepEqual(new Bench(specOf('one_for_one', abc)).take(), ['start a', 'start b', 'start c']);
});

test('one_for_one restarts the ended child only', (t) => {
  const bench = new Bench(specOf('one_for_one', abc));
  bench.take();
  t.deepEqual(bench.end('b').take(), ['start b']);
  t.is(bench.state.mode, 'running');
});

test('one_for_all stops all others in reverse and starts all in order', (t) => {
  const bench = new Bench(specOf('one_for_all', abc));
  bench.take();
  t.deepEqual(bench.end('b').take(), ['stop c', 'stop a', 'start a', 'start b', 'start c']);
});

test('rest_for_one does that with the ended child and those after it', (t) => {
  const bench = new Bench(specOf('rest_for_one', abc));
  bench.take();
  t.deepEqual(bench.end('b').take(), ['stop c', 'start b', 'start c']);
});

test('permanent children restart always, transient ones after errors, temporary ones never', (t) => {
  const bench = new Bench(
    specOf('one_for_one', [child('p'), child('t', 'transient'), child('x', 'temporary')], 10),
  );
  bench.take();
  t.deepEqual(bench.end('p', true).end('p').take(), ['start p', 'start p']);
  t.deepEqual(bench.end('t').take(), ['start t']);
  t.deepEqual(bench.end('t', true).end('x').take(), []);
  t.deepEqual(bench.state.off, { t: 'done', x: 'failed' });
});

test('a temporary child is not started again with its siblings, a finished transient one is', (t) => {
  const bench = new Bench(
    specOf('one_for_all', [child('p'), child('t', 'transient'), child('x', 'temporary')]),
  );
  bench.end('t', true).take();
  t.deepEqual(bench.end('p').take(), ['stop x', 'start p', 'start t']);
  t.deepEqual([...running(bench.state)], ['p', 't']);
});

test('one restart too many within the period stops all in reverse and fails the supervisor', (t) => {
  const bench = new Bench(specOf('one_for_one', abc, 2, 1_000));
  bench.take();
  t.deepEqual(bench.end('a').end('a').take(), ['start a', 'start a']);
  t.deepEqual(bench.end('a').take(), ['stop c', 'stop b', 'fail']);
  t.is(bench.state.mode, 'failed');
  t.deepEqual(bench.end('b').take(), []);
});

test('restarts older than the period do not count', (t) => {
  const bench = new Bench(specOf('one_for_one', abc, 1, 1_000));
  bench.take();
  for (let round = 0; round < 5; round += 1) {
    bench.at += 1_001;
    t.deepEqual(bench.end('a').take(), ['start a']);
  }
  t.is(bench.state.restartCount, 5);
  t.deepEqual(bench.state.restarts, [bench.at]);
  bench.at += 1_000;
  t.deepEqual(bench.end('a').take(), ['stop c', 'stop b', 'fail'], 'the bound itself still counts');
});

test('a child that fails during the first start takes the supervisor down, in reverse order', (t) => {
  const { state } = begin(specOf('one_for_one', abc));
  const second = supervise(state, { kind: 'started', id: 'a' }, 0);
  const failed = supervise(second.state, { kind: 'ended', id: 'b', normal: false, error: 'boom' }, 0);
  t.like(failed.orders, [{ kind: 'stop', child: { id: 'a' } }]);
  const over = supervise(failed.state, { kind: 'stopped', id: 'a' }, 0);
  t.like(over.orders, [{ kind: 'fail', error: { message: 'child b failed to start', cause: 'boom' } }]);
});

test('a failed restart is tried again and counts, until it is one too many', (t) => {
  const bench = new Bench(specOf('one_for_all', abc, 3));
  bench.take();
  bench.failing.set('b', 1);
  t.deepEqual(bench.end('c').take(), [
    'stop b',
    'stop a',
    'start a',
    'start b',
    'stop a',
    'start a',
    'start b',
    'start c',
  ]);
  bench.failing.set('b', 9);
  t.deepEqual(bench.end('c').take().slice(-4), ['start a', 'start b', 'stop a', 'fail']);
});

test('an end during a procedure waits for its end, and is over when the procedure restarts that child', (t) => {
  const spec = specOf('rest_for_one', abc, 10);
  const bench = new Bench(spec);
  const busy = supervise(bench.state, { kind: 'ended', id: 'b', normal: false }, 0);
  t.like(busy.orders.at(-1), { kind: 'stop', child: { id: 'c' } });
  const before = supervise(busy.state, { kind: 'ended', id: 'a', normal: false }, 0);
  t.deepEqual(before.orders, [], 'it waits');
  const during = supervise(before.state, { kind: 'ended', id: 'c', normal: false }, 0);
  t.deepEqual(during.orders, [], 'c is being stopped anyway');
  let { state } = during;
  const seen: string[] = [];
  let queue: readonly Order[] = supervise(state, { kind: 'stopped', id: 'c' }, 0).orders;
  state = supervise(state, { kind: 'stopped', id: 'c' }, 0).state;
  while (queue.length > 0) {
    const [order, ...rest] = queue;
    queue = rest;
    if (order?.kind !== 'start' && order?.kind !== 'stop') continue;
    seen.push(`${order.kind} ${order.child.id}`);
    const answer = supervise(
      state,
      { kind: order.kind === 'start' ? 'started' : 'stopped', id: order.child.id },
      0,
    );
    state = answer.state;
    queue = [...queue, ...answer.orders];
  }
  t.deepEqual(seen, ['start b', 'start c', 'stop c', 'stop b', 'start a', 'start b', 'start c']);
  t.is(state.restartCount, 2);
});

test('a stop winds nested supervisors down before it removes them, in reverse order', (t) => {
  const nested = child('n', 'permanent', {
    address: 'supervisor/root:n',
    supervisor: specOf('one_for_one', abc),
  });
  const bench = new Bench(specOf('one_for_one', [child('a'), nested, child('z')]));
  bench.take();
  t.deepEqual(bench.happen({ kind: 'stop' }).take(), ['stop z', 'wind-down n', 'stop n', 'stop a']);
  t.is(bench.state.mode, 'stopped');
});

test('a new spec stops what left in reverse, then migrates, then starts what came in order', (t) => {
  const nested = (inner: readonly ChildSpec[]) =>
    child('n', 'permanent', { address: 'supervisor/root:n', supervisor: specOf('one_for_one', inner) });
  const bench = new Bench(
    specOf('one_for_one', [
      child('a'),
      child('b'),
      child('c', 'permanent', { input: 1 }),
      child('d'),
      nested([]),
    ]),
  );
  bench.take();
  const spec = specOf('one_for_one', [
    child('x'),
    child('a', 'permanent', { machine: 'job@2' }),
    child('c', 'permanent', { input: 2 }),
    nested([child('k')]),
    child('y'),
  ]);
  t.deepEqual(bench.happen({ kind: 'apply', spec }).take(), [
    'migrate a',
    'apply n',
    'stop d',
    'stop c',
    'stop b',
    'start x',
    'start c',
    'start y',
  ]);
  t.deepEqual(bench.state.spec, spec);
  t.deepEqual([...running(bench.state)].toSorted(), ['a', 'c', 'n', 'x', 'y']);
  t.deepEqual(bench.happen({ kind: 'apply', spec }).take(), [], 'the same spec again changes nothing');
});

test('the end of a child that was off, told while its successor starts, is not the end of the successor', (t) => {
  const spec = specOf('one_for_one', [child('x', 'transient')]);
  let state = supervise(begin(spec).state, { kind: 'started', id: 'x' }, 0).state;
  state = supervise(state, { kind: 'ended', id: 'x', normal: true }, 0).state;
  t.deepEqual(state.off, { x: 'done' });
  const changed = specOf('one_for_one', [child('x', 'transient', { input: { changed: true } })]);
  state = supervise(state, { kind: 'apply', spec: changed }, 0).state;
  state = supervise(state, { kind: 'stopped', id: 'x' }, 0).state;
  state = supervise(state, { kind: 'started', id: 'x' }, 0).state;
  t.deepEqual(state.off, {});
  t.true(running(state).has('x'));
});

test('of several children that were off and begin anew, none is taken for ended by the end of the one before it', (t) => {
  const both = (input?: object): SupervisorSpec =>
    specOf(
      'one_for_one',
      ['x', 'y'].map((id) => child(id, 'transient', input && { input })),
    );
  const happenings: Happening[] = [
    { kind: 'started', id: 'x' },
    { kind: 'started', id: 'y' },
    { kind: 'ended', id: 'x', normal: true },
    { kind: 'ended', id: 'y', normal: true },
    { kind: 'apply', spec: both({ changed: true }) },
    { kind: 'stopped', id: 'x' },
    { kind: 'stopped', id: 'y' },
    { kind: 'started', id: 'x' },
    { kind: 'started', id: 'y' },
  ];
  const state = happenings.reduce((at, happening) => supervise(at, happening, 0).state, begin(both()).state);
  t.is(state.mode, 'running');
  t.deepEqual(state.off, {});
  t.deepEqual(
    supervise(state, { kind: 'ended', id: 'y', normal: false }, 0).orders.map(({ kind }) => kind),
    ['restarted', 'start'],
  );
});

test('S6: who ended for good while a halt waited for its turn, or came before it, is not begun anew', (t) => {
  const spec = specOf('one_for_one', [child('a', 'transient'), child('b', 'transient'), child('c')]);
  let { state } = begin(spec);
  const happen = (happening: Happening): string[] => {
    const { state: next, orders } = supervise(state, happening, 0);
    state = next;
    return orders.map((order) => `${order.kind} ${'child' in order ? order.child.id : ''}`);
  };
  happen({ kind: 'started', id: 'a' });
  happen({ kind: 'ended', id: 'a', normal: true });
  happen({ kind: 'halt' });
  happen({ kind: 'started', id: 'b' });
  t.deepEqual(happen({ kind: 'started', id: 'c' }), ['stop c']);
  // Before it is told to stop.
  happen({ kind: 'ended', id: 'b', normal: true });
  t.deepEqual(happen({ kind: 'stopped', id: 'c' }), []);
  t.is(state.mode, 'halted');
  t.deepEqual(happen({ kind: 'resume' }), ['start c']);
  t.deepEqual(state.off, { a: 'done', b: 'done' });
});

test('S6: a child that fails once on the way back does not keep those behind it from starting', (t) => {
  const bench = new Bench(specOf('one_for_one', [child('a'), child('b'), child('c')]));
  bench.happen({ kind: 'halt' }).take();
  bench.failing.set('a', 1);
  bench.happen({ kind: 'resume' });
  t.deepEqual([...running(bench.state)], ['a', 'b', 'c']);
  t.deepEqual([...bench.alive].toSorted(), ['a', 'b', 'c']);
});

test('10,000 children start in time that does not grow with the square of their number', (t) => {
  const many = Array.from({ length: 10_000 }, (_, n) => child(`k${n}`));
  let { state, orders } = begin(specOf('one_for_one', many));
  let starts = 0;
  while (orders.length > 0) {
    const [order] = orders;
    if (order?.kind !== 'start') break;
    starts += 1;
    ({ state, orders } = supervise(state, { kind: 'started', id: order.child.id }, 0));
  }
  t.is(starts, 10_000);
  t.is(state.mode, 'running');
});

/** OTP's supervisor as a plain loop over lists, for a kernel that always obeys. */
class Otp {
  readonly log: string[] = [];
  failed = false;
  #children: { id: string; restart: Restart; alive: boolean }[];
  #restarts: number[] = [];
  readonly #spec: SupervisorSpec;

  constructor(spec: SupervisorSpec) {
    this.#spec = spec;
    this.#children = spec.children.map(({ id, restart }) => ({ id, restart, alive: false }));
    this.#start(this.#children);
  }

  exit(id: string, normal: boolean, at: number): void {
    const one = this.#children.find((other) => other.id === id);
    if (this.failed || one === undefined || !one.alive) return;
    one.alive = false;
    if (one.restart === 'temporary') this.#children = this.#children.filter((other) => other !== one);
    if (one.restart === 'temporary' || (one.restart === 'transient' && normal)) return;
    this.#restarts = [at, ...this.#restarts].filter((time) => at <= time + this.#spec.periodMs);
    if (this.#restarts.length > this.#spec.intensity) {
      this.#terminate(this.#children);
      this.log.push('fail');
      this.failed = true;
      return;
    }
    const { strategy } = this.#spec;
    if (strategy === 'one_for_one') {
      this.#start([one]);
      return;
    }
    const group =
      strategy === 'one_for_all' ? this.#children : this.#children.slice(this.#children.indexOf(one));
    this.#terminate(group);
    const kept = group.filter(({ restart }) => restart !== 'temporary');
    this.#children = this.#children.filter((other) => !group.includes(other) || kept.includes(other));
    this.#start(kept);
  }

  alive(): string[] {
    return this.#children.filter((one) => one.alive).map(({ id }) => id);
  }

  #start(group: readonly { id: string; alive: boolean }[]): void {
    for (const one of group) {
      this.log.push(`start ${one.id}`);
      one.alive = true;
    }
  }

  #terminate(group: readonly { id: string; alive: boolean }[]): void {
    for (const one of group.toReversed()) {
      if (one.alive) this.log.push(`stop ${one.id}`);
      one.alive = false;
    }
  }
}

test('whatever ends in whatever order, the orders are those of an OTP supervisor', (t) => {
  const restarts = fc.constantFrom<Restart>('permanent', 'transient', 'temporary');
  const specs = fc.record({
    strategy: fc.constantFrom<Strategy>('one_for_one', 'one_for_all', 'rest_for_one'),
    intensity: fc.integer({ min: 0, max: 4 }),
    periodMs: fc.integer({ min: 1, max: 50 }),
    children: fc
      .array(restarts, { maxLength: 6 })
      .map((list) => list.map((restart, n) => child(`c${n}`, restart))),
  });
  const exits = fc.array(
    fc.record({ n: fc.nat(6), normal: fc.boolean(), pauseMs: fc.integer({ min: 0, max: 30 }) }),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(specs, exits, (spec, list) => {
      const bench = new Bench(spec);
      const otp = new Otp(spec);
      for (const { n, normal, pauseMs } of list) {
        bench.at += pauseMs;
        const id = `c${n}`;
        if (bench.alive.has(id)) {
          bench.end(id, normal);
          otp.exit(id, normal, bench.at);
        }
        t.deepEqual(bench.notes, otp.log);
        if (otp.failed) break;
        t.deepEqual([...running(bench.state)], otp.alive());
      }
    }),
    { numRuns: cases(2_000, 300) },
  );
});

const budget = 'budget/main:swarm:a';

test('an exhausted budget stops all children in reverse, and they start anew when it goes on', (t) => {
  const bench = new Bench({
    ...specOf('one_for_one', [child('a'), child('b', 'temporary'), child('c', 'transient'), child('d')]),
    budget,
  });
  t.deepEqual(bench.take(), [`follow ${budget}`, 'start a', 'start b', 'start c', 'start d']);
  bench.end('c', true);
  t.deepEqual(bench.happen({ kind: 'halt' }).take(), ['stop d', 'stop b', 'stop a']);
  t.is(bench.state.mode, 'halted');
  t.deepEqual([...running(bench.state)], []);
  t.deepEqual(bench.end('a').take(), [], 'who ends late is not started');
  t.deepEqual(bench.happen({ kind: 'halt' }).take(), []);
  t.deepEqual(
    bench.happen({ kind: 'resume' }).take(),
    ['start a', 'start d'],
    'not what is temporary or was done',
  );
  t.is(bench.state.mode, 'running');
  t.deepEqual(bench.happen({ kind: 'resume' }).take(), []);
  t.deepEqual(bench.end('a').take(), ['start a'], 'and is looked after again');
});

test('a halted supervisor stops at once, takes another spec, and follows another budget', (t) => {
  const spec = { ...specOf('one_for_one', abc), budget };
  const bench = new Bench(spec).happen({ kind: 'halt' });
  bench.take();
  const more = { ...spec, children: [...abc, child('d')] };
  t.deepEqual(bench.happen({ kind: 'apply', spec: more }).take(), []);
  t.is(bench.state.mode, 'halted');
  const other = { ...more, budget: 'budget/main:b' };
  t.deepEqual(bench.happen({ kind: 'apply', spec: other }).take(), [
    `unfollow ${budget}`,
    'follow budget/main:b',
    ...['a', 'b', 'c', 'd'].map((id) => `start ${id}`),
  ]);
  bench.happen({ kind: 'halt' }).take();
  t.deepEqual(bench.happen({ kind: 'stop' }).take(), []);
  t.is(bench.state.mode, 'stopped');
});

test('a halt that meets a procedure waits for it; one that is over before it began leaves no trace', (t) => {
  const first = begin({ ...specOf('one_for_one', abc), budget });
  let state = supervise(first.state, { kind: 'halt' }, 0).state;
  t.is(state.mode, 'starting');
  t.is(supervise(state, { kind: 'resume' }, 0).state.halt, undefined);
  for (const id of ['a', 'b']) state = supervise(state, { kind: 'started', id }, 0).state;
  const last = supervise(state, { kind: 'started', id: 'c' }, 0);
  t.like(last.orders, [{ kind: 'stop', child: { id: 'c' } }]);
  // It goes on while children are still being stopped: all are stopped, then all start.
  const ending = supervise(last.state, { kind: 'resume' }, 0).state;
  let at = ending;
  for (const id of ['c', 'b']) at = supervise(at, { kind: 'stopped', id }, 0).state;
  t.like(supervise(at, { kind: 'stopped', id: 'a' }, 0).orders, [{ kind: 'start', child: { id: 'a' } }]);
});
