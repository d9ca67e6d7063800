/** Whether a message is one that came before: by what it says of itself, not by a hash. */
import type { Commit, Entry } from '#schemas/commit';
import type { BodyItem } from './gather.ts';

/** What names a message. */
export interface MessageName {
  readonly id: string | undefined;
  readonly from: string | undefined;
}

/** True where a waiting item is the same message to the same actor. */
export function isTwin(item: BodyItem, address: string, { id, from }: MessageName): boolean {
  const other = item.kind === 'ask' ? item.ask : item.message;
  return item.address === address && other.id === id && other.from === from;
}

/** The entry of a message in the commit that may hold it. */
export function entryOfMessage(
  commit: Commit,
  address: string,
  { id, from }: MessageName,
): Entry | undefined {
  return commit.entries.find(
    ({ cause, actor }) =>
      actor === address &&
      (cause.kind === 'ask' || cause.kind === 'inbox') &&
      cause.id === id &&
      cause.from === from,
  );
}
