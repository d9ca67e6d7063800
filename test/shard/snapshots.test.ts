/** Snapshots are what the log states, to the last bit, and no recovery begins with anything else (L1, L2, N2, S1, S2). */
import { randomInt } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { decode, decodeCommit, encode } from '#runtime/bus/codec';
import { restoreShard } from '#runtime/shard/restore';
import { damagedName, type Manifest, manifestsOf } from '#runtime/shard/snapshot-format';
import { emptyState } from '#runtime/shard/state';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import type { LogMessage } from '#runtime/witness/log-reader';
import { type SnapshotFindings, verifySnapshots } from '#runtime/witness/verify/snapshots';
import type { FabricError } from '#schemas/fabric-error';
import { worker } from '../rig/kernel-machines.ts';
import { silentLogger } from '../rig/nats.ts';
import { isEveryday } from '../rig/tier.ts';

const machines = { worker };
/** Coprime to eight: every place in a byte has its turn. */
const BIT_STRIDE = isEveryday ? 13 : 1;
/** Of long blobs each seventh of these. */
const BIT_STRIDE_LONG = BIT_STRIDE * 7;
const BLOB_SHORT_MAX = 2_000;

/** A realm with a stated snapshot of many passivated actors, some of them in later segments. */
async function withSnapshot(rounds = 9): Promise<TestRealm> {
  const realm = await testRealm({
    machines,
    limits: { snapshotEveryEntries: 20, passivateAfterMs: 1, residentMax: 1, dedupeWindow: 8 },
  });
  for (let round = 0; round < rounds; round += 1) {
    for (let n = 0; n < 10; n += 1) {
      await realm.ask(
        `worker/w${(round * 7 + n) % 20}`,
        { type: 'note', n: round },
        // A few ids in either half.
        n === 0 ? { id: `${round}`, from: 'a' } : {},
      );
    }
    await realm.advance('1s');
  }
  await realm.idle();
  return realm;
}

async function verified(realm: TestRealm): Promise<SnapshotFindings> {
  const messages: LogMessage[] = realm.bus
    .commits(0)
    .map(({ seq, bytes }) => ({ seq, shard: 0, bytes, storedAt: 0 }));
  return await verifySnapshots({
    blobs: realm.bus.blobStore(0),
    log: {
      range: async () => ({ first: 1, last: messages.at(-1)?.seq ?? 0 }),
      async *read(from, through) {
        yield messages.filter(({ seq }) => seq >= from && seq <= through);
      },
      get: async (wanted) => messages.find(({ seq }) => seq === wanted),
    },
  });
}

function manifestOf({ bus }: TestRealm): string {
  const [newest] = manifestsOf([...bus.blobs.keys()]);
  if (newest === undefined) throw new Error('there is no manifest');
  return newest;
}

async function everything(realm: TestRealm): Promise<unknown[]> {
  const states: unknown[] = [];
  for (let n = 0; n < 20; n += 1) states.push((await realm.actor(`worker/w${n}`)).context);
  return states;
}

async function restarted(t: ExecutionContext, realm: TestRealm, live: unknown, why: string): Promise<void> {
  realm.crash();
  await realm.restart();
  t.deepEqual(await everything(realm), live, why);
}

test('a snapshot that nobody touched verifies, and the commit right behind it states it (N2)', async (t) => {
  await using realm = await withSnapshot();
  const found = await verified(realm);
  t.deepEqual(found.breaks, []);
  t.is(found.snapshots, 1);
  t.is(found.unstated, 0);
  t.is(found.blobs, [...realm.bus.blobs.keys()].length);
  const stated = realm.bus.commits(0).filter(({ bytes }) => decodeCommit(bytes).snapshot !== undefined);
  t.is(decodeCommit(stated.at(-1)?.bytes ?? new Uint8Array()).snapshot?.manifest, manifestOf(realm));
});

test('each single bit of manifest, tables, indexes and pages that flips is found (S1)', async (t) => {
  await using realm = await withSnapshot();
  let flips = 0;
  for (const [name, bytes] of [...realm.bus.blobs]) {
    const stride = bytes.byteLength > BLOB_SHORT_MAX ? BIT_STRIDE_LONG : BIT_STRIDE;
    for (let bit = randomInt(stride); bit < bytes.byteLength * 8; bit += stride) {
      const flipped = Uint8Array.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      realm.bus.blobs.set(name, flipped);
      const { breaks } = await verified(realm);
      if (breaks[0]?.kind !== 'snapshot') t.fail(`bit ${bit} of ${name} flipped and nothing was found`);
      flips += 1;
    }
    realm.bus.blobs.set(name, bytes);
  }
  t.log(`${flips} flips`);
  t.true(flips > 5_000 / BIT_STRIDE);
  t.deepEqual((await verified(realm)).breaks, []);
});

