/**
 * Gives a realm that does not run another number of shards.
 *
 * S1  Nobody writes meanwhile: no node is there, the leases of all shards are ours, an epoch record fences each, and the
 *     inbox takes nothing.
 * S2  Only a realm with nothing under way is dealt anew: what waits would have to move too.
 * S3  Until the last step the realm is as it was: imports in the log count for nobody until the number of shards
 *     changes, and that is one change of one stream. After it the realm has the new number, and all imports are there.
 * S4  All that was written was read back from the log and compared before that step.
 */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { AckMux } from '#runtime/bus/ack-mux';
import { decodeCommit, encodeCommit, sha256 } from '#runtime/bus/codec';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { natsLog } from '#runtime/bus/nats-log';
import { checkShards, freezeInbox, thawInbox } from '#runtime/bus/streams';
import { Subjects } from '#runtime/bus/subjects';
import { systemClock, systemRandom } from '#runtime/bus/system';
import { acquireLease, type Lease } from '#runtime/claims/lease';
import { natsLeases } from '#runtime/claims/nats-leases';
import { edgeGate } from '#runtime/edge/verify';
import type { Registry, ShelvedMachine } from '#runtime/machine/registry';
import { natsMembers } from '#runtime/members/nats-store';
import { MEMBER } from '#runtime/members/roster';
import { Appender } from '#runtime/shard/append';
import { commitOf, Deal, digestOf, type Place, partsOf } from '#runtime/shard/deal';
import { writeEpoch } from '#runtime/shard/epoch';
import { cellOrBroken } from '#runtime/shard/hydrate';
import { IdsOfLog } from '#runtime/shard/import';
import type { BlobStore, Logger, ShardLog, StoredCommit } from '#runtime/shard/ports';
import { readThrough } from '#runtime/shard/read-through';
import { restoreShard } from '#runtime/shard/restore';
import { emptyState, type ShardState } from '#runtime/shard/state';
import { type Cell, NOWHERE } from '#runtime/shard/table';
import type { Import } from '#schemas/commit';
import type { RealmConfig } from '#schemas/config';
import { FabricError } from '#schemas/fabric-error';
import { connectServer } from './connect-server.ts';
import { nodeErrors } from './errors.ts';
import { leaseKey } from './host.ts';
import { openServer } from './open-server.ts';
import { buildRegistry } from './registry.ts';
import { Resources } from './resources.ts';

/** Longer than any pause of a process that still works. */
const LEASE_TTL_MS = 60_000;
/** What a crashed node left is gone by then. */
const FREE_TIMEOUT_MS = 15_000;
const LOOK_EVERY_MS = 250;
const JS_TIMEOUT_MS = 5_000;
const MISSING_SHOWN_MAX = 5;
const NO_MESSAGE_FOUND = 10_037;

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
  /** Called after each step. A test may throw there, as a crash would end it. */
  readonly onStep?: (step: ReshardStep) => void;
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
 * `reshard_incomplete`, and what reading the log throws. After a throw the realm is as it was.
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
    await thawInbox(jsm, after);
    isChanged = true;
    options.onStep?.('changed');
    return result;
  } finally {
    if (!isChanged) await thawInbox(jsm, before);
  }
}

interface RealmParts {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly before: Subjects;
  readonly after: Subjects;
  readonly registry: Registry;
  readonly blobs: BlobStore;
  readonly logOf: (shard: number) => ShardLog;
  readonly log: Logger;
  readonly resources: Resources;
}

/** S1. */
async function nobodyRuns({ nc, before, resources }: RealmParts): Promise<void> {
  const store = await natsMembers(nc, before.buckets.nodes);
  const rows = new Set<string>();
  const watch = await store.watch((key, value) => {
    if (!key.startsWith(MEMBER)) return;
    if (value === undefined) rows.delete(key);
    else rows.add(key);
  });
  resources.defer(() => watch.close());
  await eventually(
    () => rows.size === 0,
    () => running(`${rows.size} nodes of it are up`),
  );
}

interface HeldLease {
  readonly lease: Lease;
  readonly isLost: () => boolean;
}

