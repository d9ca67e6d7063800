/** Turns of tenants: bounds, fairness, and turns that nobody uses. */
import test from 'ava';
import { Turns, UNUSED_MS } from '#actors/chassis/turns';
import { VirtualClock } from '#runtime/testing/virtual-clock';

const NEVER = new AbortController().signal;

function opened(places: number, queueMax = 100) {
  const clock = new VirtualClock(0);
  return { turns: new Turns({ places, queueMax, clock }), clock };
}

/** Takes a turn; who has one is told in `order`. */
function queue(turns: Turns, order: string[], tenant: string, name: string): void {
  void turns.take(name, tenant, NEVER).then(() => {
    turns.use(name);
    order.push(name);
  });
}

const settled = (): Promise<void> => new Promise((done) => setImmediate(done));

test('tenants take turns: who submits a hundred tasks waits for himself', async (t) => {
  const { turns } = opened(1);
  const order: string[] = [];
  for (let n = 0; n < 5; n += 1) queue(turns, order, 'big', `big${n}`);
  queue(turns, order, 'small', 'small0');
  queue(turns, order, 'small', 'small1');
  for (let n = 0; n < 7; n += 1) {
    await settled();
    turns.give(order.at(-1) ?? '');
  }
  t.deepEqual(order, ['big0', 'small0', 'big1', 'small1', 'big2', 'big3', 'big4']);
});

test('no tenant has all places, and no more turns are out than places', async (t) => {
  const { turns } = opened(3);
  const order: string[] = [];
  for (let n = 0; n < 4; n += 1) queue(turns, order, 'big', `big${n}`);
  await settled();
  t.deepEqual(order, ['big0', 'big1']);
  queue(turns, order, 'small', 'small0');
  await settled();
  t.deepEqual(order, ['big0', 'big1', 'small0'], 'at once, whatever the other runs');
  queue(turns, order, 'third', 'third0');
  await settled();
  t.is(order.length, 3);
});

test('a queue is bounded, and leaving it gives its place back', async (t) => {
  const { turns } = opened(1, 4);
  const gone = new AbortController();
  await turns.take('a', 'a', NEVER);
  const waits = turns.take('b0', 'b', gone.signal);
  void turns.take('b1', 'b', NEVER);
  await t.throwsAsync(turns.take('b2', 'b', NEVER), { code: 'sandbox_queue_full' });
  gone.abort(new Error('killed'));
  await t.throwsAsync(waits, { message: 'killed' });
  const last = turns.take('b3', 'b', NEVER);
  void turns.take('c0', 'c', NEVER);
  void turns.take('c1', 'c', NEVER);
  void turns.take('d0', 'd', NEVER);
  await t.throwsAsync(last, { code: 'sandbox_queue_full' }, 'who has most makes room for who has none');
  await t.throwsAsync(
    turns.take('d1', 'd', NEVER),
    { code: 'sandbox_queue_full' },
    'for as many as others have',
  );
});

test('a turn that nobody uses comes back', async (t) => {
  const { turns, clock } = opened(1);
  const order: string[] = [];
  await turns.take('killed', 'a', NEVER);
  queue(turns, order, 'b', 'next');
  await settled();
  t.deepEqual(order, []);
  await clock.advance(UNUSED_MS);
  await settled();
  t.deepEqual(order, ['next']);
  t.false(turns.use('killed'));
  await clock.advance(UNUSED_MS * 10);
  t.true(turns.use('next'), 'one that is used stays');
});