test('each object of a snapshot that is gone or swapped for another is found (S1)', async (t) => {
  await using realm = await withSnapshot();
  const blobs = [...realm.bus.blobs];
  for (const [name, bytes] of blobs) {
    realm.bus.blobs.delete(name);
    t.is((await verified(realm)).breaks[0]?.kind, 'snapshot', `${name} is gone`);
    for (const [other, otherBytes] of blobs) {
      if (other === name) continue;
      realm.bus.blobs.set(name, otherBytes);
      t.is((await verified(realm)).breaks[0]?.kind, 'snapshot', `${name} is ${other}`);
    }
    realm.bus.blobs.set(name, bytes);
  }
});

test('a snapshot that the log states last is missed where it is gone, all at once or for an older one (S3)', async (t) => {
  await using realm = await withSnapshot();
  const statement = realm.bus.commits(0).findLast(({ bytes }) => decodeCommit(bytes).snapshot !== undefined);
  const before = new Map(realm.bus.blobs);
  const newest = manifestOf(realm);
  const missed = async (why: string): Promise<void> => {
    const { breaks } = await verified(realm);
    t.deepEqual(
      breaks.map(({ kind, seq, shard }) => [kind, seq, shard]),
      [['snapshot', statement?.seq, 0]],
      why,
    );
    t.true(breaks[0]?.what.includes(newest), why);
  };
  realm.bus.blobs.delete(newest);
  await missed('the manifest');
  realm.bus.blobs.clear();
  await missed('everything');
  for (const [name, bytes] of before) realm.bus.blobs.set(name, bytes);
  realm.bus.blobs.set(damagedName(newest), new Uint8Array());
  await missed('distrusted');
  realm.bus.blobs.delete(damagedName(newest));
  // What a backup of the objects has: whole, stated, and not the last.
  for (let n = 0; n < 40; n += 1) await realm.ask('worker/w4', { type: 'note', n });
  await realm.idle();
  t.not(manifestOf(realm), newest);
  t.deepEqual((await verified(realm)).breaks, [], 'what came before the newest is tidied away');
  const later = manifestOf(realm);
  realm.bus.blobs.clear();
  for (const [name, bytes] of before) realm.bus.blobs.set(name, bytes);
  const { snapshots, breaks } = await verified(realm);
  t.deepEqual([snapshots, breaks.length], [1, 1]);
  t.true(breaks[0]?.what.startsWith(`it states ${later}, `));
});

test('whatever of a snapshot is damaged, a recovery passes it over and folds the log: the states are the same (L2)', async (t) => {
  await using realm = await withSnapshot();
  const live = await everything(realm);
  for (const part of ['manifest-', 'tables-', '/index', 'ids-']) {
    const name = [...realm.bus.blobs.keys()].filter((one) => one.includes(part)).at(-1) ?? '';
    const bytes = realm.bus.blobs.get(name) ?? new Uint8Array();
    realm.bus.blobs.set(name, bytes.subarray(0, bytes.byteLength - 1));
    await restarted(t, realm, live, part);
    realm.bus.blobs.set(name, bytes);
  }
});

/** All states; of a realm that runs on, its actors passivated, or of one that is down. */
async function seenAfter(realm: TestRealm, isRunning: boolean): Promise<unknown[]> {
  await realm.restart();
  const live = await everything(realm);
  if (!isRunning) {
    realm.crash();
    return live;
  }
  for (let round = 0; round < 3; round += 1) {
    for (let n = 0; n < 20; n += 1) await realm.ask(`worker/w${n}`, { type: 'note', n: round });
    await realm.advance('1s');
  }
  return live.map((context) => ({ ...(context as object), seen: [...(context as Seen).seen, 0, 1, 2] }));
}

interface Seen {
  readonly seen: readonly unknown[];
}

