/**
 * Gives a realm that does not run another number of shards.
 *
 * S1  Nobody writes meanwhile: no node is there, the leases of all shards are ours, an epoch record fences each, and the
 *     inbox takes nothing. What it took all the same, thawed by whoever, ends the work before its last step.
 * S2  Only a realm with nothing under way is dealt anew: what waits would have to move too.
 * S3  Until the last step the realm is as it was: imports in the log count for nobody until the number of shards
 *     changes, and that is one change of one stream. After it the realm has the new number, and all imports are there.
 * S4  All that was written was read back from the log and compared before that step.
 */
import { jetstreamManager } from '@nats-io/jetstream';
import { AckMux } from '#runtime/bus/ack-mux';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { natsLog } from '#runtime/bus/nats-log';
import { checkShards, freezeInbox, renumberInbox, thawInbox } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import type { ShelvedMachine } from '#runtime/machine/registry';
import { Deal } from '#runtime/shard/deal';
import type { Logger, ShardLog } from '#runtime/shard/ports';
import type { RealmConfig } from '#schemas/config';
import { connectServer } from './connect-server.ts';
import { openServer } from './open-server.ts';
import { buildRegistry } from './registry.ts';
import { fence, nobodyRuns, takeLeases } from './reshard/alone.ts';
import { readShard } from './reshard/read.ts';
import { type Head, headOf, JS_TIMEOUT_MS, type RealmParts, running } from './reshard/realm.ts';
import { compare, type Written, writeHand } from './reshard/write.ts';
import { Resources } from './resources.ts';

export interface ReshardOptions {
  /** As the realm has it until now. */
  readonly config: RealmConfig;
  readonly baseDir: string;
  readonly dataDir: string;
  readonly join?: string | undefined;
  /** Wanted from now on. */
  readonly shards: number;
  readonly machines: readonly ShelvedMachine[];
  readonly driverNames: readonly string[];
  readonly log: Logger;
  /** Called after each step, and waited for. A test may throw there, as a crash would end it. */
  readonly onStep?: (step: ReshardStep) => void | Promise<void>;
}

export type ReshardStep = 'fenced' | 'read' | 'written' | 'compared' | 'changed';

export interface Resharded {
  readonly from: number;
  readonly to: number;
  readonly actors: number;
  /** Over the digests of all actors, as the log states it. */
  readonly digest: string;
  /** Actors of each new shard. */
  readonly spread: readonly number[];
}

/**
 * Throws `shards_changed` where the realm has another number than the config, `realm_running`, `realm_busy`,
 * `reshard_incomplete`, and what reading the log throws. After a throw the realm is as it was, unless the answer to the
 * last step was lost: then it may be done.
 */
export async function reshard(options: ReshardOptions): Promise<Resharded> {
  const resources = new Resources();
  try {
    return await reshardWith(options, resources);
  } finally {
    await resources.disposeAsync();
  }
}

async function reshardWith(options: ReshardOptions, resources: Resources): Promise<Resharded> {
  const { config, shards, log } = options;
  const before = new Subjects(config.prefix, config.shards);
  const after = new Subjects(config.prefix, shards);
  const server = await openServer(options, resources);
  const nc = await connectServer(server, options, 'reshard', resources);
  const jsm = await jetstreamManager(nc, { timeout: JS_TIMEOUT_MS });
  await checkShards(jsm, before);
  const acks = new AckMux(nc);
  resources.defer(() => acks.close());
  const registry = await buildRegistry(options);
  await registry.provide();
  const blobs = await natsBlobs(nc, before);
  const logOf = (shard: number): ShardLog => natsLog({ nc, jsm, acks, subjects: before }, shard);
  const realm: RealmParts = { nc, jsm, before, after, registry, blobs, logOf, log, resources };
  await nobodyRuns(realm);
  const leases = await takeLeases(realm, Math.max(config.shards, shards));
  const consumed = await freezeInbox(jsm, before);
  let isChanged = false;
  try {
    const result = await move(realm, consumed, options);
    await nobodyRuns(realm);
    if (leases.some(({ isLost }) => isLost())) throw running('its leases were lost');
    if (!(await renumberInbox(jsm, after, consumed))) throw running('its inbox took sends meanwhile');
    isChanged = true;
    await options.onStep?.('changed');
    return result;
  } finally {
    if (!isChanged) await thawInbox(jsm, before);
  }
}

/** Reads every shard, writes and reads back what the new ones take over. */
async function move(realm: RealmParts, consumed: number, options: ReshardOptions): Promise<Resharded> {
  const { config, shards, onStep } = options;
  const { after, logOf } = realm;
  const deal = new Deal(shards, (address) => after.shardOf(address));
  const heads: Head[] = [];
  for (let shard = 0; shard < config.shards; shard += 1) heads.push(await fence(realm, shard));
  await onStep?.('fenced');
  for (const [shard, head] of heads.entries())
    await readShard(realm, shard, head, deal, config.limits.dedupeWindow);
  await onStep?.('read');
  const digest = deal.digest();
  const written: Written[] = [];
  for (let shard = 0; shard < shards; shard += 1) {
    const head = heads[shard] ?? headOf(await logOf(shard).head());
    const target = { shard, head, consumed, digest, from: config.shards, to: shards };
    written.push({ shard, after: head.seq, through: await writeHand(realm, deal, target) });
  }
  await onStep?.('written');
  await compare(realm, deal, written);
  await onStep?.('compared');
  return {
    from: config.shards,
    to: shards,
    actors: deal.actors,
    digest: Buffer.from(digest).toString('hex'),
    spread: deal.hands.map(({ cells }) => cells.length),
  };
}
