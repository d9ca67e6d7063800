/** The vocabulary of the client. */
import type { IFMessage, IFMessageInput } from '#schemas/if-message';

export interface EventLike {
  readonly type: string;
}

/** The answer of an ask: its commit is stored. */
export interface Answer {
  /** What the machine replied; undefined where it did not. */
  readonly reply: unknown;
  /** The actor's state value after the event. */
  readonly value: unknown;
  readonly commit: { readonly shard: number; readonly index: number };
}

/** Where a sent message is stored; `duplicate` when the same id was stored before. */
export interface Receipt {
  readonly id: string;
  readonly seq: number;
  readonly duplicate: boolean;
}

export interface AskOptions {
  /** Overall, retries included, ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** Message id; retries of yours under the same id are done once. Default `<clientId>.<n>`. */
  readonly id?: string;
  readonly signal?: AbortSignal;
  /** W3C traceparent. */
  readonly traceparent?: string;
  /** Who asks, where that is not the client: one that speaks for many costs less than a client for each. */
  readonly from?: string;
}

export interface WatchOptions {
  /** Events kept for a slow reader; past it the oldest are dropped. Default 1,024. */
  readonly bufferMax?: number;
  readonly signal?: AbortSignal;
}

export interface LiveEvent {
  readonly address: string;
  /** Name of the event. */
  readonly event: string;
  readonly body: unknown;
  /** Events dropped before this one because the reader was slow. */
  readonly missed: number;
}

/** Hands out the sequence numbers of a sender: from 1, never twice. */
export interface SequenceStore {
  next(sender: string): Promise<number>;
}

/** Signs a stamped message. */
export type MessageSigner = (message: IFMessage) => IFMessage | Promise<IFMessage>;

/** An IFMessage before stamping; `from` defaults to the client's. */
export type OutgoingMessage = Omit<IFMessageInput, 'id' | 'ts' | 'seq' | 'signature' | 'from'> & {
  readonly from?: string;
};

export interface ClientOptions {
  /** First token of every subject. Default `if`. */
  readonly prefix?: string;
  /** Who asks: an address for senders of IFMessages, any name otherwise. Default: the client id. */
  readonly from?: string;
  readonly encoding?: 'json' | 'msgpack';
  /** Asks and sends without an answer yet. Default 8,192; more are refused with `too_many_asks`. */
  readonly outstandingMax?: number;
  /** An attempt without an answer is repeated after this at the latest, ms; sooner where answers are fast. Default 2,000. */
  readonly attemptMs?: number;
  /**
   * Asks made at the same moment to actors of one type in one shard leave as one message. Default true; msgpack asks
   * always go alone.
   */
  readonly batching?: boolean;
  /** Shards of the realm, where they are known already. */
  readonly shards?: number;
  readonly signer?: MessageSigner;
  readonly sequences?: SequenceStore;
}
