/** Sequence numbers in memory: for senders that live and die with their process, and for tests. */
import type { SequenceStore } from './types.ts';

/** `last` is the last number used per sender. */
export function memorySequences(last: Readonly<Record<string, number>> = {}): SequenceStore {
  const used = new Map(Object.entries(last));
  return {
    async next(sender) {
      const seq = (used.get(sender) ?? 0) + 1;
      used.set(sender, seq);
      return seq;
    },
  };
}
