/** What a shard is given and what it tells of itself. */
import type { MachineRegistry } from '#runtime/machine/types';
import type { Address } from '#schemas/address';
import type { Commit } from '#schemas/commit';
import type {
  Admission,
  AskDoor,
  BlobStore,
  Clock,
  EdgeGate,
  EffectResult,
  EffectRunner,
  Guard,
  InboxMessage,
  Logger,
  MailBundle,
  Outbox,
  ShardInbox,
  ShardLog,
} from './ports.ts';

export interface ShardLimits {
  /** Asks and inbox messages that may wait. */
  readonly queueMax: number;
  /** Works in one commit. */
  readonly batchMax: number;
  /** Largest body of an ask or a send. */
  readonly bodyBytesMax: number;
  /** Message ids remembered. */
  readonly dedupeWindow: number;
  readonly snapshotEveryEntries: number;
  /** Inbox bytes after which what is consumed is let go between two snapshots; absent: with snapshots only. */
  readonly inboxReleaseBytes?: number;
  /** Actors kept in memory before idle ones are passivated early. */
  readonly residentMax: number;
  readonly passivateAfterMs: number;
}

/** Where a test may kill the process or the shard. */
export type CrashPoint =
  | 'before_commit'
  | 'after_commit'
  | 'before_reply'
  | 'before_mail'
  | 'after_mail'
  | 'effect_done';

export interface ShardDeps {
  readonly shard: number;
  /** Id of this node, for the epoch record. */
  readonly node: string;
  readonly registry: MachineRegistry;
  /** Under which ids are hashed where no snapshot says, below 2^48; absent: one that nobody can guess. */
  readonly dedupeSeed?: number;
  readonly shardOf: (address: string) => number;
  /** Shards of the realm: what an import is for. Absent where there are no imports. */
  readonly shards?: number;
  /** Throws where the realm has another number of shards by now. */
  readonly checkShards?: () => Promise<void>;
  /** Throws where the lease of the shard is not this owner's any more. Absent where it has none. */
  readonly checkLease?: () => Promise<void>;
  /** The actor a subject names by its last two tokens. Throws `bad_subject`. */
  readonly addressOf: (subject: string) => Address;
  /** The bundle, where an inbox message is cross-shard mail. */
  readonly mailOf: (message: InboxMessage) => MailBundle | undefined;
  readonly log: ShardLog;
  readonly inbox: ShardInbox;
  readonly asks: AskDoor;
  /** Looks at asks before the doors do. */
  readonly admit?: Admission;
  readonly outbox: Outbox;
  readonly blobs: BlobStore;
  readonly effects: (deliver: (result: EffectResult) => void) => EffectRunner;
  readonly gate: EdgeGate;
  /** Absent: whoever gets in may do all that the machines let them. */
  readonly guard?: Guard;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: ShardLimits;
  readonly onCommit?: (commit: Commit) => void;
  /** Told the machine versions that a recovery of this shard needs, once it runs and when they change. */
  readonly onNeeds?: (versions: readonly string[]) => void;
  readonly probe?: (point: CrashPoint, shard: number) => void;
}

export interface ShardStatus {
  readonly shard: number;
  readonly phase: string;
  readonly epoch: number;
  readonly index: number;
  readonly seq: number;
  readonly actors: number;
  readonly resident: number;
  readonly timers: number;
  readonly effects: number;
  readonly queued: number;
  readonly outbox: number;
  readonly consumed: number;
  /** Inbox messages not consumed yet. */
  readonly behind: number;
}
