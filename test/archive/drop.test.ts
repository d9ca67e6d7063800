/** D1 to D3 of runtime/archive/drop.ts on a real server, and reading while commits are dropped. */
import { DiscardPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { dropArchived, guardLimits, UNDECLARE_AFTER_MS } from '#runtime/archive/drop';
import { Marks } from '#runtime/archive/mark';
import { unneededThrough } from '#runtime/archive/needed';
import { WholeLog } from '#runtime/archive/reader';
import { encode, encodeCommit, sha256 } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { damagedName, manifestName, SNAPSHOT_FORMAT } from '#runtime/shard/snapshot-format';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import { COMMIT_FORMAT } from '#schemas/commit';
import { TestServer } from '../rig/nats.ts';

const subjects = new Subjects('if', 1);
const STREAM = subjects.streams.log;
const MARGIN = 256;
const OPTIONS = { replicas: 1, inboxBytesMax: 2 ** 26, deadBytesMax: 2 ** 24, logBytesMax: -1 };

class Died extends Error {}

/** A log of so many messages, of which the first are archived. */
async function logOf(server: TestServer, messages: number, archived: number) {
  const nc = await server.connect();
  await ensureStreams(nc, subjects, OPTIONS);
  const write = async (count: number): Promise<void> => {
    const js = jetstream(nc);
    await Promise.all(Array.from({ length: count }, () => js.publish(subjects.log(0), 'commit')));
  };
  await write(messages);
  const marks = await Marks.open(nc, subjects.buckets.witness);
  await marks.write({ place: '/nowhere', through: archived, dropped: 0, dropping: false }, 0);
  const jsm = await jetstreamManager(nc);
  const drop = (through = archived, probe?: (point: string) => void) =>
    dropArchived({ jsm, stream: STREAM, marks, through, keptMin: MARGIN, ...(probe && { probe }) });
  return { nc, jsm, marks, write, drop };
}

test('a guard that looks between the word and the deed leaves the word standing: a death after it is healed', async (t) => {
  await using server = await TestServer.start();
  const { nc, jsm, marks, write, drop } = await logOf(server, 1_000, 600);
  const memory = { revision: 0, since: 0 };
  t.teardown(() => nc.close());
  // The run waits for its next answer here, and the guard of a node is faster.
  const info = jsm.streams.info.bind(jsm.streams);
  let looked: boolean | undefined;
  jsm.streams.info = async (...args: Parameters<typeof info>) => {
    const isDeclared = (await marks.read()).mark?.dropping === true;
    if (isDeclared && looked === undefined) {
      looked = false;
      looked = await guardLimits(await jetstreamManager(nc), STREAM, marks, memory);
    }
    return await info(...args);
  };
  const dying = drop(600, (point) => {
    if (point === 'lowered') throw new Died(point);
  });
  await t.throwsAsync(dying, { instanceOf: Died });
  t.is(looked, false, 'nothing was lowered yet');
  t.is((await info(STREAM)).config.discard, 'old');
  await write(MARGIN - 56);
  t.true(await guardLimits(jsm, STREAM, marks, memory));
  await write(1_000);
  const { config, state } = await info(STREAM);
  t.like(config, { discard: 'new', max_msgs: -1 });
  t.true(state.first_seq <= 601, `${state.first_seq} is the first: nothing went that is not archived`);
  t.is((await marks.read()).mark?.dropping, false);
  await ensureStreams(nc, subjects, OPTIONS);
});

test('the word of a run that died before its deed is taken away once it has stood long enough, not before', async (t) => {
  await using server = await TestServer.start();
  const { jsm, marks, drop } = await logOf(server, 1_000, 600);
  const dying = drop(600, (point) => {
    if (point === 'before_lower') throw new Died(point);
  });
  await t.throwsAsync(dying, { instanceOf: Died });
  const memory = { revision: 0, since: 0 };
  await guardLimits(jsm, STREAM, marks, memory);
  await guardLimits(jsm, STREAM, marks, memory);
  t.is((await marks.read()).mark?.dropping, true);
  memory.since -= UNDECLARE_AFTER_MS;
  await guardLimits(jsm, STREAM, marks, memory);
  t.like((await marks.read()).mark, { dropping: false, dropped: 0 });
  t.is(await drop(), 600 - MARGIN + 1, 'the next run drops');
});

test('limits that are lowered after a guard took the word away are put back, those that somebody else set are not', async (t) => {
  await using server = await TestServer.start();
  const { nc, jsm, marks, write, drop } = await logOf(server, 1_000, 600);
  t.teardown(() => nc.close());
  const memory = { revision: 0, since: 0 };
  const guarding = await jetstreamManager(nc);
  const guard = () => guardLimits(guarding, STREAM, marks, memory);
  // The request is held up for as long as a guard lets a word stand.
  const update = jsm.streams.update.bind(jsm.streams);
  jsm.streams.update = async (...args: Parameters<typeof update>) => {
    await guard();
    memory.since -= UNDECLARE_AFTER_MS;
    await guard();
    t.is((await marks.read()).mark?.dropping, false);
    return await update(...args);
  };
  const dying = drop(600, (point) => {
    if (point === 'lowered') throw new Died(point);
  });
  await t.throwsAsync(dying, { instanceOf: Died });
  await write(MARGIN - 56);
  t.true(await guard());
  await write(1_000);
  const { config, state } = await guarding.streams.info(STREAM);
  t.like(config, { discard: 'new', max_msgs: -1 });
  t.true(state.first_seq <= 601, `${state.first_seq} is the first: nothing went that is not archived`);
  t.like((await marks.read()).mark, { dropping: false, dropped: state.first_seq - 1 });
  await ensureStreams(nc, subjects, OPTIONS);
  await update(STREAM, { discard: DiscardPolicy.Old, max_msgs: 100_000 });
  t.false(await guard());
  t.is((await guarding.streams.info(STREAM)).config.max_msgs, 100_000);
});

test('who reads while commits are dropped gets each of them once, from the stream or from the archive', async (t) => {
  await using server = await TestServer.start();
  const { nc, drop } = await logOf(server, 3_000, 2_500);
  const stream = await natsLogReader(nc, subjects);
  const held: LogMessage[] = [];
  for await (const batch of stream.read(1, 2_500)) held.push(...batch);
  const archive: LogReader = {
    range: async () => ({ first: 1, last: 2_500 }),
    async *read(from, through) {
      yield held.filter(({ seq }) => seq >= from && seq <= through);
    },
    follow: (from) => archive.read(from, 2_500),
    get: async (seq) => held[seq - 1],
  };
  const whole = new WholeLog(async () => archive, stream);
  const range = await whole.range();
  const seen: number[] = [];
  for (const dropThrough of [900, 2_500]) {
    seen.length = 0;
    let isDropped = false;
    for await (const batch of whole.read(range.first, range.last)) {
      for (const { seq } of batch) seen.push(seq);
      if (!isDropped) await drop(dropThrough);
      isDropped = true;
    }
    t.deepEqual(
      seen,
      Array.from({ length: 3_000 }, (_, n) => n + 1),
      `dropped through ${dropThrough}`,
    );
  }
  // Opened before, read after, and to an end that is no longer in the stream.
  const early: number[] = [];
  for await (const batch of whole.read(1, 400)) for (const { seq } of batch) early.push(seq);
  t.deepEqual([early.length, early.at(-1)], [400, 400]);
  t.is((await whole.get(7))?.seq, 7);
  t.deepEqual(await whole.range(), { first: 1, last: 3_000 });
});

const ZERO = new Uint8Array(32);

/** Snapshots of shards as they are stored, and the commits that state them. */
class Snapshots {
  readonly files = new Map<string, Uint8Array>();
  readonly commits: LogMessage[] = [];
  readonly blobs = {
    list: async (prefix: string) => [...this.files.keys()].filter((name) => name.startsWith(prefix)),
    get: async (name: string) => this.files.get(name),
  };
  readonly log: Pick<LogReader, 'range' | 'read'> = {
    range: async () => ({ first: 1, last: 2_000 }),
    read: (from, through) => this.#between(from, through),
  };

  /** A snapshot of one page at a sequence; gives its manifest's name. */
  put(shard: number, seq: number, idsFromSeq: number): string {
    const [page, at] = [encode([]), (name: string) => `snapshot/${shard}/${name}`];
    const index = encode({ pages: [[]], hashes: [sha256(page)], hot: [], removed: [] });
    const tables = encode({ seq, idsFromSeq, index: seq, epoch: 1, prev: ZERO });
    this.files
      .set(at(`s${seq}/0`), page)
      .set(at(`s${seq}/index`), index)
      .set(at(`tables-1-${seq}`), tables);
    const segment = { name: `s${seq}`, pages: 1, actors: 0, hash: sha256(index) };
    const tied = { tables: at(`tables-1-${seq}`), tablesHash: sha256(tables), segments: [segment] };
    const name = manifestName(shard, 1, seq, 0);
    this.files.set(name, encode({ format: SNAPSHOT_FORMAT, shard, index: seq, ...tied }));
    return name;
  }

  /** A commit that states a manifest as it is now. */
  state(shard: number, manifest: string, seq: number): void {
    const snapshot = { manifest, hash: sha256(this.files.get(manifest) ?? ZERO) };
    const marks = { epoch: 1, consumed: 0, acted: -1, entries: [] };
    const commit = { format: COMMIT_FORMAT, shard, index: seq, prev: ZERO, at: 0, ...marks, snapshot };
    this.commits.push({ seq, shard, bytes: encodeCommit(commit), storedAt: 0 });
  }

  async *#between(from: number, through: number): AsyncGenerator<readonly LogMessage[]> {
    yield this.commits.filter(({ seq }) => seq >= from && seq <= through);
  }
}

