/** Breaks W1–W6 of runtime/witness/service/builder.ts. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import test, { type ExecutionContext } from 'ava';
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { parseCheckpoint } from '#runtime/witness/checkpoint';
import { encodeLeaf } from '#runtime/witness/leaf';
import type { LogReader } from '#runtime/witness/log-reader';
import { merkle } from '#runtime/witness/node-crypto';
import { parseNote } from '#runtime/witness/note';
import { rememberPublished, type SignedRecord } from '#runtime/witness/service/signed-record';
import { signerOf } from '#runtime/witness/service/signer';
import type { SignedState } from '#runtime/witness/service/state-store';
import { natsTiles } from '#runtime/witness/service/tile-store';
import { tilePath } from '#runtime/witness/tiles';
import { logBreakSchema } from '#schemas/log-break';
import { LogWriter, ORIGIN, PATIENCE_MS, SEED, WitnessRig } from './rig.ts';

/** RFC 6962, 2.1, to the letter. */
function plainRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves;
  if (first === undefined) return sha256(new Uint8Array());
  if (leaves.length === 1) return merkle.leafHash(first);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return merkle.nodeHash(plainRoot(leaves.slice(0, k)), plainRoot(leaves.slice(k)));
}

async function leavesOf(reader: LogReader): Promise<Uint8Array[]> {
  const leaves: Uint8Array[] = [];
  for await (const batch of reader.read(1, (await reader.range()).last)) {
    for (const { seq, bytes } of batch) {
      leaves.push(encodeLeaf({ ...decodeCommit(bytes), seq, hash: sha256(bytes) }));
    }
  }
  return leaves;
}

function checkpointOf(note: string | undefined) {
  const parsed = parseNote(Buffer.from(note ?? ''));
  const checkpoint = parsed && parseCheckpoint(parsed.text);
  if (checkpoint === undefined) throw new Error(`no checkpoint: ${note}`);
  return checkpoint;
}

test('a checkpoint has the RFC 6962 root over the log, and a restart takes up from the tiles and the last commits', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(600);
  await rig.build();
  const first = checkpointOf(rig.notes.at(-1));
  const reader = await natsLogReader(rig.nc, rig.subjects);
  t.is(first.size, 600);
  t.deepEqual(Buffer.from(first.root), Buffer.from(plainRoot(await leavesOf(reader))));

  await rig.writer.append(100);
  const from: number[] = [];
  const counting: LogReader = {
    ...bound(reader),
    read: (start, through, signal) => {
      from.push(start);
      return reader.read(start, through, signal);
    },
    follow: (start, signal) => {
      from.push(start);
      return reader.follow(start, signal);
    },
  };
  await rig.build({ reader: counting });
  t.deepEqual(from, [513, 601], 'read: the last bundle, then what is new');
  const second = checkpointOf(rig.notes.at(-1));
  t.is(second.size, 700);
  t.deepEqual(Buffer.from(second.root), Buffer.from(plainRoot(await leavesOf(reader))));
  t.deepEqual(rig.told, []);

  const tiles = await natsTiles(rig.nc, rig.subjects);
  await (tiles as unknown as { delete(name: string): Promise<void> }).delete(
    tilePath({ level: 0, n: 1, width: 256 }),
  );
  const rebuilt = await rig.build();
  t.is(rebuilt.halted, undefined);
  t.is(
    (await tiles.get(tilePath({ level: 0, n: 1, width: 256 })))?.byteLength,
    8_192,
    'a missing tile is made anew from the log',
  );

  // What is left where the answer to a put was lost.
  const bucket = rig.subjects.buckets.tiles;
  const jsm = await jetstreamManager(rig.nc);
  await jsm.streams.purge(`OBJ_${bucket}`, { filter: `$O.${bucket}.C.>` });
  await t.throwsAsync(tiles.get(tilePath({ level: 0, n: 0, width: 256 })), { code: 'object_corrupt' });
  t.is((await rig.build()).halted, undefined);
  for (const n of [0, 1])
    t.is(
      (await tiles.get(tilePath({ level: 0, n, width: 256 })))?.byteLength,
      8_192,
      'one without its pieces, too',
    );
  t.deepEqual(rig.told, []);
});

function bound(reader: LogReader): LogReader {
  return {
    range: () => reader.range(),
    read: (...given) => reader.read(...given),
    follow: (...given) => reader.follow(...given),
    get: (seq) => reader.get(seq),
  };
}