/** S1: whoever starts meanwhile waits for them. */
async function takeLeases({ nc, before, log, resources }: RealmParts, count: number): Promise<HeldLease[]> {
  const store = await natsLeases(nc, before.buckets.claims);
  const held: HeldLease[] = [];
  for (let shard = 0; shard < count; shard += 1) {
    let lease: Lease | undefined;
    await eventually(
      async () => {
        lease = await acquireLease({
          store,
          key: leaseKey(shard),
          holder: 'reshard',
          ttlMs: LEASE_TTL_MS,
          clock: systemClock,
          random: systemRandom,
          logger: log,
        });
        return lease !== undefined;
      },
      () => running(`somebody has the lease of shard ${shard}`),
    );
    if (lease === undefined) throw running(`the lease of shard ${shard} cannot be had`);
    const taken = lease;
    let isLost = false;
    void taken.lost.then(() => {
      isLost = true;
    });
    resources.defer(() => taken.release());
    held.push({ lease: taken, isLost: () => isLost });
  }
  return held;
}

/** Reads every shard, writes and reads back what the new ones take over. */
async function move(realm: RealmParts, consumed: number, options: ReshardOptions): Promise<Resharded> {
  const { config, shards, onStep } = options;
  const { after, logOf } = realm;
  const deal = new Deal(shards, (address) => after.shardOf(address));
  const heads: Head[] = [];
  for (let shard = 0; shard < config.shards; shard += 1) heads.push(await fence(realm, shard));
  onStep?.('fenced');
  for (const [shard, head] of heads.entries())
    await readShard(realm, shard, head, deal, config.limits.dedupeWindow);
  onStep?.('read');
  const digest = deal.digest();
  const written: Written[] = [];
  for (let shard = 0; shard < shards; shard += 1) {
    const head = heads[shard] ?? headOf(await logOf(shard).head());
    const target = { shard, head, consumed, digest, from: config.shards, to: shards };
    written.push({ shard, after: head.seq, through: await writeHand(realm, deal, target) });
  }
  onStep?.('written');
  await compare(realm, deal, written);
  onStep?.('compared');
  return {
    from: config.shards,
    to: shards,
    actors: deal.actors,
    digest: Buffer.from(digest).toString('hex'),
    spread: deal.hands.map(({ cells }) => cells.length),
  };
}

/** Where a shard's log ends. */
interface Head {
  readonly seq: number;
  readonly index: number;
  readonly prev: Uint8Array;
  readonly at: number;
  readonly epoch: number;
}

function headOf(last: StoredCommit | undefined): Head {
  if (last === undefined) return { seq: 0, index: -1, prev: new Uint8Array(32), at: 0, epoch: 0 };
  const { index, at, epoch } = decodeCommit(last.bytes);
  return { seq: last.seq, index, prev: sha256(last.bytes), at, epoch };
}

async function fence(
  { logOf, before, jsm, registry, log: logger }: RealmParts,
  shard: number,
): Promise<Head> {
  const log = logOf(shard);
  const appender = new Appender(log, systemClock, logger);
  const deps = {
    shard,
    node: 'reshard',
    log,
    clock: systemClock,
    shards: before.shards,
    checkShards: () => checkShards(jsm, before),
  };
  await writeEpoch(deps, appender, () => empty(shard, registry, before));
  return headOf(await log.head());
}

function empty(shard: number, registry: Registry, subjects: Subjects): ShardState {
  const shardOf = (address: string): number => subjects.shardOf(address);
  return emptyState({ shard, registry, shardOf, dedupeWindow: 0, dedupeSeed: 0 });
}

async function readShard(
  realm: RealmParts,
  shard: number,
  head: Head,
  deal: Deal,
  dedupeWindow: number,
): Promise<void> {
  const { logOf, before, registry, blobs, log: logger } = realm;
  const log = logOf(shard);
  const { state, hydrator, parcels, base } = await restoreShard({
    shard,
    log,
    blobs,
    eventOf: edgeGate({ policy: { unsignedTypes: [], maxAgeMs: 0 }, keyOf: () => undefined }).eventOf,
    logger,
    throughSeq: head.seq,
    epoch: head.epoch,
    empty: () => empty(shard, registry, before),
    checkWanted: () => undefined,
  });
  await nothingUnderWay(realm, state, parcels.length);
  const addresses = [...state.actors.entries()].map(([address]) => address);
  await hydrator.hydrate(state, addresses);
  const cells = addresses.map((address) => state.actors.cell(address)).filter((cell) => cell !== undefined);
  // Ids are remembered from where the snapshot has them, or from the first commit.
  const ids: Import['ids'][number][] = [];
  const found = new IdsOfLog();
  const { idsFromSeq = 1, seq: baseSeq = 0 } = base?.tables ?? {};
  const afterSeq = idsFromSeq === 0 ? baseSeq : idsFromSeq - 1;
  for await (const { seq, bytes } of readThrough(log, shard, afterSeq, head.seq)) {
    for (const id of found.in(decodeCommit(bytes), seq)) if (before.shardOf(id[1]) === shard) ids.push(id);
  }
  deal.add({ cells, senders: [...state.senders], ids: ids.slice(-dedupeWindow) });
}

