import test from 'ava';
import { assign, setup } from 'xstate';
import { FirstAnswers } from '#runtime/shard/first-answers';
import { testRealm } from '#runtime/testing/testing';
import { kernelActions } from '#schemas/machine-kit';
import { worker } from '../rig/kernel-machines.ts';

const KIB = 1024;

/** Holds as many bytes as it is told to, and tells whoever asks how many. */
const holder = setup({
  types: {} as { context: { text: string }; events: { type: 'hold'; bytes: number } | { type: 'size' } },
  actions: kernelActions,
}).createMachine({
  id: 'holder',
  version: '1',
  context: { text: '' },
  on: {
    hold: { actions: assign({ text: ({ event }) => 'x'.repeat(event.bytes) }) },
    size: {
      actions: {
        type: 'reply',
        params: ({ context }) => ({ bytes: context.text.length, text: context.text }),
      },
    },
  },
});

test('a commit too big for the server is undone and refused by itself, and everybody else is served (P6)', async (t) => {
  await using realm = await testRealm({ machines: { worker, holder }, bytesMax: 96 * KIB });
  await realm.ask('holder/big', { type: 'hold', bytes: 120 * KIB });
  const refused = await t.throwsAsync(realm.ask('holder/big', { type: 'size' }));
  t.regex(String((refused as { code?: string }).code), /output_too_big|batch_undone/);
  // A send of the same comes back after every undoing, until it is refused for good.
  await realm.send('holder/big', { type: 'size' });
  await realm.send('worker/a', { type: 'note', n: 1 });
  await realm.advance('1m');
  t.deepEqual((await realm.ask('worker/a', { type: 'note', n: 2 })).reply, { count: 2 });
  t.is(realm.dead().length, 1);
  t.is(realm.dead()[0]?.error.code, 'output_too_big');
});

test('retries of one message beyond a bound are refused, and the message is still done once (P7)', async (t) => {
  await using realm = await testRealm({ machines: { worker } });
  const asks = Array.from({ length: 40 }, () =>
    realm.ask('worker/a', { type: 'note', n: 0 }, { id: 'same' }).then(
      () => 'ok',
      (error: { code: string }) => error.code,
    ),
  );
  const outcomes = await Promise.all(asks);
  t.deepEqual(new Set(outcomes), new Set(['ok', 'overloaded']));
  t.deepEqual((await realm.ask('worker/a', { type: 'note', n: 1 })).reply, { count: 2 });
});

test('first answers of many messages that come again are right, read a few at a time, each commit once (P7)', async (t) => {
  await using realm = await testRealm({ machines: { worker } });
  for (let n = 0; n < 50; n++) await realm.ask('worker/a', { type: 'note', n }, { id: `m${n}` });
  const again = await Promise.all(
    Array.from({ length: 50 }, (_, n) => realm.ask('worker/a', { type: 'note', n }, { id: `m${n}` })),
  );
  t.deepEqual(
    again.map(({ reply }) => reply),
    Array.from({ length: 50 }, (_, n) => ({ count: n + 1 })),
  );

  const log = realm.bus.log(0);
  const last = (await log.head())?.seq ?? 0;
  let reading = 0;
  let most = 0;
  let reads = 0;
  const answers = new FirstAnswers({
    ...log,
    async get(seq) {
      reads += 1;
      reading += 1;
      most = Math.max(most, reading);
      await Promise.resolve();
      reading -= 1;
      return log.get(seq);
    },
  });
  const wanted = Array.from({ length: 200 }, (_, n) => 1 + (n % last));
  const commits = await Promise.all(wanted.map((seq) => answers.commitAt(seq)));
  t.true(commits.every((commit) => commit !== undefined));
  t.is(reads, last);
  t.is(most, 4);
});
