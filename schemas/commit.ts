/**
 * What a shard writes: one commit per JetStream message on `if.log.<shard>`, msgpack, never re-encoded.
 * A commit holds everything that a fold needs: inputs with their cause, and what they made (mail, effects, timers).
 */
import type { WireError } from './fabric-error.ts';
import type { PolicyNote } from './policy.ts';
import type { Sealed } from './sealed.ts';

export const COMMIT_FORMAT = 1;

/** Why an entry happened. */
export type Cause =
  | { readonly kind: 'ask'; readonly id?: string; readonly from?: string }
  | { readonly kind: 'inbox'; readonly seq: number; readonly id?: string; readonly from?: string }
  /** Mail of commit `index` of shard `shard`, its `n`th item. */
  | {
      readonly kind: 'mail';
      readonly shard: number;
      readonly index: number;
      readonly n: number;
      readonly from: string;
    }
  | { readonly kind: 'timer'; readonly id: string; readonly dueAt: number }
  | { readonly kind: 'effect'; readonly key: string }
  /** The kernel or an operator: spawning the root supervisor, migrating an actor. */
  | { readonly kind: 'admin'; readonly id?: string; readonly by: string };

/** What an entry did to its actor. `event` is the default and is left out of the stored bytes. */
export type Operation =
  | 'event'
  | 'spawn'
  | 'stop'
  | 'migrate'
  /** Refused before a machine saw it, or its machine threw: the state did not change. */
  | 'dead'
  /** An effect without a listener finished, or a late input met nobody: recorded, no state change. */
  | 'note';

export type Severity = 'INFO' | 'WARN' | 'HIGH';

/** Who hears of an actor's end. */
export interface Parent {
  readonly address: string;
  /** The id the parent knows the child by. */
  readonly childId: string;
  /** True for supervisors: they hear of starts and stops too. */
  readonly supervised?: boolean;
  /** Which start of this child it is: another for each order of the parent to begin it. */
  readonly incarnation?: string;
}

/** What a machine logged during a step. */
export interface LogLine {
  readonly message: unknown;
  readonly severity: Severity;
}

export interface Entry {
  readonly cause: Cause;
  readonly actor: string;
  readonly op?: Operation;
  /** Machine name and version that made the step, `counter@1`. */
  readonly machine?: string;
  readonly event?: unknown;
  /** State value before; absent where the actor began with this entry. */
  readonly before?: unknown;
  readonly after?: unknown;
  /** Input of a spawn. */
  readonly input?: unknown;
  readonly parent?: Parent;
  readonly reply?: unknown;
  readonly error?: WireError;
  /** INFO where absent. */
  readonly severity?: Severity;
  readonly log?: readonly LogLine[];
  /** The body in the blob store, where it was too big for the log; `event` then holds only its type. */
  readonly blob?: { readonly hash: string; readonly contentType?: string };
  /** Body and content type as they came, where no event could be made of them. */
  readonly raw?: {
    readonly body: Uint8Array;
    readonly contentType?: string;
    /** Length of the whole body, where only its beginning is kept. */
    readonly bytes?: number;
  };
  /** True where a throw failed the actor (`onThrow: fail`). */
  readonly failed?: boolean;
  /** W3C traceparent of the cause. */
  readonly trace?: string;
  /** How the policy decided about its event. */
  readonly policy?: PolicyNote;
  /** Key id and sequence of a verified envelope. */
  readonly signed?: {
    readonly kid: string;
    readonly from: string;
    readonly seq: number;
    /** The signature itself, where it covers what is now sealed: it would confirm any guess of that. */
    readonly signature?: Sealed;
  };
}

/** An operation on an actor that may live in any shard. */
export interface Mail {
  readonly to: string;
  readonly from: string;
  readonly op?: 'event' | 'spawn' | 'stop' | 'migrate';
  readonly event?: unknown;
  readonly machine?: string;
  readonly input?: unknown;
  readonly parent?: Parent;
  readonly trace?: string;
  /** In the mail of a child's end: its {@link Parent.incarnation}. */
  readonly incarnation?: string;
}