test('two builders that both believe to own the log never sign two histories: the late one leaves and signs nothing', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(300);
  await rig.build();
  await rig.writer.append(10);
  const slept = Promise.withResolvers<void>();
  const options = await rig.options();
  const late = await rig.open({
    store: {
      ...options.store,
      // Asleep between the decision and the swap.
      swapState: async (state, revision) => {
        await slept.promise;
        return await options.store.swapState(state, revision);
      },
    },
    signed: async (_, note) => void rig.notes.push(`late ${note}`),
  });
  const notes = rig.notes.length;
  const running = late.run(AbortSignal.timeout(PATIENCE_MS));
  await rig.writer.append(10);
  await rig.build();
  slept.resolve();
  await t.throwsAsync(running, { code: 'witness_moved' });
  t.deepEqual(
    rig.notes.slice(notes).filter((note) => note.startsWith('late')),
    [],
    'the late one signed nothing',
  );
  t.is(checkpointOf(rig.notes.at(-1)).size, 320);
  t.deepEqual(rig.told, []);
});

test('however builders crash, overlap and sleep, all checkpoints ever signed are of one append-only log', async (t) => {
  await using rig = await WitnessRig.start();
  const random = seeded(t);
  for (let round = 0; round < 12; round += 1) {
    await rig.writer.append(1 + Math.floor(random() * 120));
    const crashed = new Error('crash');
    const fails = random();
    const options = await rig.options();
    const store = {
      ...options.store,
      swapState: async (state: SignedState, revision: number) => {
        if (fails < 0.25) throw crashed;
        const swapped = await options.store.swapState(state, revision);
        if (fails < 0.5) throw crashed;
        return swapped;
      },
    };
    const signed = async (_: unknown, note: string): Promise<void> => {
      if (fails >= 0.5 && fails < 0.7) throw crashed;
      rig.notes.push(note);
    };
    const works = [rig.build({ store, signed }), ...(random() < 0.5 ? [rig.build()] : [])];
    for (const { status, reason } of (await Promise.allSettled(works)) as PromiseRejectedResult[]) {
      if (status === 'rejected' && reason !== crashed && reason.code !== 'witness_moved') throw reason;
    }
  }
  await rig.build();
  const leaves = await leavesOf(await natsLogReader(rig.nc, rig.subjects));
  t.true(rig.notes.length > 0);
  for (const note of new Set(rig.notes)) {
    const { size, root } = checkpointOf(note);
    t.deepEqual(Buffer.from(root), Buffer.from(plainRoot(leaves.slice(0, size))), `the root of ${size}`);
  }
  t.is(checkpointOf(rig.notes.at(-1)).size, leaves.length);
  t.deepEqual(rig.told, []);
});

test('a builder that ends between the swap and the signature is followed by one that signs that very tree', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(40);
  const crashed = new Error('crash');
  await t.throwsAsync(
    rig.build({
      signed: async () => {
        throw crashed;
      },
    }),
    { is: crashed },
  );
  t.deepEqual(rig.notes, []);
  const { value: state } = await (await rig.options()).store.state();
  t.true((state?.size ?? 0) > 0);
  const next = await rig.open();
  const [note] = rig.notes;
  t.is(checkpointOf(note).size, state?.size ?? -1);
  t.is(Buffer.from(checkpointOf(note).root).toString('base64'), state?.root ?? '');
  t.is(next.signedState.size, state?.size ?? -1);
});

test('a tree is the extension of one it contains and of no other, whatever is published of it', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(300);
  const { tree } = await rig.build();
  const leaves = await leavesOf(await natsLogReader(rig.nc, rig.subjects));
  const to = { size: 300, root: plainRoot(leaves) };
  for (const size of [1, 255, 256, 257, 299, 300]) {
    const from = { size, root: plainRoot(leaves.slice(0, size)) };
    t.true(await tree.isExtension(from, to), `${size}`);
    t.false(
      await tree.isExtension({ ...from, root: plainRoot(leaves.slice(1, size + 1).reverse()) }, to),
      `${size}`,
    );
  }
});

for (const [name, change, kind] of [
  ['altered', (all) => all.map((m, i) => (i === 280 ? { ...m, bytes: flipped(m.bytes) } : m)), 'rewritten'],
  ['swapped', (all) => all.toSpliced(280, 2, ...all.slice(280, 282).reverse()), 'rewritten'],
  ['shortened', (all) => all.slice(0, -5), 'truncated'],
  [
    'filled with something else',
    (all) => all.with(290, { shard: 0, bytes: Buffer.from('no commit') }),
    'unreadable',
  ],
] as [string, (all: Message[]) => Message[], string][]) {
  test(`nothing is signed over a log that was ${name} after it was signed`, async (t) => {
    await using rig = await WitnessRig.start();
    await rig.writer.append(300);
    await rig.build();
    const notes = rig.notes.length;
    await rig.rewrite(change);
    const builder = await rig.build({}, (b) => b.halted !== undefined);
    t.not(builder.halted, undefined);
    t.is(rig.told[0]?.kind, kind);
    t.is(rig.notes.length, notes);
  });
}

