import test from 'ava';
import fc from 'fast-check';
import { findCycle } from '#machines/graph';
import { blockers, blocks, waitsFor } from '../../actors/coordinator/graph/blocking.ts';
import { criticalPath } from '../../actors/coordinator/graph/critical-path.ts';
import { etaUnlimited, etaWith } from '../../actors/coordinator/graph/eta.ts';
import { type GraphTask, isDone, taskGraph } from '../../actors/coordinator/graph/graph.ts';

function task(id: string, deps: readonly string[] = [], more: Partial<GraphTask> = {}): GraphTask {
  return { id, deps, status: 'available', milestone: 0, ...more };
}

const anyone = () => true;

function cycleOf(tasks: readonly GraphTask[]): readonly string[] | undefined {
  const deps = new Map(tasks.map((one) => [one.id, one.deps]));
  return findCycle(deps.keys(), (id) => deps.get(id) ?? []);
}

/** Tasks t0, t1 … each waiting only for earlier ones: no circle. */
const acyclic = fc
  .array(
    fc.record({
      deps: fc.array(fc.nat(30), { maxLength: 4 }),
      hours: fc.integer({ min: 0, max: 8 }),
      status: fc.constantFrom('waiting', 'available', 'in_progress', 'completed', 'failed'),
      milestone: fc.constantFrom(0, 50),
    }),
    { maxLength: 30 },
  )
  .map((list) =>
    list.map(({ deps, hours, status, milestone }, n) =>
      task(`t${n}`, n === 0 ? [] : deps.map((dep) => `t${dep % n}`), {
        status,
        milestone,
        estimate: { hours },
      }),
    ),
  );

/** Tasks that may wait for any, themselves too. */
const anyGraph = fc.array(fc.array(fc.nat(12), { maxLength: 3 }), { maxLength: 13 }).map((list) =>
  list.map((deps, n) =>
    task(
      `t${n}`,
      deps.map((dep) => `t${dep}`),
    ),
  ),
);

test('a circle is named by its tasks, each waiting for the next', (t) => {
  t.is(cycleOf([task('a', ['b']), task('b', ['c']), task('c')]), undefined);
  t.deepEqual(cycleOf([task('x', ['a']), task('a', ['b']), task('b', ['c']), task('c', ['a'])]), [
    'a',
    'b',
    'c',
    'a',
  ]);
  t.deepEqual(cycleOf([task('a', ['a'])]), ['a', 'a']);
  t.is(cycleOf([task('a', ['nowhere'])]), undefined);
});

test('a circle is found exactly where removing tasks that wait for nothing does not end', (t) => {
  fc.assert(
    fc.property(anyGraph, (tasks) => {
      const left = new Map(tasks.map(({ id, deps }) => [id, deps]));
      for (let isLess = true; isLess; ) {
        isLess = false;
        for (const [id, deps] of left) {
          if (deps.some((dep) => left.has(dep))) continue;
          left.delete(id);
          isLess = true;
        }
      }
      const cycle = cycleOf(tasks);
      t.is(cycle !== undefined, left.size > 0);
      if (cycle === undefined) return;
      t.is(cycle[0], cycle.at(-1));
      for (const [n, id] of cycle.slice(0, -1).entries()) {
        t.true(tasks.find((one) => one.id === id)?.deps.includes(cycle[n + 1] ?? ''));
      }
    }),
  );
});

test('a chain as long as a board may be is no call stack', (t) => {
  const chain = Array.from({ length: 20_000 }, (_, n) => task(`t${n}`, n === 0 ? [] : [`t${n - 1}`]));
  t.is(cycleOf(chain.toReversed()), undefined);
  const graph = taskGraph(chain.toReversed());
  t.is(criticalPath(graph).hours, 20_000);
  t.is(waitsFor(graph, 't19999').length, 19_999);
});

test('every task stands behind all it waits for', (t) => {
  fc.assert(
    fc.property(acyclic, (tasks) => {
      const order = [...taskGraph(tasks).nodes.keys()];
      t.is(order.length, tasks.length);
      for (const { id, deps } of tasks)
        for (const dep of deps) t.true(order.indexOf(dep) < order.indexOf(id));
    }),
  );
});

