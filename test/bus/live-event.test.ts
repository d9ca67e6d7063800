/** What arrives at the subject of an event, and what listeners do with it, never reaches the reader of the connection. */
import { headers, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/nats-core';
import test from 'ava';
import { type EventBody, eventHeaders, listenToEvents, readLiveEvent } from '#runtime/bus/live-event';

type Callback = (error: Error | null, message: Msg) => void;

function message(text: string, hdrs: MsgHdrs | 'broken' | 'none' = eventHeaders()): Msg {
  return {
    json: () => JSON.parse(text) as unknown,
    get headers() {
      if (hdrs === 'broken') throw new Error('Invalid header');
      return hdrs === 'none' ? undefined : hdrs;
    },
  } as unknown as Msg;
}

/** A connection whose one subscription is the test's to call. */
function connection(): { readonly nc: NatsConnection; call: Callback } {
  const made = {
    call: (() => undefined) as Callback,
    nc: {
      subscribe: (_: string, { callback }: { callback: Callback }) => {
        made.call = callback;
      },
    } as unknown as NatsConnection,
  };
  return made;
}

test('a live event is JSON under the mark of events, and nothing else is one', (t) => {
  t.deepEqual(readLiveEvent(message('{"type":"task.added"}')), { type: 'task.added' });
  t.deepEqual(readLiveEvent(message('"a guest may say this"')), 'a guest may say this');
  t.is(readLiveEvent(message('hello')), undefined);
  t.is(readLiveEvent(message('{}', headers())), undefined, "somebody's answer");
  t.is(readLiveEvent(message('{}', 'none')), undefined);
  t.is(readLiveEvent(message('{}', 'broken')), undefined);
});

test('a listener hears objects only, and what it throws goes where it is told of', (t) => {
  const from = connection();
  const heard: EventBody[] = [];
  const failed: unknown[] = [];
  const bad = new Error('of the listener');
  listenToEvents(
    from.nc,
    'if.ev.task.x.>',
    (body) => {
      heard.push(body);
      if (body['bad'] === true) throw bad;
    },
    (thrown) => failed.push(thrown),
  );
  t.notThrows(() => {
    for (const text of ['hello', 'null', '[1]', '7', '{"bad":true}', '{"n":1}'])
      from.call(null, message(text));
    from.call(new Error('not permitted'), message('{"n":2}'));
  });
  t.deepEqual(heard, [{ bad: true }, { n: 1 }]);
  t.deepEqual(failed, [bad]);
});

test.serial('an error that nobody asked for is an uncaught one, and not lost', (t) => {
  const from = connection();
  const later: (() => void)[] = [];
  const plain = globalThis.queueMicrotask;
  globalThis.queueMicrotask = (run) => void later.push(run);
  t.teardown(() => {
    globalThis.queueMicrotask = plain;
  });
  listenToEvents(from.nc, 'if.ev.task.x.>', () => {
    throw new Error('of the listener');
  });
  t.notThrows(() => from.call(null, message('{}')));
  t.is(later.length, 1);
  t.throws(() => later[0]?.(), { message: 'of the listener' });
});