export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  readonly factor: number;
  /** Share of the delay that is random, 0–1. */
  readonly jitter: number;
}

/** An effect to run, or one to cancel. */
export type EffectRecord =
  | {
      readonly key: string;
      readonly actor: string;
      /** Invocation id in the machine; absent for fire-and-forget actions. */
      readonly invokeId?: string;
      readonly driver: string;
      readonly input?: unknown;
      readonly retry?: Partial<RetryPolicy>;
      readonly timeoutMs?: number;
      readonly trace?: string;
    }
  | { readonly key: string; readonly cancel: true };

/** A timer to set, or one to cancel. `to` is set where it delivers mail instead of an event to its own actor. */
export type TimerRecord =
  | {
      readonly actor: string;
      readonly id: string;
      readonly dueAt: number;
      readonly event: unknown;
      readonly to?: string;
    }
  | { readonly actor: string; readonly id: string; readonly cancel: true };

/** The log's word on a snapshot: which manifest in the object store, and the SHA-256 of it. */
export interface SnapshotStatement {
  readonly manifest: string;
  readonly hash: Uint8Array;
}

/** An actor as it is kept outside the memory of a shard: in a snapshot's page, and in an import. */
export interface ActorRecord {
  readonly address: string;
  readonly machine: string;
  readonly state: unknown;
  readonly failed?: WireError;
  readonly parent?: Parent;
  readonly timers?: readonly Exclude<TimerRecord, { readonly cancel: true }>[];
  readonly effects?: readonly Exclude<EffectRecord, { readonly cancel: true }>[];
  readonly children?: readonly (readonly [
    string,
    { readonly address: string; readonly incarnation: string },
  ])[];
  readonly touchedAt: number;
}

/**
 * Part of what a shard takes over from the shards of another numbering: actors, and what is remembered of messages to
 * them. The parts follow one another in the shard's log, and count once an epoch record follows that names `to` as the
 * number of shards; otherwise the renumbering was given up, and they mean nothing.
 */
export interface Import {
  /** Shards before and after. */
  readonly from: number;
  readonly to: number;
  /** From 0. */
  readonly part: number;
  readonly actors: readonly ActorRecord[];
  /** Last accepted sequence of signed messages, by sender and actor. */
  readonly senders: readonly (readonly [string, { readonly seq: number; readonly at: number }])[];
  /** Message ids, with the sequence of the commit that answered: sender, actor, id, sequence. */
  readonly ids: readonly (readonly [string | null, string, string, number])[];
  /** With the last part: actors of the realm and of this shard, and the hash over the digests of all actors of the realm. */
  readonly total?: { readonly realm: number; readonly shard: number; readonly digest: Uint8Array };
}

export interface Commit {
  readonly format: number;
  readonly shard: number;
  /** From 0, +1 each. */
  readonly index: number;
  /** SHA-256 of the previous commit's stored bytes; 32 zero bytes before the first. */
  readonly prev: Uint8Array;
  /** ms since the epoch; never less than the previous commit's. */
  readonly at: number;
  /** Grows by one with each owner. */
  readonly epoch: number;
  /** Node that wrote it; only in an epoch record. */
  readonly node?: string;
  /** Shards of the realm; only in the epoch record that lets an import count. */
  readonly shards?: number;
  /** Sequence in the inbox stream up to which everything is consumed. */
  readonly consumed: number;
  /** Every outside act (cross-shard mail, dead letters) of commits up to this index is known to be done. */
  readonly acted: number;
  /** A snapshot of the shard after an earlier commit, that counts from this commit on. */
  readonly snapshot?: SnapshotStatement;
  readonly import?: Import;
  readonly entries: readonly Entry[];
  readonly mail?: readonly Mail[];
  readonly effects?: readonly EffectRecord[];
  readonly timers?: readonly TimerRecord[];
  /** SHA-256 over the encoded states of the actors this commit touched, in order of first touch. */
  readonly digest?: Uint8Array;
}