test('the critical path is a chain of open tasks, and no chain is longer', (t) => {
  fc.assert(
    fc.property(acyclic, (tasks) => {
      const graph = taskGraph(tasks);
      const { ids, hours } = criticalPath(graph);
      let sum = 0;
      for (const [n, id] of ids.entries()) {
        const node = graph.nodes.get(id);
        sum += node?.hoursLeft ?? Number.NaN;
        if (n > 0) t.true(node?.deps.includes(ids[n - 1] ?? ''));
      }
      t.is(hours, sum);
      // Longest path by brute force, over the order of the tasks.
      const longest = new Map<string, number>();
      for (const { id, deps } of tasks) {
        const node = graph.nodes.get(id);
        const isOpen = !['completed', 'failed', 'cancelled'].includes(node?.task.status ?? '');
        const before = Math.max(0, ...deps.map((dep) => longest.get(dep) ?? 0));
        longest.set(id, isOpen ? before + (node?.hoursLeft ?? 0) : 0);
      }
      t.is(hours, Math.max(0, ...longest.values()));
    }),
  );
});

test('the work left is the estimate less what is done of it', (t) => {
  const graph = taskGraph(
    [
      task('a', [], { estimate: { hours: 8 }, milestone: 75, status: 'in_progress' }),
      task('b', ['a']),
      task('c', ['b'], { status: 'completed', estimate: { hours: 100 } }),
    ],
    { hoursDefault: 3 },
  );
  t.deepEqual(criticalPath(graph), { ids: ['a', 'b'], hours: 5 });
});

test('one worker needs the sum, many the critical path, and nobody less than either bound', (t) => {
  fc.assert(
    fc.property(acyclic, fc.integer({ min: 1, max: 5 }), (tasks, count) => {
      const graph = taskGraph(tasks);
      const unlimited = etaUnlimited(graph);
      const crew = (size: number) => Array.from({ length: size }, (_, n) => ({ id: `w${n}` }));
      const doable = [...graph.nodes.values()].filter(({ task: { id } }) => unlimited.doneAt.has(id));
      const sum = doable.reduce((all, { hoursLeft }) => all + hoursLeft, 0);
      t.is(etaWith(graph, crew(1), anyone).hours, sum);
      t.is(etaWith(graph, crew(tasks.length + 1), anyone).hours, unlimited.hours);
      const { hours, never } = etaWith(graph, crew(count), anyone);
      t.true(hours >= unlimited.hours - 1e-9 && hours >= sum / count - 1e-9 && hours <= sum + 1e-9);
      t.deepEqual(never, unlimited.never);
    }),
  );
});

test('nothing is begun before what it waits for is done, nor twice, nor by two at once', (t) => {
  fc.assert(
    fc.property(acyclic, fc.integer({ min: 1, max: 3 }), (tasks, count) => {
      const graph = taskGraph(tasks);
      const crew = Array.from({ length: count }, (_, n) => ({ id: `w${n}` }));
      const { doneAt } = etaWith(graph, crew, anyone);
      const spans = [...doneAt].map(([id, until]) => [until - (graph.nodes.get(id)?.hoursLeft ?? 0), until]);
      for (const [id, until] of doneAt) {
        const node = graph.nodes.get(id);
        for (const dep of node?.deps ?? []) {
          const found = graph.nodes.get(dep);
          if (found !== undefined && isDone(found.task)) continue;
          t.true((doneAt.get(dep) ?? Number.NaN) <= until - (node?.hoursLeft ?? 0) + 1e-9);
        }
      }
      for (const [from = 0] of spans) {
        const atOnce = spans.filter(([a = 0, b = 0]) => a <= from && from < b).length;
        t.true(atOnce <= count);
      }
    }),
  );
});

