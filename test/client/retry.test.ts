import { setTimeout as pause } from 'node:timers/promises';
import { headers, type NatsConnection, type Status } from '@nats-io/nats-core';
import test from 'ava';
import { soonest } from '#runtime/bus/soonest';
import { RequestDesk } from '#runtime/client/desk';
import { backoffMs, RetryTime } from '#runtime/client/retry-time';

test('an answer is waited for as long as answers take, never so short as to ask a node twice that only stands still', (t) => {
  const time = new RetryTime(2_000);
  t.is(time.afterMs(1), 2_000, 'nothing is known yet');
  for (let n = 0; n < 50; n += 1) time.observe(1);
  t.is(time.afterMs(1), 250);
  t.is(time.afterMs(2), 500);
  t.is(time.afterMs(3), 1_000);
  t.is(time.afterMs(9), 2_000);
  for (let n = 0; n < 50; n += 1) time.observe(n % 2 === 0 ? 300 : 500);
  t.true(time.afterMs(1) > 600, 'a slow realm is given the time it takes');
  t.is(new RetryTime(40).afterMs(1), 40);
});

test('who is overloaded is left alone for longer and longer; who is away is asked again soon', (t) => {
  t.is(backoffMs('overloaded', 1, 0.5), 20);
  t.is(backoffMs('overloaded', 4, 0.5), 160);
  t.is(backoffMs('overloaded', 20, 0.5), 1_000);
  for (const code of ['nobody_answers', 'log_unavailable']) t.is(backoffMs(code, 20, 0.5), 200);
  t.is(backoffMs('overloaded', 1, 0), 10);
});

/** A connection that notes what is published and tells what it is told to. */
function connection() {
  const published: string[] = [];
  let tell: (status: Status) => void = () => undefined;
  const told = new ReadableStream<Status>({
    start: (controller) => {
      tell = (status) => controller.enqueue(status);
    },
  });
  const nc = {
    subscribe: () => ({ unsubscribe() {} }),
    publish: (subject: string) => void published.push(subject),
    status: () => told,
    isClosed: () => false,
  } as unknown as NatsConnection;
  return { nc, published, tell: (status: Status) => tell(status) };
}

test('D4: what was under way when the connection was lost is sent again on the next one, a few at a time', async (t) => {
  const { nc, published, tell } = connection();
  const caller = new AbortController();
  const desk = new RequestDesk(nc, { outstandingMax: 1_000, attemptMs: 60_000, batching: false });
  const asked = Array.from({ length: 200 }, (_, n) =>
    desk.request({
      subject: (attempt) => `${n}.${attempt}`,
      message: () => ({ body: new Uint8Array(), headers: headers() }),
      batch: undefined,
      timeoutMs: 3_600_000,
      signal: caller.signal,
      read: () => ({ ok: true, value: n }),
    }),
  );
  t.is(published.length, 200);
  tell({ type: 'reconnect', server: 's2' });
  const sizes = new Set<number>();
  while (published.length < 400) {
    sizes.add(published.length - 200);
    await pause(1);
  }
  t.true(sizes.has(64), 'not all in one tick');
  t.deepEqual(
    published.slice(200).sort(),
    Array.from({ length: 200 }, (_, n) => `${n}.1`).sort(),
    'each once',
  );
  caller.abort();
  await Promise.allSettled(asked);
  await desk[Symbol.asyncDispose]();
});

test('a reading that nobody hears is made again before it is given up, and the first answer counts', async (t) => {
  let asked = 0;
  const unheard = new Promise<never>(() => undefined);
  t.is(await soonest(() => (++asked < 3 ? unheard : Promise.resolve('leader')), 5, 5), 'leader');
  t.is(asked, 3);
  const refusals = [new Error('first'), new Error('second')];
  const error = await t.throwsAsync(() =>
    soonest(() => Promise.reject(refusals.shift() ?? new Error()), 1, 2),
  );
  t.is(error.message, 'first');
});
