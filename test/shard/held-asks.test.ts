/** Asks that wait while their shard moves: one that cannot be handed on costs no other. */
import test from 'ava';
import { addressOfTail } from '#runtime/bus/subjects';
import { Doors, type DoorsOptions } from '#runtime/shard/doors';
import { HeldAsks } from '#runtime/shard/held-asks';
import type { Ask } from '#runtime/shard/ports';
import { silentLogger } from '../rig/nats.ts';

function askOf(subject: string, told: string[]): Ask {
  return {
    subject,
    body: new Uint8Array(),
    contentType: undefined,
    id: subject,
    from: undefined,
    trace: undefined,
    respond: (body) => told.push(`${subject} ${/"code":"(\w+)"/.exec(String(body))?.[1]}`),
    handOn: () => told.push(`${addressOfTail(subject)} handed on`),
  };
}

test('A1: what cannot be handed on is refused, what stands behind it is handed on', (t) => {
  const told: string[] = [];
  const held = new HeldAsks(3, silentLogger);
  for (const id of ['a', '!', 'b']) held.add(askOf(`if.ask.3.counter.${id}`, told));
  const gone = { ...askOf('if.ask.3.counter.!', told), respond: () => throwClosed() };
  held.add(gone);
  held.handOn(() => true);
  for (const id of ['?', 'c']) held.add(askOf(`if.ask.3.counter.${id}`, told));
  t.deepEqual(told, [
    'counter/a handed on',
    'if.ask.3.counter.! bad_subject',
    'counter/b handed on',
    'if.ask.3.counter.? bad_subject',
    'counter/c handed on',
  ]);
});

test('what is no ask is refused at the door of a shard that moves, and not kept', (t) => {
  const told: string[] = [];
  const deps = { addressOf: addressOfTail, shard: 3, logger: silentLogger };
  const doors = new Doors({ deps } as unknown as DoorsOptions);
  const held = doors.hold();
  for (const id of ['!', 'a']) doors.offer(askOf(`if.ask.3.counter.${id}`, told));
  t.deepEqual(told, ['if.ask.3.counter.! bad_subject']);
  t.is(held.size, 1);
});

function throwClosed(): never {
  throw new Error('closed connection');
}