/** The witness bucket as it is on the first day. */
async function emptyBucket(rig: WitnessRig): Promise<void> {
  await rig.jsm.streams.delete(`KV_${rig.subjects.buckets.witness}`);
  await rig.makeStreams();
}

for (const [name, change, kind] of [
  ['another history', (all) => all.with(19, { shard: 1, bytes: flipped(all[19]?.bytes ?? []) }), 'rewritten'],
  ['a longer one', (all) => [...all.slice(0, 10), ...all], 'rewritten'],
  ['a shorter one', (all) => all.slice(0, 12), 'truncated'],
  ['an empty one', () => [], 'truncated'],
] as [string, (all: Message[]) => Message[], string][]) {
  test(`W6: with an emptied witness bucket and ${name} in the log, nothing is signed for the origin any more`, async (t) => {
    await using rig = await WitnessRig.start();
    await rig.writer.append(20);
    await rig.build();
    const notes = rig.notes.length;
    await emptyBucket(rig);
    await rig.rewrite(change);
    for (const start of ['first', 'second']) {
      const builder = await rig.build({}, (b) => b.halted !== undefined);
      t.not(builder.halted, undefined, start);
      t.true(rig.told.some((found) => found.kind === kind));
      t.is(rig.notes.length, notes, start);
    }
    const renamed = await rig.build({ origin: 'test.example/other' }).catch((error: unknown) => error);
    t.like(renamed, { code: 'witness_state_bad' }, 'another origin takes an emptied bucket besides');
    await emptyBucket(rig);
    const other = await rig.build({ origin: 'test.example/other' });
    t.is(other.halted, undefined, 'another origin is another log');
  });
}

test('W6: bucket and log put back from a backup, and written on: what was signed since is not signed otherwise', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(10);
  await rig.build();
  const { store } = await rig.options();
  const { value: backup } = await store.state();
  await rig.writer.append(10);
  await rig.build();
  t.is(checkpointOf(rig.notes.at(-1)).size, 20);
  const notes = rig.notes.length;
  if (backup === undefined) throw new Error('no state');
  await store.swapState(backup, (await store.state()).revision);
  await rig.rewrite((all) => [
    ...all.slice(0, 10),
    ...all.slice(10).map((m) => ({ ...m, bytes: flipped(m.bytes) })),
  ]);
  const builder = await rig.build({}, (b) => b.halted !== undefined);
  t.not(builder.halted, undefined);
  t.is(rig.told.at(-1)?.id, 'rewritten@20');
  t.is(rig.notes.length, notes);
});

test('W6: a bucket that was lost is made anew from the log that was signed', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(300);
  await rig.build();
  const first = checkpointOf(rig.notes.at(-1));
  const notes = rig.notes.length;
  await emptyBucket(rig);
  await rig.writer.append(20);
  // Long before it has caught up it would be time to sign.
  const builder = await rig.build({ intervalMs: 0 });
  t.is(builder.halted, undefined);
  t.deepEqual(rig.told, []);
  const sizes = rig.notes.slice(notes).map((note) => checkpointOf(note).size);
  t.true(sizes.length > 0 && sizes.every((size) => size >= first.size), `${sizes}`);
  t.is(sizes.at(-1), 320);
});

test('W6: the record is on disk before a signature is made; what cannot be recorded is not signed', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(10);
  const full = new Error('no space left');
  const record: SignedRecord = {
    last: async () => undefined,
    keep: async () => {
      throw full;
    },
  };
  await t.throwsAsync(rig.build({ record }), { is: full });
  t.deepEqual(rig.notes, []);
  const seen: (number | undefined)[] = [];
  const kept = rig.recordOf('a');
  await rig.build({ signed: async () => void seen.push((await kept.last(ORIGIN))?.size) });
  t.deepEqual(seen, [10], 'a builder that follows signs that very tree');
});

