/** A log that is made as it is read: one entry a commit, actors in turn. Nothing of it is kept. */
import { encodeCommit } from '#runtime/bus/codec';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';

const BATCH = 512;
const PREV = new Uint8Array(32);
const BEGAN_AT = 1_700_000_000_000;

export interface SyntheticLog {
  readonly commits: number;
  readonly actors: number;
  /** Another log with the same shape. */
  readonly salt?: string;
}

export function syntheticLog({ commits, actors, salt = '' }: SyntheticLog): LogReader {
  const message = (seq: number): LogMessage => {
    const nth = seq - 1;
    const at = BEGAN_AT + nth;
    const hex = (nth % 1_000_000).toString(16).padStart(8, '0');
    const bytes = encodeCommit({
      format: 1,
      shard: 0,
      index: nth,
      prev: PREV,
      at,
      epoch: 1,
      consumed: nth,
      acted: -1,
      entries: [
        {
          cause: { kind: 'ask', id: `${salt}${hex}-${nth}`, from: 'cli' },
          actor: `counter/k${nth % actors}`,
          machine: 'counter@1',
          event: { type: 'inc' },
          before: 'active',
          after: 'active',
          reply: { value: nth },
          ...(nth % 100 === 0 && { severity: 'WARN' as const }),
          trace: `00-${hex.repeat(4)}-${hex.repeat(2)}-01`,
        },
      ],
    });
    return { seq, shard: 0, bytes, storedAt: at };
  };
  return {
    range: async () => ({ first: 1, last: commits }),
    async *read(from, through, signal) {
      const end = Math.min(through, commits);
      for (let at = from; at <= end && signal?.aborted !== true; at += BATCH) {
        const size = Math.min(BATCH, end - at + 1);
        yield Array.from({ length: size }, (_, nth) => message(at + nth));
      }
    },
    async *follow(from, signal) {
      yield* this.read(from, commits, signal);
    },
    get: async (seq) => (seq < 1 || seq > commits ? undefined : message(seq)),
  };
}
