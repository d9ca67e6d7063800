/** What a stored commit means for the positions and tables of its shard; live and at recovery alike. */
import type { Commit } from '#schemas/commit';
import type { SenderMark, ShardState } from './state.ts';

export function settle(state: ShardState, commit: Commit, hash: Uint8Array, seq: number): void {
  state.index = commit.index;
  state.prev = hash;
  state.seq = seq;
  state.at = commit.at;
  state.epoch = commit.epoch;
  state.consumed = commit.consumed;
  state.acted = commit.acted;
  state.needs.saw(commit);
  for (const { cause, signed, actor } of commit.entries) {
    if (signed !== undefined) acceptSeq(state, signed.from, actor, { seq: signed.seq, at: commit.at });
    if (cause.kind !== 'mail') continue;
    if (cause.shard === state.shard) state.localMail.delete(`${cause.index}/${cause.n}`);
    else state.marks.set(cause.shard, { index: cause.index, n: cause.n });
  }
  for (const [n, mail] of (commit.mail ?? []).entries()) {
    const target = state.shardOf(mail.to);
    if (target === state.shard) state.localMail.set(`${commit.index}/${n}`, { index: commit.index, n, mail });
    else state.sent.set(target, commit.index);
  }
}

/** Remembers the ids of a commit at recovery; live the doors do, who have the keys at hand. */
export function rememberIds(state: ShardState, commit: Commit, seq: number): void {
  if (state.dedupe.isOff) return;
  for (const [from, actor, id, answeredAt] of state.idsOfLog.in(commit, seq)) {
    state.dedupe.add(state.dedupe.key(from ?? undefined, actor, id), answeredAt);
  }
}

/** Last accepted sequence of a sender at an actor; 0 before the first. */
export function lastSeq(state: ShardState, from: string, actor: string): number {
  return state.senders.get(`${from}>${actor}`)?.seq ?? 0;
}

export function acceptSeq(state: ShardState, from: string, actor: string, mark: SenderMark): void {
  const key = `${from}>${actor}`;
  if (mark.seq > (state.senders.get(key)?.seq ?? 0)) state.senders.set(key, mark);
}

/** Signed messages older than this are refused for their age, so their sequences need no remembering. */
const SENDER_MEMORY_MS = 2 * 86_400_000;

/** Forgets senders that have been silent for longer than any message may live. */
export function pruneSenders(state: ShardState): void {
  for (const [key, { at }] of state.senders) if (at < state.at - SENDER_MEMORY_MS) state.senders.delete(key);
}