test('W6: another node that has the key takes the log up; one that saw more than the log has now does not', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(10);
  await rig.build();
  await rig.writer.append(10);
  const joined = rig.recordOf('b');
  await rig.build({ record: joined });
  t.is((await joined.last(ORIGIN))?.size, 20, 'a node without a record goes on from the bucket');
  await rig.writer.append(10);
  t.is((await rig.build()).halted, undefined, 'and the first one from what the other signed');

  const { key } = signerOf(SEED, ORIGIN);
  const published = rig.notes.at(-1) ?? '';
  const other = signerOf(
    SEED.map((byte) => byte + 1),
    ORIGIN,
  );
  await rememberPublished(published, { origin: ORIGIN, key: other.key, record: joined });
  await rememberPublished(published, { origin: 'test.example/other', key, record: joined });
  await rememberPublished('no note', { origin: ORIGIN, key, record: joined });
  t.is((await joined.last(ORIGIN))?.size, 20, 'what its key did not sign it does not believe');
  await rememberPublished(published, { origin: ORIGIN, key, record: joined });
  t.is((await joined.last(ORIGIN))?.size, 30);
  const notes = rig.notes.length;
  await emptyBucket(rig);
  await rig.rewrite((all) => all.slice(0, 25));
  const builder = await rig.build({ record: joined }, (b) => b.halted !== undefined);
  t.not(builder.halted, undefined);
  t.is(rig.notes.length, notes);
});

test('a record that cannot be read stops the signing, and a smaller tree never takes the place of a larger one', async (t) => {
  await using rig = await WitnessRig.start();
  const record = rig.recordOf('c');
  const root = new Uint8Array(32).fill(1);
  await record.keep(ORIGIN, { size: 5, root });
  await record.keep(ORIGIN, { size: 4, root: new Uint8Array(32) });
  await record.keep('test.example/other', { size: 1, root });
  t.deepEqual(await record.last(ORIGIN), { size: 5, root });
  const file = join(rig.server.dataDir, 'holders/c/realm.signed');
  t.is(statSync(file).mode & 0o777, 0o600);
  writeFileSync(file, '{"format":1,"logs":{');
  await rig.writer.append(3);
  await t.throwsAsync(rig.open({ record }), { code: 'witness_record_bad' });
  await t.throwsAsync(record.keep(ORIGIN, { size: 9, root }), { code: 'witness_record_bad' });
});

test('a message that is no commit, or does not follow its shard, is told of as it is read', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(10);
  const forged = new LogWriter(async () => {});
  await rig.publish(0, forged.next(0, { index: 5, at: 5 }));
  await rig.publish(1, rig.writer.next(1, { at: 1 }));
  await rig.publish(0, Buffer.from('no commit'));
  await rig.build({}, (b) => b.verifiedSeq >= 13);
  t.deepEqual(
    rig.told.map(({ kind, seq, shard }) => [kind, seq, shard]),
    [
      ['altered', 11, 0],
      ['back_dated', 12, 1],
      ['unreadable', 13, 0],
    ],
  );
});

test('what lies under a subject of no shard is told of without one, and the next builder goes on, whatever was stored of it', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(4);
  const { reader, store } = await rig.options();
  const copied = (await reader.get(1))?.bytes ?? new Uint8Array();
  for (const token of ['x', '-1', '00']) await rig.publish(token as never, copied);
  await rig.build();
  const { value: state } = await store.state();
  t.is(state?.size, 7);
  t.deepEqual(
    state?.heads.map(({ shard }) => shard),
    [0, 1],
  );
  // As it was stored once: null for what is no number.
  const bucket = await new Kvm(rig.nc).open(rig.subjects.buckets.witness);
  const head = { shard: null, index: 0, hash: '', at: 0 };
  await bucket.put('state', JSON.stringify({ ...state, heads: [head, ...(state?.heads ?? [])] }));
  const found = { id: 'inserted@3', kind: 'inserted', seq: 3, what: 'x', foundAt: 1, raised: false };
  await bucket.put('breaks', JSON.stringify([{ ...found, shard: null }]));
  t.deepEqual((await store.state()).value, state);
  t.deepEqual(JSON.parse(JSON.stringify((await store.breaks()).value)), [found]);
  await rig.publish('x' as never, Buffer.from('no commit'));
  await rig.build({}, (b) => b.verifiedSeq >= 8);
  t.deepEqual(
    rig.told.map(({ id }) => id),
    ['inserted@5', 'inserted@6', 'inserted@7', 'unreadable@8'],
  );
  for (const found of rig.told) {
    t.false('shard' in found);
    t.true(logBreakSchema.safeParse(JSON.parse(JSON.stringify(found))).success);
  }
});

interface Message {
  readonly shard: number;
  readonly bytes: Uint8Array;
}

function flipped(bytes: ArrayLike<number>): Uint8Array {
  const copy = Uint8Array.from(bytes);
  // The last byte is content of an entry: the commit still decodes.
  copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
  return copy;
}

/** Random numbers from a seed that a failure prints. */
function seeded(t: ExecutionContext): () => number {
  let state = Date.now() % 2 ** 31;
  t.log(`seed ${state}`);
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}
