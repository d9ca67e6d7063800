/** A running realm as the commands see it: every question and request they have. `nats-realm.ts` is the real one. */

import type { NatsConnection } from '@nats-io/nats-core';
import type { Copies } from '#runtime/bus/copies';
import type { Subjects } from '#runtime/bus/subjects';
import type { IndexQuery } from '#runtime/index/facets';
import type {
  ActorSummary,
  ConfigApplyRequest,
  MembersReply,
  NodeStatus,
  ShowReply,
} from '#runtime/node/api';
import type { LogReader } from '#runtime/witness/log-reader';
import { FabricError, type WireError } from '#schemas/fabric-error';
import type { Plan } from '#schemas/supervisor';
import { cliErrors } from './errors.ts';
import type { TypedEvent } from './events.ts';
import type { Io } from './io.ts';
import { type Choice, locate, type Target } from './locate.ts';
import type { Answer } from './render/answer.ts';
import type { Check } from './render/checks.ts';
import type { LogItem } from './render/log.ts';
import type { Draft } from './send-lines.ts';

/** JetStream's code for a stream that is not there. */
const STREAM_NOT_FOUND = 10_059;

export type AskOutcome = ({ readonly ok: true } & Answer) | { readonly ok: false; readonly error: WireError };

export interface AskChoice {
  readonly timeoutMs: number;
  readonly id?: string;
}

/** Filters of the log; all must hold. Times are ms since the epoch. */
export type LogQuery = IndexQuery;

export interface LogRange {
  /** The last so many matches; 0 for all. */
  readonly limit: number;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** A dead letter as it is kept. */
export interface Letter {
  /** Its number in the stream of dead letters. */
  readonly seq: number;
  readonly actor: string;
  readonly at: number;
  readonly error: WireError;
  /** The message as it came: data where it can be read, base64 otherwise. */
  readonly body: unknown;
  readonly contentType?: string;
  readonly from?: string;
  readonly shard: number;
  readonly index: number;
}

export interface Realm {
  readonly target: Target;
  readonly connection: NatsConnection;
  /** Whose key signed on, where that is known here. */
  readonly owner?: string;
  /** Names of the realm's streams and buckets; the shard count in it is not the realm's. */
  readonly subjects: Subjects;
  /** ms since the epoch. */
  now(): number;
  statuses(): Promise<readonly NodeStatus[]>;
  shardCount(): Promise<number>;
  /** The nodes and who owns what, as one of them sees it. */
  members(): Promise<MembersReply>;
  /** Has a node give its shards away, or take some again. */
  drain(nodeId: string, on: boolean): Promise<void>;
  /** Ordered by address. */
  actors(filter: { readonly type?: string }): AsyncIterable<ActorSummary>;
  show(address: string): Promise<ShowReply>;
  applyConfig(request: ConfigApplyRequest): Promise<Plan>;
  down(nodeId: string): Promise<void>;
  ask(address: string, event: TypedEvent, choice: AskChoice): Promise<AskOutcome>;
  /** Stores an event for an actor; gives its place in the inbox. */
  send(
    address: string,
    event: TypedEvent,
    id: string | undefined,
  ): Promise<{ readonly id: string; readonly seq: number }>;
  /** Stamps, signs and stores a message for each of its receivers. */
  sendDraft(draft: Draft): Promise<void>;
  /** Stamps and signs a message, asks its one receiver for the answer, and throws what it is refused with. */
  askDraft(draft: Draft): Promise<Answer>;
  /** Resolves once the shards have consumed these places of the inbox. */
  handled(places: readonly { readonly address: string; readonly seq: number }[]): Promise<void>;
  /** Every commit of the realm, whoever owns the shards. */
  openLog(): Promise<LogReader>;
  /** Sequence of the last commit in the log stream; 0 where there is none. */
  logEnd(): Promise<number>;
  log(query: LogQuery, range: LogRange): AsyncIterable<LogItem>;
  /** The last matches, in the order of the log. */
  tail(query: LogQuery, limit: number): Promise<readonly LogItem[]>;
  letters(limit: number): Promise<readonly Letter[]>;
  letter(seq: number): Promise<Letter | undefined>;
  /** Sends the original message again under a fresh id. */
  retry(letter: Letter): Promise<{ readonly id: string; readonly seq: number }>;
  /** Compares streams and buckets with what they should be. */
  drift(): Promise<Check>;
  /** Which servers keep what. */
  copies(): Promise<Copies>;
  /** This clock minus the server's. */
  clockSkewMs(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens the realm that is meant, and lets go of it afterwards. Throws `not_running`, `realm_unreachable`. */
export async function withRealm<T>(
  choice: Choice,
  io: Io,
  use: (realm: Realm) => Promise<T>,
  /** It connects again for as long as it is used. */
  stays = false,
): Promise<T> {
  const target = locate(choice, io);
  const { openRealm } = await import('./nats-realm.ts');
  await using realm = await openRealm(target, io.env, stays);
  try {
    return await Promise.race([use(realm), aborted(io.signal)]);
  } catch (cause) {
    if (!isStreamMissing(cause)) throw cause;
    throw new FabricError(
      cliErrors.not_running,
      `No realm with prefix "${target.prefix}" was ever up on this server`,
      {
        cause,
      },
    );
  }
}

function isStreamMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === STREAM_NOT_FOUND;
}

/** Rejects with the reason, once the command is interrupted. */
/** Rejects once the command is interrupted. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
