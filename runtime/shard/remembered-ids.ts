/**
 * Message ids in snapshots, so that who takes a shard over need not read a whole window of them back from the log: where
 * each commit has one id, that would take longer than all else.
 *
 * I1  A half that is full never changes again and is written once; the younger one with every snapshot.
 * I2  Ids that cannot be read cost time only: the log has them as well.
 */
import { decode, encode, sha256 } from '#runtime/bus/codec';
import type { Generation } from './dedupe.ts';
import { NumberTable } from './number-table.ts';
import type { BlobStore } from './ports.ts';
import {
  damaged,
  idsName,
  type RememberedIds,
  readHashed,
  type StoredGeneration,
} from './snapshot-format.ts';
import type { ShardState } from './state.ts';

/** Doubles as every machine that runs Node has them in memory: little-endian. */
interface StoredIds {
  readonly keys: Uint8Array;
  readonly seqs: Uint8Array;
}

/** What a snapshot takes of the ids between two commits. */
export interface CapturedIds {
  readonly seed: number;
  /** The older half first. */
  readonly generations: readonly CapturedGeneration[];
}

interface CapturedGeneration extends Pick<Generation, 'number' | 'fromSeq'> {
  readonly pairs: () => ReturnType<NumberTable['pairs']>;
}

/** Undefined where a snapshot cannot have them: parts of an import wait that may yet bring others. */
export function captureIds({ dedupe, idsOfLog }: ShardState): CapturedIds | undefined {
  if (dedupe.isOff || idsOfLog.isWaiting) return undefined;
  const generations = dedupe.generations().map(({ number, fromSeq, ids }, at, { length }) => {
    if (isFull(at, length)) return { number, fromSeq, pairs: () => ids.pairs() };
    const now = ids.pairs();
    return { number, fromSeq, pairs: () => now };
  });
  return { seed: dedupe.seed, generations };
}

/** Lets a state remember what a snapshot holds. Throws `snapshot_damaged`; the state is as it was then. */
export async function resumeIds(
  { dedupe }: Pick<ShardState, 'dedupe'>,
  blobs: Pick<BlobStore, 'get'>,
  { seed, generations }: RememberedIds,
): Promise<void> {
  const read = generations.map(async ({ name, number, fromSeq, hash }) => {
    const ids = tableOf(name, await readHashed(blobs, name, hash));
    return { number, fromSeq, ids };
  });
  dedupe.resume(seed, await Promise.all(read));
}

export class IdsWriter {
  readonly #shard: number;
  readonly #epoch: number;
  readonly #blobs: Pick<BlobStore, 'put'>;
  /** Named by the newest manifest. */
  #newest: RememberedIds | undefined;
  /** The state goes on from those of the newest manifest. */
  #isResumed: boolean;

  constructor(
    shard: number,
    epoch: number,
    blobs: Pick<BlobStore, 'put'>,
    newest: RememberedIds | undefined,
    isResumed: boolean,
  ) {
    this.#shard = shard;
    this.#epoch = epoch;
    this.#blobs = blobs;
    this.#newest = newest;
    this.#isResumed = isResumed;
  }

  /** Writes what is not stored yet. Beside it the names of what the manifest before needed and the next does not. */
  async write(
    taken: CapturedIds | undefined,
    atIndex: number,
  ): Promise<{ readonly ids: RememberedIds | undefined; readonly garbage: readonly string[] }> {
    const before = this.#newest?.generations ?? [];
    const generations: StoredGeneration[] = [];
    for (const [at, half] of (taken?.generations ?? []).entries()) {
      const length = taken?.generations.length ?? 0;
      const stored = isFull(at, length) ? this.#stored(half.number) : undefined;
      generations.push(stored ?? (await this.#put(half, atIndex)));
    }
    this.#newest = taken === undefined ? undefined : { seed: taken.seed, generations };
    this.#isResumed = true;
    const needed = new Set(generations.map(({ name }) => name));
    const garbage = before.map(({ name }) => name).filter((name) => !needed.has(name));
    return { ids: this.#newest, garbage };
  }

  /** I1: one that was the younger half when it was stored may lack what came after. */
  #stored(number: number): StoredGeneration | undefined {
    const generations = this.#newest?.generations ?? [];
    if (!this.#isResumed) return undefined;
    return generations.find((one, at) => one.number === number && isFull(at, generations.length));
  }

  async #put({ number, fromSeq, pairs }: CapturedGeneration, atIndex: number): Promise<StoredGeneration> {
    const { keys, values } = pairs();
    const stored: StoredIds = { keys: bytesOf(keys), seqs: bytesOf(values) };
    const bytes = encode(stored);
    const name = idsName(this.#shard, this.#epoch, atIndex, number);
    await this.#blobs.put(name, bytes);
    return { name, number, fromSeq, hash: sha256(bytes) };
  }
}

/** Ids are added to the last half alone. */
function isFull(at: number, length: number): boolean {
  return at < length - 1;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function tableOf(name: string, bytes: Uint8Array): NumberTable {
  const { keys, seqs } = decode(bytes) as StoredIds;
  if (keys.byteLength !== seqs.byteLength) throw damaged(name, 'has ids without a place');
  const [from, to] = [doublesOf(keys), doublesOf(seqs)];
  const table = new NumberTable();
  for (let at = 0; at < from.length; at += 1) table.set(from[at] ?? 0, to[at] ?? 0);
  return table;
}

/** A copy: what was read may lie anywhere in its buffer, and doubles may not. */
function doublesOf(bytes: Uint8Array): Float64Array {
  return new Float64Array(Uint8Array.from(bytes).buffer);
}
