/** How a stream is read: how much of it may be held before it is taken, and how soon a consumer that is gone is missed. */
import type { ConsumeOptions } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';

/** Enough for more than 200,000 small messages a second. */
const AHEAD_BYTES = 16 * 1024 * 1024;
const PAYLOAD_BYTES_DEFAULT = 1024 * 1024;

/** Two that are missed tell that a consumer is gone. */
const HEARTBEAT_MS = 1_000;
/** The client waits as long before it looks again for a consumer that it could not ask after. */
const PULL_MS = 2_000;

/** Of every consumer here. With the client's own half a minute goes by before one is missed, and a recovery waits. */
export function readOptions(nc: NatsConnection): ConsumeOptions {
  return { max_bytes: readAheadBytes(nc), idle_heartbeat: HEARTBEAT_MS, expires: PULL_MS };
}

/**
 * Bytes to ask of a consumer at once. Never a count alone: a server drops who has 64 MB waiting as a slow consumer,
 * and it would be dropped again wherever it begins anew. Two of the largest messages fit, so that one can follow the
 * other.
 */
function readAheadBytes({ info }: NatsConnection): number {
  return Math.max(AHEAD_BYTES, 2 * (info?.max_payload ?? PAYLOAD_BYTES_DEFAULT));
}
