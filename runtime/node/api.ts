/**
 * The admin API: requests on `<prefix>.api.…`, JSON both ways. Every reply is `{ok: true, …}` or `{ok: false, error}`.
 * Nodes implement it, the command line and any other tool use it.
 */
import { errors, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { isForbidden } from '#runtime/bus/forbidden';
import { FabricError, type WireError } from '#schemas/fabric-error';
import type { MemberState } from '#schemas/member';
import type { SupervisorSpec } from '#schemas/supervisor';
import { nodeErrors } from './errors.ts';

/** A node answers from memory: longer than this means it is not there. */
export const API_TIMEOUT_MS = 5_000;
/** Nodes answer a status request within a round trip; after this pause no further one is awaited. */
export const STATUS_STALL_MS = 150;
/** A shard moves to another node in less. */
const MOVE_MS_MAX = 1_000;
const LOOK_EVERY_MS = 50;
/** Actors of one page of a list. */
export const LIST_LIMIT_DEFAULT = 500;
export const LIST_LIMIT_MAX = 5_000;

export interface ShardStatus {
  readonly shard: number;
  readonly phase?: string;
  readonly epoch: number;
  /** Index of the last commit; −1 before the first. */
  readonly index: number;
  /** Sequence of the last commit in the log stream. */
  readonly seq: number;
  readonly actors: number;
  /** Actors in memory. */
  readonly resident: number;
  readonly timers: number;
  readonly effects: number;
  /** Messages gathered and not yet committed. */
  readonly queued: number;
  /** Sequence in the inbox stream up to which everything is consumed. */
  readonly consumed: number;
  /** Messages in the inbox that are not consumed yet. */
  readonly behind: number;
}

/** `<prefix>.api.status`: one reply per node. */
export interface NodeStatus {
  readonly nodeId: string;
  /** Of the node, over restarts. */
  readonly name?: string;
  readonly state?: MemberState;
  readonly realm: string;
  readonly version: string;
  readonly pid: number;
  /** ms since the epoch. */
  readonly startedAt: number;
  readonly durability: 'strict' | 'relaxed';
  /** Shards of the realm, wherever they are owned: clients send straight to the owner when they know it. */
  readonly shardCount?: number;
  /** Keys of senders that the node knows; they only ever grow in number. */
  readonly keys?: number;
  /** Of them revoked. */
  readonly keysRevoked?: number;
  readonly shards: readonly ShardStatus[];
  /** On the node that builds the witness log: commits its last signed checkpoint covers. */
  readonly witness?: { readonly signed: number };
}

/** `<prefix>.api.members`: the nodes and who owns what, as the node that answers sees it. */
export type { MembersReply, ShardPlace } from '#runtime/members/view';

/** `<prefix>.api.node.<id>.drain`. */
export interface DrainRequest {
  /** False takes the wish back. */
  readonly on: boolean;
}

export type ActorStatus = 'active' | 'done' | 'error' | 'stopped';

/** `<prefix>.api.shard.<n>.list`, ordered by address. */
export interface ListRequest {
  readonly type?: string;
  /** Addresses after this one: `next` of the previous page. */
  readonly after?: string;
  readonly limit?: number;
  /** With what each knows: pages are shorter then. */
  readonly context?: boolean;
}

export interface ActorSummary {
  readonly address: string;
  /** `name@version`. */
  readonly machine: string;
  readonly status: ActorStatus;
  readonly value: unknown;
  readonly parent?: string;
  /** Where it was asked for. */
  readonly context?: unknown;
}

export interface ListReply {
  readonly actors: readonly ActorSummary[];
  /** Set where more follow. */
  readonly next?: string;
}

/** `<prefix>.api.shard.<n>.show`. */
export interface ShowRequest {
  readonly address: string;
}

export interface ShowReply {
  readonly address: string;
  readonly machine: string;
  readonly status: ActorStatus;
  readonly value: unknown;
  readonly context: unknown;
  readonly parent?: string;
  readonly output?: unknown;
  readonly error?: unknown;
  readonly timers: readonly { readonly id: string; readonly dueAt: number; readonly event: unknown }[];
  readonly effects: readonly { readonly key: string; readonly driver: string; readonly input?: unknown }[];
  /** Index of the last commit of its shard. */
  readonly lastIndex: number;
}

/** `<prefix>.api.config.get`. */
export interface ConfigReply {
  readonly spec: SupervisorSpec;
  /** Hash of the config it came from. */
  readonly hash: string;
  /** ms since the epoch. */
  readonly appliedAt: number;
}

/** `<prefix>.api.config.apply`; the reply is the {@link Plan}. */
export interface ConfigApplyRequest {
  readonly spec: SupervisorSpec;
  readonly hash?: string;
  readonly dryRun?: boolean;
}

/** `<prefix>.api.shard.<n>.redact`, to the shard of the subject's redaction actor. */
export interface RedactRequest {
  readonly type: 'redact' | 'readmit';
  readonly subject: string;
  readonly reason: string;
  readonly by: string;
  /** Also a subject of which nothing was ever sealed. */
  readonly force?: boolean;
}

export interface RedactReply {
  /** Of the redaction actor. */
  readonly address: string;
  /** Its state; `redacted` once the key is destroyed. */
  readonly value: unknown;
  readonly commit: { readonly shard: number; readonly index: number };
}

/** `<prefix>.api.shard.<n>.keyring`, to the shard of the keyring, with a signed order. */
export interface KeyringReply {
  /** Number of the order. */
  readonly seq: number;
  readonly commit: { readonly shard: number; readonly index: number };
}

/** What stands in `run.json` (mode 0600) in the data folder of a running node. */
export interface RunFile {
  readonly pid: number;
  /** Tells a pid used again by another process; absent where the system does not tell it. */
  readonly processStartTime?: string;
  readonly nodeId: string;
  readonly realm: string;
  readonly prefix: string;
  readonly url: string;
  readonly token?: string;
  readonly websocketUrl?: string;
  /** Keys sign on; where the certificate of the server's authority lies. */
  readonly secure?: { readonly ca?: string };
  /** The server is not this node's own. */
  readonly joined?: boolean;
  /** ms since the epoch. */
  readonly startedAt: number;
}

type Reply<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly error: WireError };

