/** A shard whose first commits are in no stream any more reads them from the archive, and only then. */
import test from 'ava';
import { withArchive } from '#runtime/archive/shard-log';
import type { ShardLog } from '#runtime/shard/ports';

const SHARD = 1;
/** Even sequences are of shard 0, odd ones of shard 1. */
const of = (seq: number): number => seq % 2;
const bytes = (seq: number): Uint8Array => Uint8Array.of(seq);

function logFrom(first: number, archived: readonly number[]) {
  const asked: string[] = [];
  const warned: object[] = [];
  const stream: ShardLog = {
    bytesMax: 1,
    head: async () => undefined,
    append: async () => ({ kind: 'conflict' }),
    get: async () => undefined,
    async *read(afterSeq: number, throughSeq: number) {
      asked.push(`stream ${afterSeq} ${throughSeq}`);
      for (let seq = Math.max(first, afterSeq + 1); seq <= throughSeq; seq += 1) {
        if (of(seq) === SHARD) yield { seq, bytes: bytes(seq) };
      }
    },
  };
  const whole = {
    async *read(from: number, through: number) {
      asked.push(`archive ${from} ${through}`);
      const messages = archived.filter((seq) => seq >= from && seq <= through);
      yield messages.map((seq) => ({ seq, shard: of(seq), storedAt: 0, bytes: bytes(seq) }));
    },
  };
  const logger = { debug() {}, info() {}, error() {}, warn: (fields: object) => void warned.push(fields) };
  const log = withArchive(stream, {
    shard: SHARD,
    first: async () => first,
    whole: async () => whole,
    logger,
  });
  const read = async (after: number, through: number): Promise<number[]> => {
    const seqs: number[] = [];
    for await (const { seq } of log.read(after, through)) seqs.push(seq);
    return seqs;
  };
  return { read, asked, warned };
}

test('what was dropped comes from the archive, the rest from the stream, each once', async (t) => {
  const { read, asked, warned } = logFrom(6, [1, 2, 3, 4, 5, 6, 7]);
  t.deepEqual(await read(0, 9), [1, 3, 5, 7, 9]);
  t.deepEqual(asked, ['archive 1 5', 'stream 5 9']);
  t.deepEqual(warned, [{ shard: SHARD, from: 1, through: 5 }]);
  t.deepEqual(await read(2, 3), [3]);
});

test('a recovery from a snapshot asks no archive', async (t) => {
  const { read, asked, warned } = logFrom(6, []);
  t.deepEqual(await read(5, 9), [7, 9]);
  t.deepEqual(asked, ['stream 5 9']);
  t.deepEqual(warned, []);
});
