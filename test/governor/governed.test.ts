/** Tasks that the governor watches over, on a real node: registered, matched, offered, claimed, done, and what that showed. */
import test from 'ava';
import { openCoordinator } from '#actors/coordinator/client';
import type { CoordinatorClient } from '#actors/coordinator/types';
import type { Client } from '#runtime/client/client';
import type { WorkerProfileInput, WorkerView } from '#schemas/worker';
import { TestRealm } from '../rig/realm.ts';

const OPEN = { door: 'open', spawnOnMessage: true };
const KINDS = Object.fromEntries(
  ['board', 'registry', 'session', 'worker'].map((kind) => [kind, { machine: kind, ...OPEN }]),
);
const TASKS = { machine: 'task', ...OPEN, input: { governed: true } };

let realm: TestRealm;
let operator: Client;
let board: CoordinatorClient;

test.before(async () => {
  realm = await TestRealm.start({ config: { kinds: { ...KINDS, task: TASKS }, durability: 'relaxed' } });
  operator = await realm.client({ from: 'operator/o' });
  board = openCoordinator(operator);
});
test.after.always(async () => {
  await board?.[Symbol.asyncDispose]();
  await realm?.[Symbol.asyncDispose]();
});

async function register(profile: WorkerProfileInput): Promise<void> {
  const { reply } = await operator.ask('registry/main', { type: 'registry.register', profile });
  if ((reply as { accepted: boolean }).accepted) return;
  throw new Error(JSON.stringify(reply));
}

async function session(id: string): Promise<CoordinatorClient> {
  return openCoordinator(await realm.client({ from: `session/${id}` }));
}

async function worker(id: string): Promise<WorkerView> {
  return (await operator.ask(`worker/${id}`, { type: 'worker.get' })).reply as WorkerView;
}

/** The worker's entry hears of its task by mail. */
async function settled(id: string, isSo: (view: WorkerView) => boolean): Promise<WorkerView> {
  for (;;) {
    const view = await worker(id);
    if (isSo(view)) return view;
    await new Promise(setImmediate);
  }
}

/** The next offer to a session. */
function offer(coordinator: CoordinatorClient, id: string, task: string): Promise<void> {
  return new Promise((resolve) => {
    const unwatch = coordinator.watch({ session: id }, (news) => {
      if (news.kind !== 'session' || news.event !== 'session.offered' || news.details['task'] !== task)
        return;
      unwatch();
      resolve();
    });
  });
}

test.serial('a claim is checked: who matches has it, and its result moves the reputation', async (t) => {
  await register({ id: 'ann', capabilities: ['a:x'], costPerHour: { micros: 1_000_000 } });
  await register({ id: 'ben', capabilities: ['a:y'] });
  const [ann, ben, eve] = await Promise.all([session('ann'), session('ben'), session('eve')]);
  await board.addTasks([
    { id: 'one', requires: ['a:x'], estimate: { hours: 2 } },
    { id: 'two', requires: ['a:x'] },
  ]);
  const refused = await ben.claim('one');
  t.like(refused, {
    won: false,
    code: 'not_eligible',
    reason: 'the governor refuses it: match 0, wanted 0.7',
  });
  t.like(await eve.claim('one'), { won: false, code: 'not_eligible' }, 'nobody registered her');
  t.like((await board.task('one'))?.check, { worker: 'session/eve', permitted: false });
  t.true((await ann.claim('one')).won);
  t.like((await board.task('one'))?.check?.verdict?.factors, {
    match: 1,
    reputation: 0.7,
    estimateMicros: 2_000_000,
  });
  const full = await ann.claim('two');
  t.like(full, { won: false, reason: 'the governor refuses it: load 1, wanted below 1' });
  t.deepEqual((await worker('ann')).tasks, ['one']);
  t.true((await ann.complete('one')).accepted);
  const after = await settled('ann', ({ completed }) => completed === 1);
  t.true(after.reputation.value > 0.7);
  t.deepEqual(after.tasks, []);
  t.true((await ann.claim('two')).won);
  t.true((await ann.fail('two')).accepted);
  t.true((await settled('ann', ({ failed }) => failed === 1)).reputation.value < after.reputation.value);
  for (const one of [ann, ben, eve]) await one[Symbol.asyncDispose]();
});

test.serial(
  'a worker never has more than it takes at once, whatever it claims at the same moment',
  async (t) => {
    await register({ id: 'many', maxConcurrent: 3 });
    const many = await session('many');
    const ids = Array.from({ length: 10 }, (_, n) => `m${n}`);
    await board.addTasks(ids.map((id) => ({ id, requires: [] })));
    const results = await Promise.all(ids.map((id) => many.claim(id)));
    t.is(results.filter(({ won }) => won).length, 3);
    t.is((await worker('many')).tasks.length, 3);
    const [held] = (await worker('many')).tasks;
    t.true((await many.release(held ?? '')).accepted);
    await settled('many', ({ tasks }) => tasks.length === 2);
    t.is((await worker('many')).reputation.value, 0.7, 'given back says nothing of it');
    await many[Symbol.asyncDispose]();
    for (const id of ids) await board.cancel(id);
  },
);

test.serial('work is offered to the best who waits, and to the next where it is declined', async (t) => {
  await register({ id: 'cheap', capabilities: ['b:z'], costPerHour: { micros: 1_000_000 } });
  await register({ id: 'dear', capabilities: ['b:z'], costPerHour: { micros: 9_000_000 } });
  const [cheap, dear] = await Promise.all([session('cheap'), session('dear')]);
  // Their own word counts for nothing here.
  for (const one of [dear, cheap]) await one.registerSession({ capabilities: ['b:z', 'a:x'] });
  const toCheap = offer(cheap, 'cheap', 'p2');
  const toDear = offer(dear, 'dear', 'p2');
  await board.addTasks([{ id: 'p2', requires: ['b:z'] }]);
  await toCheap;
  await cheap.decline('p2', 'busy with something else');
  await toDear;
  t.true((await dear.claim('p2')).won);
  t.is((await board.task('p2'))?.worker, 'session/dear');
  t.deepEqual(
    (await dear.nextFor()).map(({ task }) => task.id),
    [],
    'it takes one at a time',
  );
  for (const one of [cheap, dear]) await one[Symbol.asyncDispose]();
});