test('work that nobody can do, or that waits for what never comes, is named and not counted', (t) => {
  const graph = taskGraph([
    task('a'),
    task('b', ['gone']),
    task('c', ['f']),
    task('f', [], { status: 'failed' }),
    task('x', ['y']),
    task('y', ['x']),
    task('hard'),
  ]);
  t.deepEqual(graph.missing, ['gone']);
  t.deepEqual([...(graph.cycle ?? [])].toSorted(), ['x', 'x', 'y']);
  t.deepEqual([...etaUnlimited(graph).never].toSorted(), ['b', 'c', 'x', 'y']);
  const skilled = etaWith(graph, [{ id: 'w' }], (_, { id }) => id !== 'hard');
  t.deepEqual([...skilled.never].toSorted(), ['b', 'c', 'hard', 'x', 'y']);
  t.is(skilled.hours, 1);
});

const blockedOn = (on: string) => ({ status: 'blocked', blockedOn: { on, kind: 'task' } });

test('however many circles there are, through blocks too, their tasks are on no path and never done', (t) => {
  const graph = taskGraph([
    task('d', ['c']),
    task('b', ['a']),
    task('a', [], blockedOn('b')),
    task('c', [], blockedOn('task/d')),
    task('behind2', ['behind1']),
    task('behind1', ['a', 'e']),
    task('e', [], { estimate: { hours: 3 } }),
  ]);
  t.deepEqual([...graph.inCircle].toSorted(), ['a', 'b', 'c', 'd']);
  t.deepEqual(criticalPath(graph), { ids: ['e', 'behind1', 'behind2'], hours: 5 });
  t.deepEqual([...etaUnlimited(graph).never].toSorted(), ['a', 'b', 'behind1', 'behind2', 'c', 'd']);
});

test('whatever waits for whom, a path ends, goes through no circle, and each stands behind what it waits for', (t) => {
  fc.assert(
    fc.property(anyGraph, (tasks) => {
      const graph = taskGraph(tasks);
      t.is(graph.inCircle.size > 0, graph.cycle !== undefined);
      for (const id of graph.cycle ?? []) t.true(graph.inCircle.has(id));
      const { ids } = criticalPath(graph);
      t.is(new Set(ids).size, ids.length);
      t.false(ids.some((id) => graph.inCircle.has(id)));
      const order = [...graph.nodes.keys()];
      t.is(order.length, tasks.length);
      for (const { id, deps } of tasks)
        for (const dep of deps)
          if (graph.nodes.has(dep) && !graph.inCircle.has(id)) t.true(order.indexOf(dep) < order.indexOf(id));
      t.deepEqual(
        [...etaUnlimited(graph).never].toSorted(),
        [...etaWith(graph, [{ id: 'w' }], anyone).never].toSorted(),
      );
    }),
  );
});

test('what is in work stays with its worker', (t) => {
  const graph = taskGraph([
    task('long', [], { estimate: { hours: 5 } }),
    task('mine', [], { status: 'in_progress', estimate: { hours: 2 } }),
  ]);
  const { doneAt } = etaWith(graph, [{ id: 'w' }], anyone, ({ id }) => (id === 'mine' ? 'w' : undefined));
  t.deepEqual(Object.fromEntries(doneAt), { mine: 2, long: 7 });
});

test('who waits for whom is known through any number of tasks, and from both ends', (t) => {
  fc.assert(
    fc.property(acyclic, (tasks) => {
      const graph = taskGraph(tasks);
      for (const { id, status } of tasks) {
        if (status === 'completed' || status === 'failed') continue;
        for (const dep of waitsFor(graph, id)) t.true(blocks(graph, dep).includes(id), `${dep} blocks ${id}`);
        for (const behind of blocks(graph, id)) t.true(waitsFor(graph, behind).includes(id));
      }
    }),
  );
});

test('blockers are the ends of what is waited for, the worst first', (t) => {
  const graph = taskGraph([
    task('done', [], { status: 'completed' }),
    task('a', ['done'], { status: 'in_progress' }),
    task('b', ['a']),
    task('c', ['b', 'gone']),
    task('d', [], { blockedOn: { on: 'a', kind: 'task' } }),
    task('e', [], { blockedOn: { on: 'somebody', kind: 'person' } }),
  ]);
  t.deepEqual(blockers(graph), [
    { id: 'a', blocks: ['b', 'd', 'c'] },
    { id: 'gone', blocks: ['c'] },
  ]);
  t.deepEqual(waitsFor(graph, 'c'), ['b', 'gone', 'a']);
});
