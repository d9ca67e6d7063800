/** What a driver is: the code that performs one sort of effect. Everything a driver's author needs stands here. */
import type { NatsConnection } from '@nats-io/nats-core';
import type { Senders } from '#runtime/bus/senders';
import type { Subjects } from '#runtime/bus/subjects';
import type { Clock, Guard, Logger } from '#runtime/shard/ports';
import type { RetryPolicy } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { effectErrors } from './errors.ts';

/** One attempt at an effect. */
export interface EffectCall {
  /** The same at every attempt and after every restart: the outside's idempotency key. */
  readonly key: string;
  /** Address of the actor that wants it. */
  readonly actor: string;
  readonly input: unknown;
  /** From 1, within this process. */
  readonly attempt: number;
  /** Aborted at the time limit, on cancellation and when the node closes; a driver should then stop at once. */
  readonly signal: AbortSignal;
  /** W3C traceparent of what caused it. */
  readonly trace?: string;
}

/**
 * Performs effects of one name. An effect runs at least once: after a crash the same key comes again, so a driver
 * hands the key on to whatever can tell duplicates apart.
 */
export interface Driver {
  readonly name: string;
  /**
   * Resolves with plain data. A {@link FabricError} is tried again when it is retryable, any other error always;
   * {@link terminal} makes one final. `details.retryAfterMs` of an error delays the next attempt at least so long.
   */
  run(call: EffectCall): Promise<unknown>;
  readonly retry?: Partial<RetryPolicy>;
  /** Limit of one attempt, ms. */
  readonly timeoutMs?: number;
  /** Attempts at a time. */
  readonly concurrencyMax?: number;
  /**
   * A call only waits until something happens in the realm, and costs nothing meanwhile: it takes no slot from others and
   * has no time limit. It has to settle once its signal is aborted.
   */
  readonly waits?: boolean;
  /** Throws where the input can never work; nothing is run then. */
  validate?(input: unknown): void;
  /** Called before the node takes any shard, by a driver that needs the realm itself; what it gives is disposed of last. */
  open?(realm: DriverRealm): Promise<AsyncDisposable>;
  /** Decides about events from outside before a machine hears them; one driver of a node at most. */
  readonly guard?: Guard;
}

/** What a node has that a driver may need. */
export interface DriverRealm {
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  /** True for the kinds of the realm. */
  readonly isKind: (type: string) => boolean;
  /** Folder of the config: what it names is relative to it. */
  readonly baseDir: string;
  /** Data folder of the node. */
  readonly dataDir: string;
  /** Who sent a request. */
  readonly senders: Senders;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * An error that no retry mends.
 *
 * @example
 * if (response.status === 402) throw terminal(new Error('the account is closed'));
 */
export function terminal(error: unknown): FabricError {
  if (error instanceof FabricError && !error.retryable) return error;
  const message = error instanceof Error ? error.message : String(error);
  const options = {
    cause: error,
    ...(error instanceof FabricError && { details: { ...error.details, code: error.code } }),
  };
  return new FabricError(effectErrors.effect_failed, message, options);
}
