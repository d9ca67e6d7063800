/** What a verifier finds. */
import { isShard } from '../log-reader.ts';

export type BreakKind =
  /** The commit's bytes, or its link, are not what they were. */
  | 'altered'
  | 'removed'
  | 'reordered'
  | 'duplicated'
  | 'inserted'
  /** Its time is impossible. */
  | 'back_dated'
  /** The end of the log is missing. */
  | 'truncated'
  /** Stored under a log subject, and no commit. */
  | 'unreadable'
  /** A tile or bundle is missing or not what was signed. */
  | 'tile'
  /** The checkpoint is not signed as it must be. */
  | 'checkpoint'
  /** No checkpoint covers it. */
  | 'unsigned'
  /** A snapshot is not what the log made. */
  | 'snapshot';

export interface Fault {
  readonly kind: BreakKind;
  /** What differs, in a sentence. */
  readonly what: string;
}

/** A place where the log is not what it was. */
export interface Break extends Fault {
  /** Sequence in the stream; absent for tiles and checkpoints. */
  readonly seq?: number;
  readonly shard?: number;
  readonly index?: number;
}

/** The shard of a break; left out where the message lies under a subject that names none, for no reader takes such a number. */
export function ofShard(shard: number): Pick<Break, 'shard'> {
  return isShard(shard) ? { shard } : {};
}

/** Breaks told of one by one; further ones are counted. */
export const BREAKS_MAX = 1_000;
