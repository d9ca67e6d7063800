/** Breaks S1–S3 of runtime/witness/service/scrubber.ts, by what somebody with access to the server can do. */
import { Objm } from '@nats-io/obj';
import test from 'ava';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { encodeLeaf } from '#runtime/witness/leaf';
import type { Builder } from '#runtime/witness/service/builder';
import { Pace } from '#runtime/witness/service/pace';
import { RightEdge } from '#runtime/witness/service/right-edge';
import { type Found, foundIn, ScrubPass } from '#runtime/witness/service/scrub-pass';
import { Scrubber } from '#runtime/witness/service/scrubber';
import { natsTiles } from '#runtime/witness/service/tile-store';
import { type TileLevel, tilePath } from '#runtime/witness/tiles';
import type { LogBreak } from '#schemas/log-break';
import { isEveryday } from '../../rig/tier.ts';
import { LogWriter, WitnessRig } from './rig.ts';

const COMMITS = 600;

/** One pass over the log and the tiles as they are stored now. */
async function scrub(rig: WitnessRig, builder: Builder): Promise<LogBreak[]> {
  const told: LogBreak[] = [];
  const tiles = await natsTiles(rig.nc, rig.subjects);
  const scrubber = new Scrubber({
    reader: await natsLogReader(rig.nc, rig.subjects),
    tree: () => builder.tree.stored(tiles),
    tell: (found) => void told.push(found),
    commitsPerSecond: 1_000_000,
    pauseMs: 1,
  });
  await scrubber.pass(new AbortController().signal);
  return told;
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

type Messages = { shard: number; bytes: Uint8Array }[];

const LOG_CASES: [name: string, change: (all: Messages) => Messages, expected: [string, number]][] = [
  [
    'a changed bit of a commit',
    (all) => all.map((m, i) => (i === 99 ? { ...m, bytes: flipped(m.bytes, m.bytes.length - 1) } : m)),
    ['altered', 100],
  ],
  [
    'a commit replaced by no commit',
    (all) => all.map((m, i) => (i === 99 ? { ...m, bytes: Buffer.from('nothing') } : m)),
    ['altered', 100],
  ],
  ['a removed commit', (all) => all.toSpliced(99, 1), ['altered', 100]],
  ['two swapped commits', (all) => all.toSpliced(99, 2, ...all.slice(99, 101).reverse()), ['altered', 100]],
  [
    'an inserted commit',
    (all) => all.toSpliced(99, 0, { shard: 0, bytes: Buffer.from('inserted') }),
    ['altered', 100],
  ],
  ['a log that lost its end', (all) => all.slice(0, 400), ['removed', 401]],
];

test('a pass over a sound log tells of nothing, and each change of the log is told of once, at its first place', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(COMMITS);
  const builder = await rig.build();
  t.deepEqual(await scrub(rig, builder), []);
  for (const [name, change, [kind, seq]] of LOG_CASES) {
    let before: Messages = [];
    await rig.rewrite((all) => {
      before = all;
      return change(all);
    });
    const told = await scrub(rig, builder);
    t.deepEqual(
      told.map((found) => [found.kind, found.seq]),
      [[kind, seq]],
      name,
    );
    await rig.rewrite(() => before);
  }
  t.deepEqual(await scrub(rig, builder), [], 'and restored, it is sound again');
});

test('a changed bit of any tile or bundle is told of by its name, and not taken for one of the log', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(COMMITS);
  const builder = await rig.build();
  const store = await new Objm(rig.nc).open(rig.subjects.buckets.tiles);
  for (const level of ['entries', 0] as const) {
    for (const n of [0, 1]) {
      const name = tilePath({ level, n, width: 256 });
      const bytes = (await store.getBlob(name)) ?? new Uint8Array();
      for (const at of [0, 1, 777, bytes.length - 1]) {
        await store.putBlob({ name }, flipped(bytes, at));
        const told = await scrub(rig, builder);
        t.deepEqual(
          told.map(({ id }) => id),
          [`tile@${name}`],
          `byte ${at} of ${name}`,
        );
      }
      await store.delete(name);
      t.deepEqual(
        (await scrub(rig, builder)).map(({ id }) => id),
        [`tile@${name}`],
      );
      await store.putBlob({ name }, bytes);
    }
  }
  t.deepEqual(await scrub(rig, builder), []);
});

