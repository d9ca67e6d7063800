/** Which task is for whom: matching, the free tasks in their order, who waits for one, and how long an offer stands. */
import test from 'ava';
import fc from 'fast-check';
import { FreeTasks } from '#actors/coordinator/free-tasks';
import { sessionsFor, tasksFor } from '#actors/coordinator/matching';
import { Offered } from '#actors/coordinator/offered';
import { Relook } from '#actors/coordinator/relook';
import { WaitingRoom } from '#actors/coordinator/waiting';
import { matchOf } from '#machines/registry/match';
import { VirtualClock } from '#runtime/testing/virtual-clock';
import type { SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import { NOW } from './world.ts';

test('who asks at once is offered what nobody else was, and it is theirs to take for a while', async (t) => {
  const clock = new VirtualClock(NOW);
  const tasks = new FreeTasks(['one', 'two'].map((id) => taskOf({ id })));
  const room = new WaitingRoom(tasks, clock);
  const worker = (id: string) => ({ id, capabilities: [], fillersOnly: false });
  t.deepEqual(room.offerNow(worker('a')), { task: 'one', match: 1, filler: false });
  t.like(room.offerNow(worker('b')), { task: 'two' });
  t.is(room.offerNow(worker('c')), undefined);
  t.is(room.offerNow({ ...worker('a'), declined: new Set(['one']) }), undefined);
  await clock.advance(10_001);
  t.like(room.offerNow(worker('c')), { task: 'one' });
  room.close();
});

test('what was offered is gone when another has it, or nobody can have it', async (t) => {
  const tasks = new Map<string, TaskView>();
  const offered = new Offered(tasks);
  const change = (of: Partial<TaskView> & { readonly id: string }): void => {
    const task = taskOf(of);
    tasks.set(of.id, task);
    offered.changed(task);
  };
  change({ id: 'one' });
  change({ id: 'two' });
  const gone: string[] = [];
  const leaving = new AbortController();
  const follow = (task: string, session: string, { signal } = new AbortController()) =>
    offered.taken(task, session, signal).then(
      () => void gone.push(`${session} ${task}`),
      () => undefined,
    );
  void follow('one', 'a');
  void follow('one', 'b');
  void follow('two', 'c');
  const left = follow('two', 'd', leaving);
  change({ id: 'one', status: 'claimed', worker: 'session/b' });
  leaving.abort();
  await left;
  t.deepEqual(gone, ['a one']);
  tasks.set('two', taskOf({ id: 'two', status: 'cancelled', worker: null }));
  offered.changed(undefined);
  await follow('one', 'late');
  t.deepEqual(gone, ['a one', 'c two', 'late one']);
  change({ id: 'one', status: 'completed', worker: 'session/b' });
  t.is(offered.size, 1, 'its own task tells who took it');
  t.deepEqual(await Promise.all([follow('nowhere', 'a')]), [undefined]);
});

test('matching: seven tenths at least, own work first, fillers last, idle helpers before busy ones', (t) => {
  t.is(matchOf([], ['x']), 1);
  t.is(matchOf(['x', 'x', 'y'], ['x']), 0.5, 'named twice it counts once');
  t.is(matchOf(['x', 'y', 'z'], ['x', 'y']), 2 / 3);
  const tasks = [
    taskOf({ id: 'fill', filler: true, priority: 9 }),
    taskOf({ id: 'low', requires: ['x'] }),
    taskOf({ id: 'high', requires: ['x'], priority: 5 }),
    taskOf({ id: 'mine', owner: 'a', requires: ['q'] }),
    taskOf({ id: 'others', owner: 'b' }),
    taskOf({ id: 'hard', requires: ['x', 'y', 'z'] }),
    taskOf({ id: 'taken', status: 'claimed' }),
  ];
  const ids = (fillersOnly: boolean): string[] =>
    tasksFor({ id: 'a', capabilities: ['x', 'y'], fillersOnly }, tasks).map(({ task }) => task.id);
  t.deepEqual(ids(false), ['mine', 'high', 'low', 'fill']);
  t.deepEqual(ids(true), ['fill']);
  const sessions = [
    sessionOf({ id: 'busy', status: 'working', weight: 2 }),
    sessionOf({ id: 'idle', weight: 0.2 }),
    sessionOf({ id: 'away', status: 'away' }),
    sessionOf({ id: 'self' }),
  ];
  t.deepEqual(sessionsFor([], sessions, new Set(['session/self'])), ['session/idle', 'session/busy']);
});

test('the best free task is the first of all in their order, whatever came, changed and went before', (t) => {
  const short = fc.subarray(['x', 'y', 'z']);
  const one = fc.record({
    id: fc.nat(11).map((n) => `t${n}`),
    status: fc.constantFrom('available' as const, 'available' as const, 'claimed' as const),
    owner: fc.constantFrom(null, null, 'a', 'b'),
    requires: short,
    filler: fc.boolean(),
    governed: fc.boolean(),
    priority: fc.nat(2),
  });
  const views = fc.array(one, { maxLength: 30 });
  fc.assert(
    fc.property(views, short, fc.boolean(), fc.nat(3), (given, capabilities, fillersOnly, notMine) => {
      const known = new Map<string, TaskView>();
      const free = new FreeTasks();
      for (const task of given.map(taskOf)) {
        known.set(task.id, task);
        if (task.status === 'available') free.set(task);
        else free.delete(task.id);
      }
      t.deepEqual(
        [...free.values()].map(({ id }) => id).sort(),
        [...known.values()]
          .filter(({ status }) => status === 'available')
          .map(({ id }) => id)
          .sort(),
      );
      const worker = { id: 'a', capabilities, fillersOnly, declined: new Set(['t3']) };
      const mayHave = ({ id }: TaskView): boolean => id !== `t${notMine}`;
      const [first] = tasksFor(worker, [...known.values()].filter(mayHave));
      t.deepEqual(free.best(worker, mayHave), first);
    }),
    { numRuns: 500 },
  );
});

test('what was seen is looked at again while somebody relies on it, and takes no more than its share', async (t) => {
  const clock = new VirtualClock(NOW);
  let [looks, isWanted, tookMs] = [0, true, 0];
  const relook = new Relook({
    clock,
    isWanted: () => isWanted,
    look: async () => {
      looks += 1;
      if (tookMs > 0) await new Promise<void>((resolve) => void clock.setTimer(resolve, tookMs));
    },
  });
  await clock.advance(60_000);
  t.is(looks, 0, 'nobody began');
  relook.begin();
  relook.begin();
  await clock.advance(15_000);
  t.is(looks, 1);
  tookMs = 1_000;
  await clock.advance(16_000);
  t.is(looks, 2);
  await clock.advance(999_000);
  t.is(looks, 2, 'a second of looking, a thousand of rest');
  await clock.advance(1_000);
  t.is(looks, 3);
  isWanted = false;
  await clock.advance(1_100_000);
  t.is(looks, 3);
  [isWanted, tookMs] = [true, 0];
  await clock.advance(120_000);
  t.is(looks, 3, 'nobody began again');
  relook.begin();
  await clock.advance(15_000);
  t.is(looks, 4);
  relook.close();
  await clock.advance(120_000);
  t.is(looks, 4);
});

test('a task is offered to one who waits at a time, and to the next when it was not taken', async (t) => {
  const clock = new VirtualClock(NOW);
  const tasks = new FreeTasks();
  const room = new WaitingRoom(tasks, clock);
  const { signal } = new AbortController();
  const given: string[] = [];
  const wait = (id: string, capabilities: readonly string[] = []): void => {
    void room
      .wait({ id, capabilities, fillersOnly: false }, signal)
      .then(({ task }) => given.push(`${id}:${task}`));
  };
  wait('a');
  wait('b', ['x']);
  wait('c');
  const one = taskOf({ id: 'one', requires: ['x'] });
  tasks.set(one);
  room.changed(one);
  await new Promise(setImmediate);
  t.deepEqual(given, ['b:one']);
  const two = taskOf({ id: 'two' });
  tasks.set(two);
  room.changed(two);
  await new Promise(setImmediate);
  t.deepEqual(given, ['b:one', 'a:two']);
  await clock.advance(10_001);
  await new Promise(setImmediate);
  t.deepEqual(given, ['b:one', 'a:two', 'c:two']);
  t.is(room.size, 0);
  room.close();
});

test('an offer that nobody took makes way when its time is over, not when the one before has run out again', async (t) => {
  const clock = new VirtualClock(NOW);
  const tasks = new FreeTasks(['one', 'two'].map((id) => taskOf({ id, requires: [id] })));
  const room = new WaitingRoom(tasks, clock);
  const worker = (id: string, capability: string) => ({ id, capabilities: [capability], fillersOnly: false });
  room.offerNow(worker('a', 'one'));
  await clock.advance(6_000);
  room.offerNow(worker('b', 'two'));
  const given: string[] = [];
  void room
    .wait(worker('c', 'two'), new AbortController().signal)
    .then(({ task }) => given.push(`c:${task} ${clock.now() - NOW}`));
  await clock.advance(12_000);
  await new Promise(setImmediate);
  t.deepEqual(given, ['c:two 16000']);
  room.close();
});

test('who begins to wait after the room was empty is offered what another leaves', async (t) => {
  const clock = new VirtualClock(NOW);
  const tasks = new FreeTasks(['one', 'two'].map((id) => taskOf({ id, requires: [id] })));
  const room = new WaitingRoom(tasks, clock);
  const { signal } = new AbortController();
  const given: string[] = [];
  const wait = (id: string, capability: string): void => {
    void room
      .wait({ id, capabilities: [capability], fillersOnly: false }, signal)
      .then(({ task }) => given.push(`${id}:${task}`));
  };
  wait('a', 'one');
  await clock.advance(5_000);
  wait('b', 'two');
  // The first offer has run out, and nobody waits.
  await clock.advance(5_001);
  wait('c', 'two');
  await clock.advance(10_001);
  await new Promise(setImmediate);
  t.deepEqual(given, ['a:one', 'b:two', 'c:two']);
  room.close();
});

function taskOf(of: Partial<TaskView>): TaskView {
  return { status: 'available', owner: null, requires: [], filler: false, priority: 0, ...of } as TaskView;
}

function sessionOf(of: Partial<SessionView>): SessionView {
  return { status: 'idle', capabilities: [], weight: 1, ...of } as SessionView;
}
