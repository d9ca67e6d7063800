/** J6: however many processes are wanted, few start at a time. */
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import test from 'ava';
import { Jail } from '#runtime/sandbox/jail/pool';
import { Starts } from '#runtime/sandbox/jail/starts';
import { running, taskOf } from '../../rig/jail.ts';

test('starts wait in turn, and one that fails makes room like any other', async (t) => {
  const starts = new Starts(2);
  const begun: number[] = [];
  const ends = [0, 1, 2, 3].map(() => Promise.withResolvers<number>());
  const all = ends.map(({ promise }, n) =>
    starts.run(() => {
      begun.push(n);
      return promise;
    }),
  );
  t.deepEqual(begun, [0, 1]);
  ends[1]?.reject(new Error('it did not start'));
  await t.throwsAsync(all[1] ?? Promise.resolve(), { message: 'it did not start' });
  t.deepEqual(begun, [0, 1, 2]);
  for (const [n, { resolve }] of ends.entries()) resolve(n);
  t.deepEqual(await Promise.all(all.filter((_, n) => n !== 1)), [0, 2, 3]);
  t.is(await starts.run(async () => 4), 4);
});

test('a jail that many tenants want at once starts its processes one after the other', async (t) => {
  let starting = 0;
  let most = 0;
  const count = (message: unknown): void => {
    const { process } = message as { readonly process: ChildProcess };
    // Layers are tried by processes without an output; those of the jail say when they have started.
    process.once('spawn', () => {
      if (process.stdout === null) return;
      starting += 1;
      most = Math.max(most, starting);
      process.stdout.once('data', () => (starting -= 1));
    });
  };
  await using jail = await Jail.open({ require: 'any', size: 3, spares: 1, startsMax: 1 });
  await jail.run(taskOf(running('return input;'), { tenant: 'first' }));
  subscribe('child_process', count);
  try {
    const tenants = ['a', 'b'].map((tenant) => jail.run(taskOf(running('return input;'), { tenant })));
    for (const { kind } of await Promise.all(tenants)) t.is(kind, 'done');
  } finally {
    unsubscribe('child_process', count);
  }
  t.is(most, 1);
});
