/** D1 to D3 of runtime/archive/drop.ts on a real server, and reading while commits are dropped. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import test from 'ava';
import { dropArchived, guardLimits, UNDECLARE_AFTER_MS } from '#runtime/archive/drop';
import { Marks } from '#runtime/archive/mark';
import { unneededThrough } from '#runtime/archive/needed';
import { WholeLog } from '#runtime/archive/reader';
import { encode } from '#runtime/bus/codec';
import { natsLogReader } from '#runtime/bus/nats-log-reader';
import { ensureStreams } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
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

test('what a shard needs and cannot be read is needed: a snapshot that is replaced meanwhile is looked at again', async (t) => {
  const files = new Map<string, unknown>([
    ['snapshot/0/manifest-1', { tables: 'snapshot/0/tables-1-9' }],
    ['snapshot/1/manifest-1', { tables: 'snapshot/1/tables-1-9' }],
    ['snapshot/1/tables-1-9', { seq: 900, idsFromSeq: 890 }],
  ]);
  let looks = 0;
  const blobs = {
    list: async (prefix: string) => [...files.keys()].filter((name) => name.startsWith(prefix)),
    get: async (name: string) => {
      const found = files.get(name);
      if (found === undefined) looks += 1;
      // The newer manifest comes after the second look.
      if (looks === 2) {
        files.set('snapshot/0/manifest-1', { tables: 'snapshot/0/tables-1-12' });
        files.set('snapshot/0/tables-1-12', { seq: 950, idsFromSeq: 40 });
      }
      return found === undefined ? undefined : encode(found);
    },
    put: async () => {},
    delete: async () => {},
  };
  t.is(await unneededThrough(blobs, 2), 39);
  files.delete('snapshot/0/tables-1-12');
  looks = 10;
  t.is(await unneededThrough(blobs, 2), 0, 'never readable: nothing goes');
});
