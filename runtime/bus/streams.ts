/** The streams and buckets of a realm: made where absent, checked for drift where present. */
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  PersistMode,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { Objm } from '@nats-io/obj';
import type { Logger } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';
import { firstReplicas, isTooFewServers, type Replicas } from './replicas.ts';
import type { Subjects } from './subjects.ts';
import { JETSTREAM_TIMEOUT_MS } from './tidy-jetstream.ts';

/** Shards know their duplicates themselves; the stream's own memory of ids would take two senders' equal ids for one. */
const INBOX_DUPLICATE_WINDOW_NS = 1e9;
/** A dead letter sent again after a crash of its node is stored once. */
const DEAD_DUPLICATE_WINDOW_NS = 120 * 1e9;

/** Revisions of a data key's row: they wait for their erasure, and must not fall out of the stream before it. */
const KEY_REVISIONS_MAX = 64;

/** Inputs and outputs of sandboxed tasks: a month in which they can be looked at and proved. */
const RUNS_KEPT_NS = 30 * 86_400 * 1e9;

export interface StreamOptions {
  /** Copies of what is made now. */
  readonly replicas: Replicas;
  readonly inboxBytesMax: number;
  readonly deadBytesMax: number;
  /** −1: no bound. */
  readonly logBytesMax: number;
  /** Absent: no bound. */
  readonly objectBytesMax?: number | undefined;
  readonly logger?: Logger;
}

type Wanted = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects'>;

/**
 * Resolves with the number of copies that the log has. What is there keeps the number that it has.
 *
 * Throws `stream_drift`, `shards_changed`, `replicas_refused` where the servers for so many copies are not there, or
 * `storage_refused` where the server has no room for a stream.
 */
export async function ensureStreams(
  nc: NatsConnection,
  subjects: Subjects,
  options: StreamOptions,
): Promise<number> {
  try {
    return await ensure(nc, subjects, options);
  } catch (thrown) {
    if (!(thrown instanceof JetStreamApiError)) throw thrown;
    const { replicas, inboxBytesMax, deadBytesMax, logBytesMax } = options;
    if (isTooFewServers(thrown)) {
      throw new FabricError(
        busErrors.replicas_refused,
        `The servers cannot keep ${replicas} copies of a stream: ${thrown.message}`,
        { details: { replicas }, cause: thrown },
      );
    }
    if (!NO_ROOM.has(thrown.code)) throw thrown;
    throw new FabricError(
      busErrors.storage_refused,
      `The server has no room for the streams: ${thrown.message}`,
      { details: { inboxBytesMax, deadBytesMax, logBytesMax }, cause: thrown },
    );
  }
}

/** Insufficient resources, and limits of the account. */
const NO_ROOM = new Set([10_002, 10_023, 10_028, 10_047]);

async function ensure(nc: NatsConnection, subjects: Subjects, options: StreamOptions): Promise<number> {
  const jsm = await jetstreamManager(nc, { timeout: JETSTREAM_TIMEOUT_MS });
  const { streams } = subjects;
  // The log comes first: how many copies it can have, all others get.
  const replicas = await firstReplicas({
    isClustered: nc.info?.cluster !== undefined && nc.info.cluster !== '',
    wish: options.replicas,
    present: async () => (await configOf(jsm, streams.log))?.num_replicas,
    create: (n) => ensureStream(jsm, subjects, wantedStreams(subjects, options, n)[0]),
    ...(options.logger !== undefined && { logger: options.logger }),
  });
  // None of the others waits for another: on an empty folder each takes the server some writes.
  await together([
    ...wantedStreams(subjects, options, replicas).map((config) => ensureStream(jsm, subjects, config)),
    ...bucketsOf(nc, jsm, subjects, options, replicas),
  ]);
  return replicas;
}

