/** How much of a stream a reader may hold before it is taken. */
import type { NatsConnection } from '@nats-io/nats-core';

/** Enough for more than 200,000 small messages a second. */
const AHEAD_BYTES = 16 * 1024 * 1024;
const PAYLOAD_BYTES_DEFAULT = 1024 * 1024;

/**
 * Bytes to ask of a consumer at once. Never a count alone: a server drops who has 64 MB waiting as a slow consumer,
 * and it would be dropped again wherever it begins anew. Two of the largest messages fit, so that one can follow the
 * other.
 */
export function readAheadBytes({ info }: NatsConnection): number {
  return Math.max(AHEAD_BYTES, 2 * (info?.max_payload ?? PAYLOAD_BYTES_DEFAULT));
}
