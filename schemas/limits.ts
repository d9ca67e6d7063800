/** Every bound of a realm: a named default with the reason for it, and its place in the config. */
import { z } from 'zod';
import { byteSize, duration, formatBytes, formatDuration } from './units.ts';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** Messages that may wait in one shard: eight full batches, so a burst is absorbed but the wait stays below ~100 ms. */
export const QUEUE_MAX_DEFAULT = 4_096;
/** Entries of one commit: past 512 a commit no longer gets cheaper per entry, it only gets later. */
export const BATCH_MAX_DEFAULT = 512;
/** Body of one message: half of what the embedded server takes, so that a body too big is still answered with an error. */
export const BODY_BYTES_MAX_DEFAULT = 4 * MIB;
/** Actors in memory per shard: at 2 KB each, 100 MB. */
export const RESIDENT_MAX_DEFAULT = 50_000;
/** Idle time after which an actor may leave memory: longer than the pauses inside a conversation. */
export const PASSIVATE_AFTER_MS_DEFAULT = 300_000;
/**
 * Log entries between snapshots: a recovery folds 60,000 entries a second, so a restart waits half a second at most. Where
 * each commit has one entry, a tenth as many: they are read ten times as slowly.
 */
export const SNAPSHOT_EVERY_ENTRIES_DEFAULT = 30_000;
/** Message ids a shard remembers: at 1,000 messages a second, retries of the last minute and a half are recognised. */
export const DEDUPE_WINDOW_DEFAULT = 100_000;
/** Effects running at once per node: drivers wait on sockets and children, and a process has about 1,000 of these. */
export const EFFECTS_MAX_DEFAULT = 256;
/** Time one attempt of an effect may take unless it says otherwise: what most HTTP services give a request. */
export const EFFECT_TIMEOUT_MS_DEFAULT = 30_000;
/** Lease of a shard: a crashed node's shards have a new owner within 3 s, and a pause for garbage collection does not reach it. */
export const LEASE_TTL_MS_DEFAULT = 2_000;
/** A shard that moved stays: a move costs who asks some 10 ms to 1 s, and ten seconds make that one percent at worst. */
export const SHARD_STAY_MS_DEFAULT = 10_000;
/** Bytes of sent messages waiting for their shards: a full inbox refuses senders before the disk is full. */
export const INBOX_BYTES_MAX_DEFAULT = GIB;
/** Bytes of dead letters: the oldest leave first; a realm that fills this has been failing for long. */
export const DEAD_BYTES_MAX_DEFAULT = 256 * MIB;

export const limitsSchema = z
  .strictObject({
    queueMax: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(QUEUE_MAX_DEFAULT)
      .describe('Messages that may wait in one shard; further asks are answered `overloaded`.'),
    batchMax: z.int().min(1).max(10_000).default(BATCH_MAX_DEFAULT).describe('Entries of one commit.'),
    bodyBytesMax: byteSize(KIB, 64 * MIB)
      .prefault(formatBytes(BODY_BYTES_MAX_DEFAULT))
      .describe('Size of one message body; the NATS server has a bound of its own (max_payload).'),
    residentMax: z
      .int()
      .min(1)
      .max(10_000_000)
      .default(RESIDENT_MAX_DEFAULT)
      .describe('Actors one shard keeps in memory; the least recently used leave first.'),
    passivateAfter: duration(100, 7 * 86_400_000)
      .prefault(formatDuration(PASSIVATE_AFTER_MS_DEFAULT))
      .describe('Idle time after which an actor leaves memory; the next message brings it back.'),
    snapshotEvery: z
      .int()
      .min(1)
      .max(10_000_000)
      .default(SNAPSHOT_EVERY_ENTRIES_DEFAULT)
      .describe(
        'Log entries between two snapshots of a shard; a tenth as many commits, but 1,000 at least, are enough, too.',
      ),
    dedupeWindow: z
      .int()
      .min(2)
      .max(10_000_000)
      .default(DEDUPE_WINDOW_DEFAULT)
      .describe(
        'Message ids one shard remembers to recognise retries. Above a million, each snapshot keeps the shard waiting for 0.1 s and more.',
      ),
    effectsMax: z
      .int()
      .min(1)
      .max(10_000)
      .default(EFFECTS_MAX_DEFAULT)
      .describe('Effects running at once on a node.'),
    effectTimeout: duration(1, 86_400_000)
      .prefault(formatDuration(EFFECT_TIMEOUT_MS_DEFAULT))
      .describe('Time one attempt of an effect may take unless the effect says otherwise.'),
    leaseTtl: duration(1_000, 3_600_000)
      .prefault(formatDuration(LEASE_TTL_MS_DEFAULT))
      .describe('Lease of a shard: how long after a crash another node takes over.'),
    shardStay: duration(0, 3_600_000)
      .prefault(formatDuration(SHARD_STAY_MS_DEFAULT))
      .describe('A shard that moved to a node stays there at least so long, unless its owner goes.'),
    logBytesMax: byteSize(MIB, 2 ** 50)
      .optional()
      .describe(
        'Size of the log; absent: the disk is the bound. A full log refuses messages, it never drops any.',
      ),
    inboxBytesMax: byteSize(MIB, 2 ** 50)
      .prefault(formatBytes(INBOX_BYTES_MAX_DEFAULT))
      .describe('Size of the inbox (sent messages not yet consumed); a full one refuses senders.'),
    deadBytesMax: byteSize(MIB, 2 ** 50)
      .prefault(formatBytes(DEAD_BYTES_MAX_DEFAULT))
      .describe('Size of the dead letters; the oldest leave first.'),
    objectBytesMax: byteSize(MIB, 2 ** 50)
      .optional()
      .describe(
        'Size of the object store (snapshots, bodies too big for the log) when the realm is made; absent: the disk is the bound.',
      ),
  })
  .transform(({ passivateAfter, snapshotEvery, effectTimeout, leaseTtl, shardStay, ...rest }) => ({
    ...rest,
    passivateAfterMs: passivateAfter,
    snapshotEveryEntries: snapshotEvery,
    effectTimeoutMs: effectTimeout,
    leaseTtlMs: leaseTtl,
    shardStayMs: shardStay,
  }))
  .describe('Bounds; every one has a default.');

export type Limits = z.infer<typeof limitsSchema>;

/** All limits at their defaults. */
export function defaultLimits(): Limits {
  return limitsSchema.parse({});
}