function bucketsOf(
  nc: NatsConnection,
  jsm: JetStreamManager,
  { buckets }: Subjects,
  options: StreamOptions,
  replicas: number,
): Promise<void>[] {
  // That JetStream is there was asked before.
  const js = jetstream(nc, { checkAPI: false, timeout: JETSTREAM_TIMEOUT_MS });
  const [kvm, objm] = [new Kvm(js), new Objm(js)];
  const objects = async (): Promise<void> => {
    // As of the streams, an operator may change the bound.
    const bytesMax = (await configOf(jsm, `OBJ_${buckets.objects}`))?.max_bytes ?? options.objectBytesMax;
    const config = { replicas, storage: StorageType.File, max_bytes: bytesMax ?? -1 };
    await undrifted(buckets.objects, objm.create(buckets.objects, config));
  };
  const runs = async (): Promise<void> => {
    const ttl = (await configOf(jsm, `OBJ_${buckets.runs}`))?.max_age ?? RUNS_KEPT_NS;
    const config = { replicas, storage: StorageType.File, ttl };
    await undrifted(buckets.runs, objm.create(buckets.runs, config));
  };
  return [
    ...[buckets.claims, buckets.nodes].map((bucket) =>
      undrifted(bucket, kvm.create(bucket, { replicas, history: 1, markerTTL: MARKER_TTL_MS })),
    ),
    ensureLeaseBucket(nc, buckets.leases, replicas),
    ...[buckets.keys, buckets.witness, buckets.policy, buckets.sandbox].map((bucket) =>
      undrifted(bucket, kvm.create(bucket, { replicas, history: 1 })),
    ),
    ...[buckets.tiles, buckets.boxes].map((bucket) =>
      undrifted(bucket, objm.create(bucket, { replicas, storage: StorageType.File })),
    ),
    objects(),
    runs(),
  ];
}

/** Waits for all; throws what the first in the list throws. */
async function together(tasks: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(tasks)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

/** In memory: a lease that is lost with it is taken again or ends, and what it guards knows its holder from the log. */
export async function ensureLeaseBucket(nc: NatsConnection, bucket: string, replicas: number): Promise<void> {
  const storage = StorageType.Memory;
  await undrifted(
    bucket,
    new Kvm(nc).create(bucket, { replicas, history: 1, storage, markerTTL: MARKER_TTL_MS }),
  );
}

function wantedStreams(
  { streams, buckets, wildcards }: Subjects,
  options: StreamOptions,
  replicas: number,
): readonly [log: Wanted, ...others: Wanted[]] {
  const common = {
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    num_replicas: replicas,
    discard: DiscardPolicy.New,
    allow_rollup_hdrs: false,
    allow_msg_ttl: false,
    allow_msg_schedules: false,
    no_ack: false,
    persist_mode: PersistMode.Default,
  };
  /** Nothing that was acknowledged goes by itself. */
  const kept = { max_age: 0, max_msgs: -1, max_msgs_per_subject: -1 };
  return [
    {
      ...common,
      ...kept,
      name: streams.log,
      subjects: [wildcards.log()],
      max_bytes: options.logBytesMax,
      deny_delete: true,
      deny_purge: true,
    },
    {
      ...common,
      ...kept,
      name: streams.inbox,
      subjects: [wildcards.in(), wildcards.mail()],
      subject_transform: { src: wildcards.in(), dest: wildcards.queued() },
      max_bytes: options.inboxBytesMax,
      duplicate_window: INBOX_DUPLICATE_WINDOW_NS,
    },
    {
      ...common,
      name: streams.dead,
      subjects: [wildcards.dead()],
      max_bytes: options.deadBytesMax,
      discard: DiscardPolicy.Old,
      duplicate_window: DEAD_DUPLICATE_WINDOW_NS,
    },
    {
      ...common,
      ...kept,
      // A bucket but for one thing: single messages may be deleted, since only that overwrites them on disk.
      name: `KV_${buckets.privacy}`,
      subjects: [`$KV.${buckets.privacy}.>`],
      max_msgs_per_subject: KEY_REVISIONS_MAX,
      max_bytes: -1,
      deny_delete: false,
      deny_purge: false,
      allow_direct: true,
    },
  ];
}

async function ensureStream(jsm: JetStreamManager, subjects: Subjects, config: Wanted): Promise<void> {
  let present = await configOf(jsm, config.name);
  if (present === undefined) {
    try {
      await jsm.streams.add(config);
      return;
    } catch (error) {
      // Another node was faster and made it otherwise: the drift says how.
      if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NAME_IN_USE) throw error;
      present = await configOf(jsm, config.name);
    }
  }
  if (present !== undefined) checkDrift(config, present, subjects);
}

/** A bucket that is there is left as it is; one that was made otherwise is refused. */
async function undrifted(bucket: string, made: Promise<unknown>): Promise<void> {
  try {
    await made;
  } catch (cause) {
    if (!(cause instanceof JetStreamApiError) || cause.code !== STREAM_NAME_IN_USE) throw cause;
    throw new FabricError(
      busErrors.stream_drift,
      `Bucket ${bucket} was made with another configuration: ${cause.message}`,
      { details: { bucket }, cause },
    );
  }
}

