/** The table behind the ids a shard remembers. */
import test from 'ava';
import fc from 'fast-check';
import { NumberTable } from '#runtime/shard/number-table';

const KEY_MAX = Number.MAX_SAFE_INTEGER;

test('it holds what a Map would hold, through every growth', (t) => {
  // Few low bits: keys that want the same slot.
  const key = fc.oneof(
    fc.integer({ min: 0, max: KEY_MAX }),
    fc.integer({ min: 0, max: 2 ** 21 - 1 }).map((high) => high * 2 ** 32 + (high % 3)),
    fc.constantFrom(0, 1, KEY_MAX),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, fc.integer({ min: 0 })), { maxLength: 4_000 }),
      fc.array(key),
      (rows, more) => {
        const table = new NumberTable();
        const map = new Map(rows);
        for (const [k, v] of rows) table.set(k, v);
        t.is(table.size, map.size);
        for (const k of [...map.keys(), ...more]) t.is(table.get(k), map.get(k));
        const { keys, values } = table.pairs();
        t.is(keys.length, map.size);
        t.true(keys.every((k, at) => map.get(k) === values[at]));
      },
    ),
    { numRuns: 50 },
  );
});

test('a million keys are found again', (t) => {
  const table = new NumberTable();
  const keyOf = (n: number): number => ((n * 2_654_435_761) % 2 ** 32) + (n % 2 ** 21) * 2 ** 32;
  for (let n = 0; n < 1_000_000; n += 1) table.set(keyOf(n), n);
  let wrong = 0;
  for (let n = 0; n < 1_000_000; n += 1) if (table.get(keyOf(n)) !== n) wrong += 1;
  t.is(wrong, 0);
  t.is(table.size, 1_000_000);
});
