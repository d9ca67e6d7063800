/**
 * The log of a shard with what is archived of it. A recovery reads no commit that was dropped as long as its snapshots are
 * whole (R1 of needed.ts); where one was damaged afterwards it begins further back, and what is gone from the stream comes
 * from the archive. A commit from there counts like any other: its link and its digest are checked as it is folded.
 */
import type { Logger, ShardLog } from '#runtime/shard/ports';
import type { LogReader } from '#runtime/witness/log-reader';

export interface ArchivedParts {
  readonly shard: number;
  /** First sequence that the stream has. */
  readonly first: () => Promise<number>;
  /** The log as a whole, with its archive. */
  readonly whole: () => Promise<Pick<LogReader, 'read'>>;
  readonly logger: Logger;
}

/** Its `read` throws `archive_…` where commits are due that only an archive has, which cannot be read. */
export function withArchive(log: ShardLog, { shard, first, whole, logger }: ArchivedParts): ShardLog {
  return {
    bytesMax: log.bytesMax,
    head: (until) => log.head(until),
    append: (bytes, expectedSeq) => log.append(bytes, expectedSeq),
    get: (seq) => log.get(seq),

    async *read(afterSeq, throughSeq) {
      const dropped = Math.min(throughSeq, (await first()) - 1);
      if (afterSeq < dropped) {
        logger.warn({ shard, from: afterSeq + 1, through: dropped }, 'log_read_from_archive');
        for await (const batch of (await whole()).read(afterSeq + 1, dropped)) {
          for (const { seq, shard: of, bytes } of batch) if (of === shard) yield { seq, bytes };
        }
      }
      yield* log.read(Math.max(afterSeq, dropped), throughSeq);
    },
  };
}
