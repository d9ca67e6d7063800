/** What a shard remembers of message ids outlives its owner, and a new one need not read the log for it (I1, I2). */
import test from 'ava';
import fc from 'fast-check';
import { decodeCommit } from '#runtime/bus/codec';
import { type Restored, restoreShard } from '#runtime/shard/restore';
import { emptyState } from '#runtime/shard/state';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import type { FabricError } from '#schemas/fabric-error';
import { worker } from '../rig/kernel-machines.ts';
import { silentLogger } from '../rig/nats.ts';

const machines = { worker };
const OWN_SEED = 7;

interface Read {
  readonly restored: Restored;
  /** After which sequences the log was read. */
  readonly reads: readonly number[];
}

/** Takes the shard over, as a node does that has never seen it. */
async function takeOver(
  realm: TestRealm,
  dedupeWindow: number,
  seed?: number,
  logger = silentLogger,
  epoch = Number.MAX_SAFE_INTEGER,
): Promise<Read> {
  const log = realm.bus.log(0);
  const reads: number[] = [];
  const restored = await restoreShard({
    shard: 0,
    blobs: realm.bus.blobStore(0),
    log: {
      ...log,
      read(afterSeq, throughSeq) {
        reads.push(afterSeq);
        return log.read(afterSeq, throughSeq);
      },
    },
    eventOf: () => {
      throw new Error('there are no envelopes');
    },
    logger,
    throughSeq: realm.bus.commits(0).at(-1)?.seq ?? 0,
    epoch,
    seed,
    empty: () =>
      emptyState({
        shard: 0,
        registry: realm.registry,
        shardOf: () => 0,
        dedupeWindow,
        dedupeSeed: seed ?? OWN_SEED,
      }),
    checkWanted: () => {},
  });
  return { restored, reads };
}

/** Ids with their actors and where the log answers them, oldest first. */
function idsOf(realm: TestRealm): { actor: string; id: string; seq: number }[] {
  return realm.bus
    .commits(0)
    .flatMap(({ seq, bytes }) =>
      decodeCommit(bytes).entries.flatMap(({ actor, cause }) =>
        cause.kind === 'ask' && cause.id !== undefined ? [{ actor, id: cause.id, seq }] : [],
      ),
    );
}

function forgotten(realm: TestRealm, { dedupe }: Restored['state'], count: number): string[] {
  return idsOf(realm)
    .slice(-count)
    .filter(({ actor, id, seq }) => dedupe.get(dedupe.key('a', actor, id)) !== seq)
    .map(({ id }) => id);
}

async function asked(realm: TestRealm, from: number, through: number, together: number): Promise<void> {
  for (let n = from; n < through; n += together) {
    const some = Array.from({ length: Math.min(together, through - n) }, (_, k) => n + k);
    const asks = some.map((k) =>
      realm.ask(`worker/w${k % 5}`, { type: 'note', n: k }, { id: `id-${k}`, from: 'a' }),
    );
    await Promise.all([...asks, realm.advance('100ms')]);
  }
}

test('whatever window, commits and snapshots, half a window of ids is found after each change of owner', async (t) => {
  const history = fc.record({
    window: fc.constantFrom(2, 3, 8, 20, 60, 1_000),
    together: fc.constantFrom(1, 4, 9),
    snapshotEveryEntries: fc.constantFrom(3, 10, 25),
    lives: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(history, async ({ window, together, snapshotEveryEntries, lives }) => {
      await using realm = await testRealm({
        machines,
        limits: { snapshotEveryEntries, dedupeWindow: window, residentMax: 1, passivateAfterMs: 1 },
      });
      let n = 0;
      for (const count of lives) {
        await asked(realm, n, n + count, together);
        n += count;
        realm.crash();
        await realm.restart();
        const { restored } = await takeOver(realm, window);
        t.deepEqual(forgotten(realm, restored.state, Math.floor(window / 2)), []);
      }
    }),
    { numRuns: 40 },
  );
});

test('a new owner reads no commit from before the snapshot, and goes on under its seed', async (t) => {
  await using realm = await testRealm({ machines, limits: { snapshotEveryEntries: 10 } });
  await asked(realm, 0, 57, 1);
  await realm.idle();
  const { restored, reads } = await takeOver(realm, 1_000);
  const since = restored.base?.tables.seq ?? 0;
  t.true(since > 40);
  t.true(reads.every((afterSeq) => afterSeq >= since));
  t.true(restored.isResumed);
  t.not(restored.state.dedupe.seed, OWN_SEED);
  t.deepEqual(forgotten(realm, restored.state, 57), []);
});

test('who has hashed under a seed of its own keeps it, and reads the log', async (t) => {
  await using realm = await testRealm({ machines, limits: { snapshotEveryEntries: 10 } });
  await asked(realm, 0, 35, 1);
  await realm.idle();
  const { restored, reads } = await takeOver(realm, 1_000, OWN_SEED);
  t.false(restored.isResumed);
  t.is(restored.state.dedupe.seed, OWN_SEED);
  t.true(reads.some((afterSeq) => afterSeq < 10));
  t.deepEqual(forgotten(realm, restored.state, 35), []);
});

test('ids that are damaged or gone are told and read from the log; the snapshot counts all the same', async (t) => {
  await using realm = await testRealm({ machines, limits: { snapshotEveryEntries: 10 } });
  await asked(realm, 0, 35, 1);
  await realm.idle();
  const name = [...realm.bus.blobs.keys()].find((one) => one.includes('/ids-')) ?? '';
  const bytes = realm.bus.blobs.get(name) ?? new Uint8Array();
  const told: string[] = [];
  const logger = { ...silentLogger, error: (_: object, event: string) => void told.push(event) };
  for (const damage of [
    () => realm.bus.blobs.set(name, bytes.toReversed()),
    () => realm.bus.blobs.delete(name),
  ]) {
    damage();
    const { restored } = await takeOver(realm, 1_000, undefined, logger);
    t.false(restored.isResumed);
    t.not(restored.base, undefined);
    t.deepEqual(forgotten(realm, restored.state, 35), []);
  }
  t.deepEqual(told, ['snapshot_damaged', 'snapshot_damaged']);
});

test('ids that a later owner has let go of end the taking over, as all else of its does', async (t) => {
  await using realm = await testRealm({ machines, limits: { snapshotEveryEntries: 10 } });
  await asked(realm, 0, 35, 1);
  await realm.idle();
  for (const name of [...realm.bus.blobs.keys()]) if (name.includes('/ids-')) realm.bus.blobs.delete(name);
  const error = await t.throwsAsync<FabricError>(takeOver(realm, 1_000, undefined, silentLogger, 0));
  t.is(error?.code, 'shard_moved');
});

test('a full half is stored once, and what no manifest names goes', async (t) => {
  await using realm = await testRealm({ machines, limits: { snapshotEveryEntries: 5, dedupeWindow: 40 } });
  const names = new Set<string>();
  const halves = (): string[] => [...realm.bus.blobs.keys()].filter((name) => name.includes('/ids-'));
  for (let n = 0; n < 100; n += 5) {
    await asked(realm, n, n + 5, 1);
    await realm.idle();
    for (const name of halves()) names.add(name);
    t.true(halves().length <= 2);
  }
  // Of the first half: one blob for each snapshot while it grew, and one of all of it.
  const first = [...names].filter((name) => /ids-\d+-\d+-0$/.test(name));
  t.true(first.length <= 5, first.join());
});
