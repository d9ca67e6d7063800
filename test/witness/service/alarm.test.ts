/** A3, A4 of runtime/witness/service/alarm.ts: raising goes on until somebody takes it, and nothing of it is without bound. */
import test from 'ava';
import { nodeErrors } from '#runtime/node/errors';
import { Alarm, BREAKS_KEPT_MAX, BREAKS_TOLD_MAX } from '#runtime/witness/service/alarm';
import type { KnownBreak } from '#runtime/witness/service/state-store';
import { FabricError } from '#schemas/fabric-error';

/** The breaks of a store, in memory. */
class Kept {
  stored: readonly KnownBreak[] = [];

  async breaks(): Promise<object> {
    return { value: this.stored, revision: 1 };
  }

  async swapBreaks(breaks: readonly KnownBreak[]): Promise<number> {
    this.stored = breaks;
    return 2;
  }
}

test('a break that nobody takes is raised again and again, told of ever more rarely, and raised in the end', async (t) => {
  let isHalted = true;
  let raises = 0;
  const warned: number[] = [];
  const kept = new Kept();
  const alarm = await Alarm.open({
    store: kept as never,
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
  t.true(kept.stored[0]?.raised);
});

test('a break that is refused as none keeps no other from being entered; a shard that takes none is asked no further', async (t) => {
  const kept = new Kept();
  let asked: string[] = [];
  let failure = new FabricError(nodeErrors.api_bad_request, 'The break is not valid');
  const alarm = await Alarm.open({
    store: kept as never,
    publish: () => undefined,
    raise: async ({ id }) => {
      asked.push(id);
      if (id !== 'b2') throw failure;
    },
    now: () => 1,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  for (const id of ['b1', 'b2', 'b3']) alarm.tell({ id, kind: 'altered', what: 'changed' } as never);
  await alarm.flush();
  t.deepEqual(
    kept.stored.map(({ id, raised }) => [id, raised]),
    [
      ['b1', false],
      ['b2', true],
      ['b3', false],
    ],
  );
  asked = [];
  failure = new FabricError(nodeErrors.realm_unreachable, 'Nobody answered');
  await alarm.flush();
  t.deepEqual(asked, ['b1']);
});

test('past what is kept each break is told of once however often it is found, and counted as far as there is room (A4)', async (t) => {
  const kept = new Kept();
  const [published, errors]: [string[], string[]] = [[], []];
  const alarm = await Alarm.open({
    store: kept as never,
    publish: ({ id }) => void published.push(id),
    raise: async () => undefined,
    now: () => 1,
    logger: { debug() {}, info() {}, warn() {}, error: (_fields, event) => void errors.push(event) },
  });
  const pass = (count: number): void => {
    for (let n = 0; n < count; n += 1)
      alarm.tell({ id: `altered@${n}`, kind: 'altered', what: 'x' } as never);
  };
  for (let n = 0; n < 3; n += 1) pass(BREAKS_KEPT_MAX + 50);
  t.is(alarm.count, BREAKS_KEPT_MAX + 50);
  t.is(published.length, BREAKS_KEPT_MAX + 50);
  t.is(new Set(published).size, published.length);
  t.is(errors.filter((event) => event === 'log_breaks_too_many').length, 1);
  await alarm.flush();
  t.is(kept.stored.length, BREAKS_KEPT_MAX);
  pass(BREAKS_TOLD_MAX + 50);
  t.is(alarm.count, BREAKS_TOLD_MAX);
  t.is(published.length, BREAKS_TOLD_MAX);
});