test('a damaged page is found when the fold or an actor on it needs it: the shard goes on without that snapshot (L2)', async (t) => {
  for (const isRunning of [false, true]) {
    await using realm = await withSnapshot();
    realm.crash();
    const live = await seenAfter(realm, isRunning);
    for (const [name, bytes] of [...realm.bus.blobs]) {
      if (/\/\d+$/.test(name))
        realm.bus.blobs.set(
          name,
          Uint8Array.from(bytes, (byte) => byte ^ 1),
        );
    }
    if (isRunning) {
      const asks = live.map((_, n) => realm.ask(`worker/w${n}`, { type: 'note', n: 'lost' }));
      const failed = (await Promise.allSettled(asks)).filter(({ status }) => status === 'rejected');
      t.is((failed[0] as PromiseRejectedResult | undefined)?.reason.code, 'snapshot_damaged');
    }
    await restarted(t, realm, live, isRunning ? 'an actor' : 'the fold');
    for (let n = 0; n < 40; n += 1) await realm.ask('worker/w4', { type: 'note', n });
    await realm.idle();
    t.deepEqual((await verified(realm)).breaks, []);
    t.false(
      [...realm.bus.blobs.keys()].some((name) => name.includes('damaged-')),
      'what is not needed goes',
    );
  }
});

test('a snapshot that no commit states does not count, and the one before it is whole (L1, N2, N3)', async (t) => {
  await using realm = await withSnapshot();
  const before = manifestOf(realm);
  // Every commit that states a snapshot is lost with its node.
  realm.bus.fate = ({ kind }) => (kind === 'append' && manifestOf(realm) !== before ? 'lost' : 'ok');
  for (let n = 0; n < 30 && manifestOf(realm) === before; n += 1) {
    await Promise.race([
      realm.ask('worker/w1', { type: 'note', n }, { id: `l${n}` }),
      realm.advance('1s'),
    ]).catch(() => {});
  }
  t.not(manifestOf(realm), before);
  realm.crash();
  const found = await verified(realm);
  t.is(found.unstated, 1);
  t.deepEqual(found.breaks, []);
  t.is(found.snapshots, 1);
  realm.bus.fate = () => 'ok';
  await realm.restart();
  const counted = (await realm.actor('worker/w1')).context as { seen: unknown[] };
  t.true(counted.seen.length > 0);
  await realm.idle();
  // A forged one is as little worth: this one holds no actor.
  const forged = manifestOf(realm).replace(/manifest-\d/, 'manifest-9');
  const real = decode(realm.bus.blobs.get(manifestOf(realm)) ?? new Uint8Array()) as Manifest;
  realm.bus.blobs.set(forged, encode({ ...real, segments: [] }));
  const live = await everything(realm);
  await restarted(t, realm, live, 'forged');
});

test('a log that gives less than it has is never taken for the whole: no id of the window is forgotten', async (t) => {
  await using realm = await testRealm({
    machines,
    limits: { snapshotEveryEntries: 20, passivateAfterMs: 1, residentMax: 1 },
  });
  const ids = Array.from({ length: 50 }, (_, n) => `id-${n}`);
  for (const [n, id] of ids.entries()) {
    await realm.ask(`worker/w${n % 5}`, { type: 'note', n }, { id, from: 'a' });
    await realm.advance('100ms');
  }
  await realm.idle();
  const last = realm.bus.commits(0).at(-1);
  /** Gives `most` commits of a range at most. */
  const restore = async (most: number) => {
    const log = realm.bus.log(0);
    const { state } = await restoreShard({
      shard: 0,
      blobs: realm.bus.blobStore(0),
      log: {
        ...log,
        async *read(afterSeq, throughSeq) {
          let given = 0;
          for await (const stored of log.read(afterSeq, throughSeq)) {
            if (given === most) return;
            given += 1;
            yield stored;
          }
        },
      },
      eventOf: () => {
        throw new Error('there are no envelopes');
      },
      logger: silentLogger,
      throughSeq: last?.seq ?? 0,
      epoch: 1,
      empty: () =>
        emptyState({
          shard: 0,
          registry: realm.registry,
          shardOf: () => 0,
          dedupeWindow: 1_000,
          dedupeSeed: 1,
        }),
      checkWanted: () => {},
    });
    return ids.map((id, n) => state.dedupe.get(state.dedupe.key('a', `worker/w${n % 5}`, id)) !== undefined);
  };
  const all = ids.map(() => true);
  t.deepEqual(await restore(Number.POSITIVE_INFINITY), all);
  let whole = 0;
  for (let most = 0; most <= realm.bus.commits(0).length; most += 1) {
    const known = await restore(most).catch((thrown: unknown) => {
      t.is((thrown as FabricError).code, 'log_unread', String(thrown));
    });
    if (known === undefined) continue;
    whole += 1;
    t.deepEqual(known, all, `at most ${most} commits a read`);
  }
  t.true(whole > 0);
});
