/** What anyone can check of a realm's log: that each shard's commits are one chain with one writer at a time. */
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import type { Commit } from '#schemas/commit';

/** Every break of a chain; empty where the log is sound. Shows each commit on its way. */
export async function chainViolations(
  nc: NatsConnection,
  show: (commit: Commit) => void = () => {},
): Promise<string[]> {
  const jsm = await jetstreamManager(nc);
  const { last_seq: lastSeq } = (await jsm.streams.info('IF_LOG')).state;
  const heads = new Map<number, { commit: Commit; hash: Uint8Array }>();
  const wrong: string[] = [];
  for (let seq = 1; seq <= lastSeq; seq++) {
    const stored = await jsm.streams.getMessage('IF_LOG', { seq });
    if (stored === null) {
      wrong.push(`message ${seq} is gone`);
      continue;
    }
    const commit = decodeCommit(stored.data);
    show(commit);
    const head = heads.get(commit.shard);
    if (commit.index !== (head?.commit.index ?? -1) + 1)
      wrong.push(`${seq}: commit ${commit.index} is out of line`);
    if (head !== undefined && Buffer.compare(commit.prev, head.hash) !== 0)
      wrong.push(`${seq}: the link is broken`);
    if (commit.epoch < (head?.commit.epoch ?? 0))
      wrong.push(`${seq}: epoch ${commit.epoch} writes after a later one`);
    heads.set(commit.shard, { commit, hash: sha256(stored.data) });
  }
  return wrong;
}
