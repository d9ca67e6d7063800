import { setTimeout as pause } from 'node:timers/promises';
import { headers, type Msg, type NatsConnection, type Status } from '@nats-io/nats-core';
import test from 'ava';
import { RetryTime } from '#runtime/bus/retry-time';
import { soonest } from '#runtime/bus/soonest';
import { backoffMs } from '#runtime/client/backoff';
import { RequestDesk } from '#runtime/client/desk';

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
  for (const code of ['nobody_answers', 'shard_unowned', 'shard_moved', 'log_unavailable'])
    t.is(backoffMs(code, 20, 0.5), 100);
  t.is(backoffMs('overloaded', 1, 0), 10);
});

/** A connection that notes what is published and tells what it is told to. */
function connection() {
  const published: string[] = [];
  let lastReply = '';
  let deliver: (error: null, message: Msg) => void = () => undefined;
  let tell: (status: Status) => void = () => undefined;
  const told = new ReadableStream<Status>({
    start: (controller) => {
      tell = (status) => controller.enqueue(status);
    },
  });
  const nc = {
    subscribe(_: string, { callback }: { callback: typeof deliver }) {
      deliver = callback;
      return { unsubscribe() {} };
    },
    publish(subject: string, _: unknown, { reply }: { reply: string }) {
      published.push(subject);
      lastReply = reply;
    },
    status: () => told,
    isClosed: () => false,
  } as unknown as NatsConnection;
  /** Nobody listens where the last message went. */
  const nobody = (): void => {
    const message = { subject: lastReply, data: new Uint8Array(), headers: { code: 503 } };
    deliver(null, message as unknown as Msg);
  };
  return { nc, published, tell: (status: Status) => tell(status), nobody };
}

test('D4: what was under way when the connection was lost is sent again on the next one, a few at a time', async (t) => {
  const { nc, published, tell } = connection();
  const caller = new AbortController();
  const desk = new RequestDesk(nc, {
    outstandingMax: 1_000,
    attemptMs: 60_000,
    batching: false,
    astray: () => undefined,
  });
  const asked = Array.from({ length: 200 }, (_, n) =>
    desk.request({
      subjects: { straight: `${n}`, anyNode: 'never' },
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
  t.deepEqual(published.slice(200).sort(), Array.from({ length: 200 }, (_, n) => `${n}`).sort(), 'each once');
  caller.abort();
  await Promise.allSettled(asked);
  await desk[Symbol.asyncDispose]();
});

test('D5: who meets nobody asks through any node, and goes straight again before an answer would be due', async (t) => {
  const { nc, published, nobody } = connection();
  const caller = new AbortController();
  const desk = new RequestDesk(nc, {
    outstandingMax: 1,
    attemptMs: 3_600_000,
    batching: false,
    astray: () => undefined,
  });
  const asked = desk.request({
    subjects: { straight: 'owner', anyNode: 'any' },
    message: () => ({ body: new Uint8Array(), headers: headers() }),
    batch: undefined,
    timeoutMs: 3_600_000,
    signal: caller.signal,
    read: () => ({ ok: true, value: undefined }),
  });
  const sent = async (count: number): Promise<void> => {
    while (published.length < count) await pause(1);
  };
  nobody();
  await sent(2);
  t.deepEqual(published, ['owner', 'any']);
  // Handed on to one who has gone: nobody says so.
  await sent(3);
  t.deepEqual(published, ['owner', 'any', 'owner'], 'not after the hour that an answer may take');
  caller.abort();
  await t.throwsAsync(asked);
  await desk[Symbol.asyncDispose]();
});

test('a reading that nobody hears is made again before it is given up, and the first answer counts', async (t) => {
  let asked = 0;
  const unheard = new Promise<never>(() => undefined);
  t.is(await soonest(() => (++asked < 3 ? unheard : Promise.resolve('leader')), 5, 5), 'leader');
  t.is(asked, 3);
  const enough = AbortSignal.abort();
  await t.throwsAsync(
    soonest(() => Promise.reject(new Error('away')), 3_600_000, 2, enough),
    { message: 'away' },
    'not asked again, nor waited for',
  );
  const refusals = [new Error('first'), new Error('second')];
  const error = await t.throwsAsync(() =>
    soonest(() => Promise.reject(refusals.shift() ?? new Error()), 1, 2),
  );
  t.is(error.message, 'first');
});
