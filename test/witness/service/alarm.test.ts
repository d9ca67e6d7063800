/** A3 of runtime/witness/service/alarm.ts: raising goes on until somebody takes it, and does not fill the log with it. */
import test from 'ava';
import { Alarm } from '#runtime/witness/service/alarm';
import type { KnownBreak } from '#runtime/witness/service/state-store';

test('a break that nobody takes is raised again and again, told of ever more rarely, and raised in the end', async (t) => {
  let isHalted = true;
  let raises = 0;
  const warned: number[] = [];
  let stored: readonly KnownBreak[] = [];
  const alarm = await Alarm.open({
    store: {
      breaks: async () => ({ value: stored, revision: 1 }),
      swapBreaks: async (breaks: readonly KnownBreak[]) => {
        stored = breaks;
        return 2;
      },
    } as never,
    publish: () => undefined,
    raise: async () => {
      raises += 1;
      if (isHalted) throw new Error('the shard is halted');
    },
    now: () => 1,
    logger: {
      debug() {},
      info() {},
      error() {},
      warn: (fields) => void warned.push((fields as { attempts: number }).attempts),
    },
  });
  alarm.tell({ id: 'b1', kind: 'altered', what: 'changed' } as never);
  for (let n = 0; n < 99; n += 1) await alarm.flush();
  t.true(raises >= 99);
  t.deepEqual(warned, [1, 2, 4, 8, 16, 32, 64]);
  isHalted = false;
  await alarm.flush();
  t.true(stored[0]?.raised);
});