/**
 * One admin request and its reply without `ok`.
 *
 * Throws `realm_unreachable` when nobody answers, `api_refused` where the key has no right to it, `api_bad_reply` for a reply that is no JSON object, and the node's
 * own error where it refuses.
 */
export async function apiRequest<T>(
  nc: NatsConnection,
  subject: string,
  body: unknown = {},
  timeoutMs: number = API_TIMEOUT_MS,
): Promise<T> {
  const deadline = performance.now() + MOVE_MS_MAX;
  for (;;) {
    try {
      return readReply<T>(await nc.request(subject, JSON.stringify(body), { timeout: timeoutMs }));
    } catch (cause) {
      if (cause instanceof FabricError) throw cause;
      if (isForbidden(cause)) throw refused(subject, cause);
      // What nobody heard was not done; a shard that is moving has nobody for a moment.
      const mayMove = subject.includes('.shard.') && isUnheard(cause) && performance.now() < deadline;
      if (mayMove) {
        await new Promise<void>((resolve) => void setTimeout(resolve, LOOK_EVERY_MS));
        continue;
      }
      throw new FabricError(nodeErrors.realm_unreachable, `Nobody answered ${subject}`, {
        details: { subject },
        cause,
      });
    }
  }
}

function refused(subject: string, cause: unknown): FabricError {
  const message = `The server lets this key not ask ${subject}`;
  return new FabricError(nodeErrors.api_refused, message, { details: { subject }, cause });
}

function isUnheard(cause: unknown): boolean {
  return cause instanceof errors.RequestError && cause.isNoResponders();
}

/** The status of every node that answers, in the order of their ids. Throws what {@link apiRequest} throws. */
export async function nodeStatuses(
  nc: NatsConnection,
  subject: string,
  timeoutMs: number = API_TIMEOUT_MS,
): Promise<NodeStatus[]> {
  const found = await apiRequestAll<NodeStatus>(nc, subject, timeoutMs);
  return found.sort((a, b) => a.nodeId.localeCompare(b.nodeId));
}

/** One admin request to all nodes that answer it, at least one, and their replies. Throws what {@link apiRequest} throws. */
export async function apiRequestAll<T>(
  nc: NatsConnection,
  subject: string,
  timeoutMs: number = API_TIMEOUT_MS,
): Promise<T[]> {
  const found: T[] = [];
  try {
    const replies = await nc.requestMany(subject, '{}', {
      strategy: 'stall',
      stall: STATUS_STALL_MS,
      maxWait: timeoutMs,
    });
    for await (const reply of replies) found.push(readReply<T>(reply));
  } catch (cause) {
    if (cause instanceof FabricError) throw cause;
    if (isForbidden(cause)) throw refused(subject, cause);
    throw new FabricError(nodeErrors.realm_unreachable, `No node answered ${subject}`, {
      details: { subject },
      cause,
    });
  }
  if (found.length === 0) {
    throw new FabricError(nodeErrors.realm_unreachable, `No node answered ${subject}`, {
      details: { subject },
    });
  }
  return found;
}

/** Turns an error that crossed the wire back into one that can be thrown. */
export function fromWireError(error: WireError): FabricError {
  const { code, message, retryable, help = '', details = {} } = error;
  return new FabricError({ code, retryable, help }, message, { details });
}

function readReply<T>(message: Msg): T {
  let parsed: unknown;
  try {
    parsed = message.json();
  } catch (cause) {
    throw new FabricError(nodeErrors.api_bad_reply, `${message.subject} answered no JSON`, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || !('ok' in parsed)) {
    throw new FabricError(nodeErrors.api_bad_reply, `${message.subject} answered without "ok"`);
  }
  const reply = parsed as Reply<T>;
  if (!reply.ok) throw fromWireError(reply.error);
  const { ok: _, ...rest } = reply;
  return rest as T;
}
