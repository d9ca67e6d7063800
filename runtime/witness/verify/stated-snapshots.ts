/** The newest snapshot that the log states of each shard, gathered while the log is read for something else. */
import { decodeCommit } from '#runtime/bus/codec';
import { SNAPSHOTS } from '#runtime/shard/snapshot-format';
import { FabricError } from '#schemas/fabric-error';
import type { LogMessage, LogReader } from '../log-reader.ts';

export interface StatedSnapshot {
  /** Name of the manifest. */
  readonly manifest: string;
  /** The commit that states it. */
  readonly seq: number;
  readonly index: number;
}

export class StatedSnapshots {
  readonly #newest = new Map<number, StatedSnapshot>();

  /** Takes the next messages of the log. */
  take(messages: readonly LogMessage[]): void {
    for (const { seq, shard, bytes } of messages) {
      const found = statedIn(bytes);
      if (found !== undefined) this.#newest.set(shard, { ...found, seq });
    }
  }

  /** By shard. */
  get newest(): ReadonlyMap<number, StatedSnapshot> {
    return this.#newest;
  }

  /** The log, gathering from all that is read of it. */
  over(log: Pick<LogReader, 'range' | 'read'>): Pick<LogReader, 'range' | 'read'> {
    const take = this.take.bind(this);
    return {
      range: () => log.range(),
      async *read(from, through, signal) {
        for await (const batch of log.read(from, through, signal)) {
          take(batch);
          yield batch;
        }
      },
    };
  }
}

function statedIn(bytes: Uint8Array): Omit<StatedSnapshot, 'seq'> | undefined {
  // Few commits name a snapshot, and decoding all would cost more than reading them.
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(SNAPSHOTS)) return undefined;
  try {
    const { snapshot, index } = decodeCommit(bytes);
    return snapshot && { manifest: snapshot.manifest, index };
  } catch (thrown) {
    // What is no commit is told of by who verifies the log, and states nothing.
    if (thrown instanceof FabricError) return undefined;
    throw thrown;
  }
}
