/** What each shard of a node reaches the world through. */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { withArchive } from '#runtime/archive/shard-log';
import type { AckMux } from '#runtime/bus/ack-mux';
import { natsAsks } from '#runtime/bus/nats-asks';
import { mailOf, natsInbox } from '#runtime/bus/nats-inbox';
import { natsLog } from '#runtime/bus/nats-log';
import { natsOutbox } from '#runtime/bus/nats-outbox';
import type { Senders } from '#runtime/bus/senders';
import { checkShards } from '#runtime/bus/streams';
import { addressOfTail, type Subjects } from '#runtime/bus/subjects';
import { systemClock } from '#runtime/bus/system';
import type { EffectDesk } from '#runtime/effects/desk';
import type { Registry } from '#runtime/machine/registry';
import type { Privacy } from '#runtime/privacy/privacy';
import type { AskDoor, BlobStore, EdgeGate, Logger } from '#runtime/shard/ports';
import type { ShardDeps } from '#runtime/shard/shard';
import type { RealmConfig } from '#schemas/config';
import { crashProbe } from './crash-probe.ts';
import { withMachines } from './with-machines.ts';

/** All shards together hold back at most this part (1/n) of the inbox before they let go of what is consumed. */
const INBOX_RELEASE_SHARE = 4;

export interface ShardParts {
  readonly nodeId: string;
  readonly config: RealmConfig;
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly acks: AckMux;
  readonly subjects: Subjects;
  readonly registry: Registry;
  readonly senders: Senders;
  readonly gate: EdgeGate;
  readonly guard: ShardDeps['guard'];
  readonly privacy: Privacy;
  readonly blobs: BlobStore;
  readonly effects: EffectDesk;
  readonly logger: Logger;
}

export interface ShardPorts {
  /** `group`: see S3 of seat.ts. */
  readonly depsOf: (shard: number, group: string) => ShardDeps;
  readonly doorOf: (shard: number, group: string) => AskDoor;
}

export function shardPorts(parts: ShardParts): ShardPorts {
  const { nodeId, config, nc, jsm, acks, subjects, registry, senders, guard, blobs, logger } = parts;
  const outbox = natsOutbox({ nc, subjects, blobs, logger });
  const inboxDeps = { nc, jsm, subjects, clock: systemClock, logger, senders };
  const probe = crashProbe(process.env);
  const doorOf = (shard: number, group: string): AskDoor =>
    natsAsks(nc, subjects, shard, logger, group, senders);
  const depsOf = (shard: number, group: string): ShardDeps => {
    const guarded = parts.privacy.shard(shard, natsInbox(inboxDeps, shard), parts.gate);
    return {
      shard,
      node: nodeId,
      registry,
      shardOf: (address) => subjects.shardOf(address),
      shards: config.shards,
      checkShards: () => checkShards(jsm, subjects),
      addressOf: addressOfTail,
      mailOf: (message) => mailOf(subjects, message),
      log: withMachines(
        registry,
        withArchive(natsLog({ nc, jsm, acks, subjects }, shard), {
          shard,
          first: async () => (await jsm.streams.info(subjects.streams.log)).state.first_seq,
          // Few shards ever read what was archived.
          whole: async () =>
            await (await import('#runtime/archive/open')).openWholeLog(nc, subjects, process.env),
          logger,
        }),
      ),
      inbox: guarded.inbox,
      admit: guarded.admit,
      onCommit: (commit) => guarded.committed(commit.consumed),
      asks: doorOf(shard, group),
      outbox,
      blobs,
      effects: (deliver) => parts.effects.runner(shard, deliver),
      gate: guarded.gate,
      ...(guard !== undefined && { guard }),
      clock: systemClock,
      logger,
      limits: {
        ...config.limits,
        inboxReleaseBytes: config.limits.inboxBytesMax / (config.shards * INBOX_RELEASE_SHARE),
      },
      ...(probe !== undefined && { probe }),
    };
  };
  return { depsOf, doorOf };
}
