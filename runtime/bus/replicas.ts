/**
 * How many servers keep a copy of each stream.
 *
 * A client cannot ask a cluster how many JetStream servers it has: whether a stream with three copies can be made is
 * the answer. Only the first stream of a realm decides; what is there keeps the number it has, until an operator asks
 * for more (`raise.ts`).
 */
import { setTimeout as pause } from 'node:timers/promises';
import { JetStreamApiError } from '@nats-io/jetstream';
import type { Logger } from '#runtime/shard/ports';

export type Replicas = 'auto' | number;

/** With three copies a cluster goes on without one server and loses nothing that was acknowledged. */
export const REPLICAS_CLUSTER = 3;
/** Servers that are started together find one another within this; after it there are no more. */
const SERVERS_WAIT_MS = 10_000;
const TRY_EVERY_MS = 250;
/** No suitable peers for placement; more copies than one without a cluster. */
const TOO_FEW_SERVERS: ReadonlySet<number> = new Set([10_005, 10_074]);

export interface FirstStream {
  /** Of the server that this connection is with. */
  readonly isClustered: boolean;
  readonly wish: Replicas;
  /** Copies that the stream has; undefined where it is not there. */
  readonly present: () => Promise<number | undefined>;
  /** Makes the stream with so many copies, or finds it made. */
  readonly create: (replicas: number) => Promise<void>;
  readonly logger?: Logger;
  /** How long servers that are not there yet are waited for, ms. */
  readonly waitMs?: number;
}

/** Makes the stream where it is absent; resolves with the copies it has. */
export async function firstReplicas(stream: FirstStream): Promise<number> {
  const { isClustered, wish, logger, waitMs = SERVERS_WAIT_MS } = stream;
  const present = await stream.present();
  const aim = wish === 'auto' ? (isClustered ? REPLICAS_CLUSTER : 1) : wish;
  if (present !== undefined) {
    if (present < aim) logger?.warn({ replicas: present, wanted: aim }, 'replicas_fewer');
    return present;
  }
  const until = performance.now() + waitMs;
  for (let isSaid = false; ; isSaid = true) {
    try {
      await stream.create(aim);
      break;
    } catch (error) {
      if (!isClustered || !isTooFewServers(error)) throw error;
      if (performance.now() > until) {
        if (wish !== 'auto') throw error;
        await stream.create(1);
        logger?.warn({ replicas: 1, wanted: aim }, 'replicas_fewer');
        break;
      }
      if (!isSaid) logger?.info({ wanted: aim }, 'servers_awaited');
      await pause(TRY_EVERY_MS);
    }
  }
  // Another node may have been faster.
  return (await stream.present()) ?? aim;
}

export function isTooFewServers(error: unknown): boolean {
  return error instanceof JetStreamApiError && TOO_FEW_SERVERS.has(error.code);
}