/** S2. */
async function nothingUnderWay(
  { nc, before }: RealmParts,
  state: ShardState,
  parcels: number,
): Promise<void> {
  const { shard, consumed, localMail } = state;
  const waiting = await Promise.all(
    before.wildcards.inbox(shard).map((filter) => isStoredAfter(nc, before.streams.inbox, consumed, filter)),
  );
  const sends = waiting.filter(Boolean).length;
  if (sends === 0 && parcels === 0 && localMail.size === 0) return;
  throw new FabricError(nodeErrors.realm_busy, `Shard ${shard} has messages that are not handled yet`, {
    details: { shard, mail: localMail.size + parcels, inbox: sends > 0 },
  });
}

/** The client's own request has no way to say so. */
async function isStoredAfter(
  nc: NatsConnection,
  stream: string,
  seq: number,
  filter: string,
): Promise<boolean> {
  const request = JSON.stringify({ seq: seq + 1, next_by_subj: filter });
  const reply = await nc.request(`$JS.API.STREAM.MSG.GET.${stream}`, request, { timeout: JS_TIMEOUT_MS });
  const { error } = reply.json<{ error?: { err_code: number; description: string } }>();
  if (error === undefined) return true;
  if (error.err_code === NO_MESSAGE_FOUND) return false;
  throw new Error(`The inbox cannot be read: ${error.description}`);
}

interface Target {
  readonly shard: number;
  readonly head: Head;
  readonly consumed: number;
  readonly digest: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** Where the import of a shard stands in the log. */
interface Written {
  readonly shard: number;
  readonly after: number;
  readonly through: number;
}

/** Resolves with the sequence of the last part. */
async function writeHand(
  { logOf, log: logger }: RealmParts,
  deal: Deal,
  { shard, head, consumed, digest, from, to }: Target,
): Promise<number> {
  const hand = deal.hands[shard] ?? { cells: [], senders: [], ids: [] };
  const log = logOf(shard);
  const place: Place = {
    shard,
    from,
    to,
    index: head.index,
    prev: head.prev,
    at: Math.max(head.at, systemClock.now()),
    epoch: head.epoch,
    consumed,
  };
  const appender = new Appender(log, systemClock, logger);
  const parts = partsOf(hand, log.bytesMax);
  let last = head;
  for (const [n, part] of parts.entries()) {
    const total = { realm: deal.actors, shard: hand.cells.length, digest };
    const commit = commitOf(part, n, last, place, n === parts.length - 1 ? total : undefined);
    const bytes = encodeCommit(commit);
    const result = await appender.append(bytes, last.seq);
    if (result.kind !== 'appended') throw running(`somebody else wrote in shard ${shard}`);
    last = headOf({ seq: result.seq, bytes });
  }
  return last.seq;
}

/** S4. */
async function compare(
  { logOf, registry }: RealmParts,
  deal: Deal,
  written: readonly Written[],
): Promise<void> {
  const found = new Map<string, string>();
  for (const { shard, after, through } of written) {
    const last = await logOf(shard).head();
    if (last?.seq !== through) throw running(`somebody else wrote in shard ${shard}`);
    for await (const { bytes } of readThrough(logOf(shard), shard, after, through)) {
      for (const record of decodeCommit(bytes).import?.actors ?? []) {
        const cell: Cell = cellOrBroken(record, NOWHERE, registry);
        found.set(cell.address, digestOf(cell));
      }
    }
  }
  const missing = deal.missing(found);
  if (missing.length === 0) return;
  throw new FabricError(
    nodeErrors.reshard_incomplete,
    `${missing.length} of ${deal.actors} actors did not come along`,
    { details: { actors: missing.slice(0, MISSING_SHOWN_MAX) } },
  );
}

function running(why: string): FabricError {
  return new FabricError(nodeErrors.realm_running, `The realm runs: ${why}`);
}

async function eventually(
  isSo: () => boolean | Promise<boolean>,
  otherwise: () => FabricError,
): Promise<void> {
  for (const until = performance.now() + FREE_TIMEOUT_MS; !(await isSo()); ) {
    if (performance.now() > until) throw otherwise();
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
