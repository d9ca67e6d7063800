/**
 * The log as a reader sees it: the commits of all shards in the order of the stream, which is the realm's total order.
 * Sequences begin at 1 and have no gaps, so the commit of sequence `s` is leaf `s − 1` of the Merkle tree.
 */

/** A stored commit as it lies in the log. */
export interface LogMessage {
  readonly seq: number;
  /** From the message's subject, not from its bytes; see {@link isShard}. */
  readonly shard: number;
  readonly bytes: Uint8Array;
  /** When the server stored it, ms since the epoch. */
  readonly storedAt: number;
}

/** False for what a message has that lies under a subject of no shard: anyone who may write to the log can choose one. */
export function isShard(shard: number): boolean {
  return Number.isSafeInteger(shard) && shard >= 0;
}

/** Sequences that can be read: `first` to `last`, both included; empty where `last < first`. */
export interface LogRange {
  readonly first: number;
  readonly last: number;
}

export interface LogReader {
  range(): Promise<LogRange>;
  /**
   * Messages from `from` through `through`, in order, in batches of a size that suits the source. A gap in the stored
   * sequences shows as a gap in what comes; nothing comes twice. Ends early where `signal` aborts.
   */
  read(from: number, through: number, signal?: AbortSignal): AsyncIterable<readonly LogMessage[]>;
  /** As {@link read}, but waits for what is still to be written. Ends when `signal` aborts. */
  follow(from: number, signal: AbortSignal): AsyncIterable<readonly LogMessage[]>;
  /** Undefined where nothing is stored under this sequence any more. */
  get(seq: number): Promise<LogMessage | undefined>;
}