test.skipIf(isEveryday)(
  'in a tree of three levels a changed tile is told of by its name, at every level',
  async (t) => {
    const size = 256 * 256 + 300;
    const edge = new RightEdge();
    const tiles = new Map<string, Uint8Array>();
    const found: Found[] = [];
    const writer = new LogWriter(async () => {});
    for (let seq = 1; seq <= size; seq += 1) {
      const bytes = writer.next(0);
      const one = foundIn({ seq, shard: 0, bytes, storedAt: Date.now() });
      if (one.head === undefined) throw new Error('no commit');
      found.push(one);
      const leaf = encodeLeaf({ ...one.head, seq, hash: one.hash });
      for (const { level, n, bytes: tile } of edge.append(leaf))
        tiles.set(tilePath({ level, n, width: 256 }), tile);
    }
    const scrubbed = async (): Promise<string[]> => {
      const told: string[] = [];
      const tree = {
        size,
        root: edge.root(),
        read: async (level: TileLevel, n: number, width: number) =>
          tiles.get(tilePath({ level, n, width: 256 })) ?? edge.partial(level, width),
      };
      let steps = 0;
      const step = async (): Promise<void> => {
        steps += 1;
      };
      const pass = new ScrubPass(tree, ({ id }) => void told.push(id), { step });
      for (let from = 0; from < size; from += 256) {
        const width = Math.min(256, size - from);
        const part = found.slice(from, from + width);
        await pass.check(from, width, new Map(part.map((one, i) => [from + i + 1, one])));
      }
      pass.end();
      t.is(steps, size, 'S3: it may rest after every leaf');
      return told;
    };
    t.deepEqual(await scrubbed(), []);
    for (const path of ['tile/1/000', 'tile/0/255', 'tile/entries/256']) {
      const bytes = tiles.get(path) ?? new Uint8Array();
      tiles.set(path, flipped(bytes, 5_000));
      t.deepEqual(await scrubbed(), [`tile@${path}`]);
      tiles.set(path, bytes);
    }
  },
);

test('S3: work in the background rests once its slice is used up, as long as its rates say', async (t) => {
  const pace = new Pace({ commitsPerSecond: 100, bytesPerSecond: 1_000_000 }, new AbortController().signal);
  let turns = 0;
  const turned = setInterval(() => {
    turns += 1;
  }, 1);
  t.teardown(() => clearInterval(turned));
  pace.count(10);
  await pace.step();
  t.is(turns, 0, 'it has just begun');
  for (const until = performance.now() + 2; performance.now() < until; );
  pace.count(10);
  const began = performance.now();
  await pace.step();
  // A timer may be a millisecond early.
  t.true(performance.now() - began >= 19, 'two commits at a hundred a second');
  t.true(turns > 0, 'others had their turn');
  const ended = new AbortController();
  ended.abort();
  await new Pace({ commitsPerSecond: 1e-9, bytesPerSecond: 1 }, ended.signal).rest();
});

test('one alteration in the log beside one in its bundle are two breaks', async (t) => {
  await using rig = await WitnessRig.start();
  await rig.writer.append(COMMITS);
  const builder = await rig.build();
  const store = await new Objm(rig.nc).open(rig.subjects.buckets.tiles);
  const name = tilePath({ level: 'entries', n: 0, width: 256 });
  const bytes = (await store.getBlob(name)) ?? new Uint8Array();
  await store.putBlob({ name }, flipped(bytes, 99 * 66 + 60));
  await rig.rewrite((all) =>
    all.map((m, i) => (i === 99 ? { ...m, bytes: flipped(m.bytes, m.bytes.length - 1) } : m)),
  );
  const told = await scrub(rig, builder);
  t.deepEqual(told.map(({ id }) => id).sort(), ['altered@100', `tile@${name}`]);
});
