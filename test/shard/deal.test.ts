/** Parts of an import fit into the log, whatever they hold. */
import test from 'ava';
import { encodeCommit } from '#runtime/bus/codec';
import { commitOf, type Hand, partsOf } from '#runtime/shard/deal';

const BYTES_MAX = 64 * 1024;
const ROWS = 3_000;
const long = (n: number): string => `${n}`.padStart(500, 'x');
const place = {
  shard: 0,
  from: 4,
  to: 2,
  index: 0,
  prev: new Uint8Array(32),
  at: 0,
  epoch: 1,
  consumed: 0,
};

test('ids and senders of any length come along in parts that the log takes, each once and in order', (t) => {
  const hand: Hand = {
    cells: [],
    senders: Array.from({ length: ROWS }, (_, n) => [`session/${long(n)} task/t`, { seq: n, at: n }]),
    ids: Array.from({ length: ROWS }, (_, n) => [`session/${n}`, 'task/t', long(n), n]),
  };
  const parts = partsOf(hand, BYTES_MAX);
  for (const [n, part] of parts.entries()) {
    const { byteLength } = encodeCommit(commitOf(part, n, place, place, undefined));
    t.true(byteLength <= BYTES_MAX, `part ${n} has ${byteLength} bytes`);
  }
  t.deepEqual(
    parts.flatMap(({ senders }) => senders),
    hand.senders,
  );
  t.deepEqual(
    parts.flatMap(({ ids }) => ids),
    hand.ids,
  );
  t.is(partsOf({ cells: [], senders: [], ids: [] }, BYTES_MAX).length, 1);
});