test('a snapshot takes nothing from the log before a recovery would begin with it: stated, whole and trusted', async (t) => {
  const kept = new Snapshots();
  t.is(await unneededThrough(kept, 1), 0, 'no snapshot');
  const first = kept.put(0, 900, 890);
  t.is(await unneededThrough(kept, 1), 0, 'stored, and its owner died before a commit stated it');
  kept.state(1, first, 901);
  t.is(await unneededThrough(kept, 1), 0, 'stated by another shard');
  kept.state(0, first, 902);
  t.is(await unneededThrough(kept, 1), 889);
  kept.put(0, 950, 40);
  t.is(await unneededThrough(kept, 1), 39, 'a newer one that may be stated soon needs more');
  t.is(await unneededThrough(kept, 2), 0, 'the other shard has none');
  const damages: readonly [string, string][] = [
    ['a page', 'snapshot/0/s900/0'],
    ['an index', 'snapshot/0/s900/index'],
    ['the tables', 'snapshot/0/tables-1-900'],
    ['the manifest', first],
  ];
  for (const [what, name] of damages) {
    const bytes = kept.files.get(name) ?? ZERO;
    kept.files.set(name, Buffer.concat([bytes, ZERO]));
    t.is(await unneededThrough(kept, 1), 0, `${what} is not what it was`);
    kept.files.delete(name);
    t.is(await unneededThrough(kept, 1), 0, `${what} is missing`);
    kept.files.set(name, bytes);
  }
  t.is(await unneededThrough(kept, 1), 39, 'whole again');
  kept.files.set(damagedName(first), ZERO);
  t.is(await unneededThrough(kept, 1), 0, 'distrusted: no recovery begins with it');
});

test('a snapshot that is replaced while it is looked at is looked at again', async (t) => {
  const kept = new Snapshots();
  const old = kept.put(0, 900, 890);
  kept.state(0, old, 901);
  let gone = 0;
  const get = async (name: string): Promise<Uint8Array | undefined> => {
    // The newer one comes, and the old one goes, after it was listed.
    if (name === 'snapshot/0/tables-1-900' && gone++ === 0) {
      kept.state(0, kept.put(0, 950, 40), 951);
      for (const one of [old, name]) kept.files.delete(one);
    }
    return kept.files.get(name);
  };
  t.is(await unneededThrough({ blobs: { ...kept.blobs, get }, log: kept.log }, 1), 39);
  t.is(gone, 1);
});
