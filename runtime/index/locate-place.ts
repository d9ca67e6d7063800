/** The sequence of a place of the log as people write it: `120`, or `SHARD.INDEX` as `infrafabric log` shows it. */
import { decodeCommit } from '#runtime/bus/codec';
import type { LogReader } from '#runtime/witness/log-reader';
import { FabricError } from '#schemas/fabric-error';
import { indexErrors } from './errors.ts';

export type LogPlace = { readonly seq: number } | { readonly shard: number; readonly index: number };

const PLACE = /^(\d{1,15})(?:[./](\d{1,15}))?$/;

/** Undefined where the text is no place. */
export function parsePlace(text: string): LogPlace | undefined {
  const [, first, index] = PLACE.exec(text) ?? [];
  if (first === undefined) return undefined;
  return index === undefined ? { seq: Number(first) } : { shard: Number(first), index: Number(index) };
}

/**
 * The first sequence at or after the place. Halves the log, for a shard's indexes grow with the sequence: some thirty
 * commits are read, not all. Throws `place_missing` where the shard has not come so far.
 */
export async function seqOf(reader: LogReader, place: LogPlace): Promise<number> {
  if ('seq' in place) return Math.max(1, place.seq);
  const { first, last } = await reader.range();
  let [low, high] = [first, last + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const next = await nextOf(reader, place.shard, middle, high - 1);
    // No commit of the shard from the middle on: it lies before, or nowhere.
    if (next !== undefined && next.index < place.index) low = next.seq + 1;
    else high = middle;
  }
  const found = await nextOf(reader, place.shard, low, last);
  if (found !== undefined && found.index >= place.index) return found.seq;
  const name = `${place.shard}.${place.index}`;
  throw new FabricError(indexErrors.place_missing, `The log has no commit ${name}`, {
    details: { place: name },
  });
}

async function nextOf(
  reader: LogReader,
  shard: number,
  from: number,
  through: number,
): Promise<{ readonly seq: number; readonly index: number } | undefined> {
  for (let seq = from; seq <= through; seq++) {
    const message = await reader.get(seq);
    if (message?.shard === shard) return { seq, index: decodeCommit(message.bytes).index };
  }
  return undefined;
}