async function configOf(jsm: JetStreamManager, stream: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(stream)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

/** Throws `shards_changed` where sends are not spread over as many shards as the subjects have. */
export async function checkShards(jsm: JetStreamManager, subjects: Subjects): Promise<void> {
  const { config } = await jsm.streams.info(subjects.streams.inbox);
  const have = shardsOf(config);
  if (have !== subjects.shards) throw shardsChanged(have, subjects, {});
}

/** Takes no more sends, until it is thawed: they are refused retryably. Resolves with the last sequence. */
export async function freezeInbox(jsm: JetStreamManager, { streams }: Subjects): Promise<number> {
  const { config } = await jsm.streams.info(streams.inbox);
  const bytesMax = config.metadata?.[FROZEN] ?? String(config.max_bytes);
  const metadata = { ...config.metadata, [FROZEN]: bytesMax };
  const { state } = await jsm.streams.update(streams.inbox, {
    ...config,
    max_bytes: FROZEN_BYTES_MAX,
    metadata,
  });
  return state.last_seq;
}

/** Takes sends again, where it was frozen. Only for who knows that nobody deals the realm anew: the holder of a shard's lease. */
export async function thawInbox(jsm: JetStreamManager, { streams }: Subjects): Promise<void> {
  const { config } = await jsm.streams.info(streams.inbox);
  if (config.metadata?.[FROZEN] !== undefined) await jsm.streams.update(streams.inbox, thawed(config));
}

/**
 * Takes sends again, in the same step for as many shards as the subjects have. False, and nothing has changed, where it
 * was thawed meanwhile or took anything after `consumed`.
 */
export async function renumberInbox(
  jsm: JetStreamManager,
  { streams, wildcards }: Subjects,
  consumed: number,
): Promise<boolean> {
  const { config, state } = await jsm.streams.info(streams.inbox);
  if (config.metadata?.[FROZEN] === undefined || state.last_seq !== consumed) return false;
  const subject_transform = { src: wildcards.in(), dest: wildcards.queued() };
  await jsm.streams.update(streams.inbox, { ...thawed(config), subject_transform });
  return true;
}

function thawed(config: StreamConfig): StreamConfig {
  const { [FROZEN]: bytesMax, ...metadata } = config.metadata ?? {};
  return { ...config, ...(bytesMax !== undefined && { max_bytes: Number(bytesMax) }), metadata };
}

/** In the inbox's metadata: its bound before it was frozen. */
const FROZEN = 'infrafabric.frozen';
/** Less than any message. */
const FROZEN_BYTES_MAX = 1;

function shardsOf({ subject_transform: transform }: StreamConfig): number | undefined {
  const count = /partition\((\d+),/.exec(transform?.dest ?? '')?.[1];
  return count === undefined ? undefined : Number(count);
}

function shardsChanged(
  have: number | undefined,
  { shards }: Subjects,
  details: Readonly<Record<string, unknown>>,
): FabricError {
  return new FabricError(
    busErrors.shards_changed,
    `This realm has ${have ?? 'no'} shards; the config says ${shards}`,
    { details },
  );
}

const STREAM_NOT_FOUND = 10_059;
const STREAM_NAME_IN_USE = 10_058;
/** How long a bucket tells of an expired key. */
const MARKER_TTL_MS = 60_000;

/** Limits may be changed by an operator; what correctness rests on may not. */
const CHECKED = [
  'subjects',
  'subject_transform',
  'storage',
  'retention',
  'discard',
  'deny_delete',
  'deny_purge',
  'allow_rollup_hdrs',
  'allow_msg_ttl',
  'allow_msg_schedules',
  'no_ack',
  'persist_mode',
  'max_age',
  'max_msgs',
  'max_msgs_per_subject',
] as const;

/** What a stream is that makes its messages from others or changes them: never one of ours, unless we said so. */
const FOREIGN = ['mirror', 'sources', 'subject_transform'] as const;

function checkDrift(want: Wanted, have: StreamConfig, subjects: Subjects): void {
  for (const field of [...CHECKED, ...FOREIGN]) {
    const isOurs = want[field] !== undefined;
    if (!isOurs && !FOREIGN.some((foreign) => foreign === field)) continue;
    // Servers leave out what is off.
    const off = want[field] === false || want[field] === PersistMode.Default ? want[field] : undefined;
    const [wanted, found] = [JSON.stringify(want[field]), JSON.stringify(have[field] ?? off)];
    if (wanted === found) continue;
    const details = { stream: want.name, field, want: want[field], have: have[field] };
    if (field === 'subject_transform' && isOurs) {
      throw shardsChanged(shardsOf(have), subjects, details);
    }
    throw new FabricError(
      busErrors.stream_drift,
      `Stream ${want.name} has ${field} ${found ?? 'unset'}; the fabric needs ${wanted ?? 'it unset'}`,
      { details },
    );
  }
}
