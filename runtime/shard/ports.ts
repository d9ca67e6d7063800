/**
 * Everything the shard loop knows of the outside. The real ones speak NATS (runtime/bus); a simulator gives its own.
 */
import type { EventData } from '#runtime/machine/types';
import type { EffectRecord, Entry, Mail } from '#schemas/commit';
import type { WireError } from '#schemas/fabric-error';
import type { PolicyNote } from '#schemas/policy';

/** Time. `now` is ms since the epoch; handles are opaque. */
export interface Clock {
  now(): number;
  setTimer(fn: () => void, delayMs: number): unknown;
  clearTimer(handle: unknown): void;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A fresh unique id of URL-safe characters. */
  id(): string;
}

export type AppendResult =
  | { readonly kind: 'appended'; readonly seq: number }
  /** Another message stands after the one expected: settle it by `head`. */
  | { readonly kind: 'conflict' }
  /** No clear answer (timeout, disconnect, spurious refusal): settle it by `head`. */
  | { readonly kind: 'unclear'; readonly reason: string }
  /** Refused and certainly not stored (full disk, size limit): nothing changes by asking again at once. */
  | { readonly kind: 'refused'; readonly error: WireError };

export interface StoredCommit {
  /** Sequence in the log stream. */
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** The log of one shard. */
export interface ShardLog {
  /** The last commit, read at the stream's leader; with `until` waited for while one is chosen, but not after that. */
  head(until?: AbortSignal): Promise<StoredCommit | undefined>;
  /** Appends when the shard's last message still has sequence `expectedSeq` (0: none). Never throws for an outcome. */
  append(bytes: Uint8Array, expectedSeq: number): Promise<AppendResult>;
  /** Commits after `afterSeq` up to and including `throughSeq`, in order. */
  read(afterSeq: number, throughSeq: number): AsyncIterable<StoredCommit>;
  /** One commit by its sequence; undefined when it is no longer there. */
  get(seq: number): Promise<StoredCommit | undefined>;
  /** Bytes one commit may have, from the server's max payload. */
  readonly bytesMax: number;
}

/** A message of the inbox stream, as stored. */
export interface InboxMessage {
  readonly seq: number;
  readonly subject: string;
  readonly body: Uint8Array;
  /** The body where it was decoded on its way; it is yet to be checked. */
  readonly value?: unknown;
  /** Why it is dead whatever its body says. */
  readonly refusal?: WireError;
  readonly contentType: string | undefined;
  readonly id: string | undefined;
  readonly from: string | undefined;
  readonly trace: string | undefined;
}

export interface Subscription {
  close(): Promise<void>;
}

/** `pause` and `resume` bound what is in memory. */
export interface InboxSubscription extends Subscription {
  pause(): void;
  resume(): void;
  /** Stored messages not delivered yet, as far as the stream has said. */
  behind(): number;
}

export interface ShardInbox {
  /** Delivers in stream order everything after `afterSeq` for this shard (sends, cross-shard mail), through reconnects. */
  open(afterSeq: number, deliver: (message: InboxMessage) => void): Promise<InboxSubscription>;
  /** Lets go of what is stored up to and including `seq`: it is consumed. */
  release(seq: number): Promise<void>;
}

/** JSON as text, msgpack as bytes. */
export type Encoded = string | Uint8Array;

export interface Ask {
  /** Ends in `<type>.<id>`. */
  readonly subject: string;
  readonly body: Uint8Array;
  /** The body where it was decoded on its way; it is yet to be checked. */
  readonly value?: unknown;
  /** Size of the body where nobody should make it only to measure it. */
  readonly bodyBytes?: number;
  /** Why it is dead whatever its body says. */
  readonly refusal?: WireError;
  readonly contentType: string | undefined;
  readonly id: string | undefined;
  readonly from: string | undefined;
  readonly trace: string | undefined;
  respond(body: Encoded): void;
  /** Sends the ask, as it came, to whoever owns its shard by now; the answer goes to who asked. Absent where none can. */
  handOn?(): void;
}

/** Stands before the doors: lets an ask in now or later, never before an earlier one to the same actor. */
export type Admission = (ask: Ask, next: (ask: Ask) => void) => void;

export interface AskDoor {
  open(deliver: (ask: Ask) => void): Subscription;
}

/** Mail to one other shard from one commit. `prev` is the index of the sender's last commit before this one that had mail for the same shard (-1: none). */
export interface MailBundle {
  readonly source: number;
  readonly index: number;
  readonly prev: number;
  readonly items: readonly { readonly n: number; readonly mail: Mail }[];
}

export interface DeadLetter {
  readonly actor: string;
  /** Idempotency key. */
  readonly id: string;
  readonly error: WireError;
  readonly body: Uint8Array;
  /** Hash of the body where it lies in the blob store; `body` is then empty until it is sent. */
  readonly blob?: string;
  readonly contentType: string | undefined;
  readonly from: string | undefined;
  readonly at: number;
  readonly shard: number;
  readonly index: number;
}

/** What a shard sends after a commit. Every method resolves once stored, and rejects when that is not certain. */
export interface Outbox {
  mail(target: number, bundle: MailBundle): Promise<void>;
  dead(letter: DeadLetter): Promise<void>;
  /** Live event for watchers: not stored, never awaited. */
  event(actor: string, name: string, body: unknown): void;
}

/** Named immutable blobs. */
export interface BlobStore {
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Throws `object_corrupt` where the store itself knows that the content is not what was put. */
  get(name: string): Promise<Uint8Array | undefined>;
  delete(name: string): Promise<void>;
  list(prefix: string): Promise<readonly string[]>;
}

export type PendingEffect = Exclude<EffectRecord, { readonly cancel: true }>;

export type EffectResult =
  | { readonly key: string; readonly ok: true; readonly output: unknown }
  | { readonly key: string; readonly ok: false; readonly error: WireError };

/** Runs effects at least once each, under a stable key. Results come back through the function given at construction. */
export interface EffectRunner {
  start(effect: PendingEffect): void;
  cancel(key: string): void;
  close(): Promise<void>;
}

/** Structured log: an event name and fields. */
export interface Logger {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

/** Verdict on what came in from outside. */
export type GateVerdict =
  | { readonly ok: true; readonly event: EventData; readonly signed?: NonNullable<Entry['signed']> }
  | { readonly ok: false; readonly error: WireError };

/** What becomes of an event that came in. */
export type GuardVerdict =
  /** It goes on, as it came or as the guard completes it. */
  | { readonly go: 'on'; readonly note?: PolicyNote; readonly event?: EventData }
  | { readonly go: 'out'; readonly note?: PolicyNote; readonly error: WireError }
  /** Nothing happens to its actor yet: `event` goes to `to`, who has it until somebody decides. */
  | {
      readonly go: 'wait';
      readonly note: PolicyNote;
      readonly to: string;
      readonly event: EventData;
      readonly reply: unknown;
    };

/** Says whether an event from outside may be heard; at once, from what its node knows. Its word stands in the entry. */
export interface Guard {
  /** Undefined where it has nothing to say. Never throws. */
  check(arrival: {
    readonly actor: string;
    readonly event: EventData;
    readonly from: string | undefined;
    /** What the actor knows, where it lives. */
    readonly context: unknown;
    /** Names this arrival in the realm for ever. */
    readonly place: () => string;
  }): GuardVerdict | undefined;
}

/** Checks envelopes: schema, signature, seq, ttl, addressee. */
export interface EdgeGate {
  /** The event of an envelope that was accepted before (replay): no checks. */
  eventOf(envelope: unknown): EventData;
  check(
    envelope: unknown,
    at: {
      readonly actor: string;
      /** ms since the epoch. */
      readonly now: number;
      readonly lastSeq: (from: string) => number;
    },
  ): GateVerdict;
}
