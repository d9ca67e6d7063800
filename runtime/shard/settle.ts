/** What a stored commit means for the positions and door tables of its shard; live and at recovery alike. */
import type { Commit } from '#schemas/commit';
import { dedupeKey } from './dedupe.ts';
import type { ShardState } from './state.ts';

export function settle(state: ShardState, commit: Commit, hash: Uint8Array, seq: number): void {
  state.index = commit.index;
  state.prev = hash;
  state.seq = seq;
  state.at = commit.at;
  state.epoch = commit.epoch;
  state.consumed = commit.consumed;
  state.acted = commit.acted;
  for (const { cause, signed } of commit.entries) {
    if (signed !== undefined) acceptSeq(state, signed.from, signed.seq);
    switch (cause.kind) {
      case 'ask':
      case 'inbox':
        if (cause.id !== undefined) state.dedupe.add(dedupeKey(cause.from, cause.id), seq);
        break;
      case 'mail':
        if (cause.shard === state.shard) state.localMail.delete(`${cause.index}/${cause.n}`);
        else state.marks.set(cause.shard, { index: cause.index, n: cause.n });
        break;
    }
  }
  for (const [n, mail] of (commit.mail ?? []).entries()) {
    const target = state.shardOf(mail.to);
    if (target === state.shard) state.localMail.set(`${commit.index}/${n}`, { index: commit.index, n, mail });
    else state.sent.set(target, commit.index);
  }
}

export function acceptSeq(state: ShardState, from: string, seq: number): void {
  if (seq > (state.senders.get(from) ?? 0)) state.senders.set(from, seq);
}
