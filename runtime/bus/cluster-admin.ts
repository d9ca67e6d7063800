/** What an operator asks of a cluster: more copies of everything, and leaders elsewhere before a server is stopped. */
import { setTimeout as pause } from 'node:timers/promises';
import { JetStreamApiError, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { FabricError } from '#schemas/fabric-error';
import { type Copies, isWhole, readCopies, serversOfCopies } from './copies.ts';
import { busErrors } from './errors.ts';
import { isTooFewServers } from './replicas.ts';
import type { Subjects } from './subjects.ts';

const LOOK_EVERY_MS = 50;
const STEP_DOWN_TIMEOUT_MS = 10_000;
/** Without enough servers it would have fewer copies than it says. */
const NO_PEERS: ReadonlySet<number> = new Set([10_023, 10_052]);

export interface Waiting {
  readonly timeoutMs: number;
  /** Called with how many of the streams are done. */
  readonly onDone?: (done: number, of: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Gives every stream and bucket at least so many copies, while the realm runs, and waits until they have all. Resolves
 * with the streams that had fewer. Never takes one away.
 *
 * Throws `not_clustered`, `replicas_refused`, `cluster_slow`.
 */
export async function raiseReplicas(
  nc: NatsConnection,
  subjects: Subjects,
  replicas: number,
  waiting: Waiting,
): Promise<readonly string[]> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const { streams } = await readClustered(nc, subjects);
  const few = streams
    .filter(({ replicas: has }) => has === undefined || has < replicas)
    .map(({ stream }) => stream);
  for (const stream of few) {
    try {
      await jsm.streams.update(stream, { num_replicas: replicas });
    } catch (error) {
      const isRefused =
        isTooFewServers(error) || (error instanceof JetStreamApiError && NO_PEERS.has(error.code));
      if (!isRefused) throw error;
      throw new FabricError(
        busErrors.replicas_refused,
        `Stream ${stream} cannot have ${replicas} copies: ${(error as Error).message}`,
        { details: { stream, replicas }, cause: error },
      );
    }
  }
  await settled(nc, subjects, waiting, (copies) => copies.streams.filter((s) => !isWhole(s)).length);
  return few;
}

/**
 * Has another server lead each stream that `server` leads. Resolves with the streams that it led; those of which it has
 * the only copy stay. Throws `not_clustered`, `bus_server_unknown`, `cluster_slow`.
 */
export async function stepDown(
  nc: NatsConnection,
  subjects: Subjects,
  server: string,
  waiting: Omit<Waiting, 'timeoutMs'> = {},
): Promise<{ readonly moved: readonly string[]; readonly stay: readonly string[] }> {
  const copies = await readClustered(nc, subjects);
  const found = serversOfCopies(copies).find((one) => one.server === server);
  if (found === undefined) {
    const known = serversOfCopies(copies).map((one) => one.server);
    throw new FabricError(
      busErrors.bus_server_unknown,
      `No server of the cluster is named ${server}; there are: ${known.join(', ')}`,
      { details: { server, known } },
    );
  }
  const led = copies.streams.filter(({ leader }) => leader === server);
  const [moved, stay] = [
    led.filter((s) => s.followers.length > 0),
    led.filter((s) => s.followers.length === 0),
  ];
  for (const { stream } of moved) {
    const reply = await nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, '', {
      timeout: STEP_DOWN_TIMEOUT_MS,
    });
    const { error } = reply.json<{ error?: { description?: string } }>();
    if (error === undefined) continue;
    throw new FabricError(
      busErrors.cluster_slow,
      `${server} goes on leading ${stream}: ${error.description ?? 'it was refused'}`,
      { details: { server, stream } },
    );
  }
  const names = moved.map(({ stream }) => stream);
  await settled(
    nc,
    subjects,
    { timeoutMs: STEP_DOWN_TIMEOUT_MS, ...waiting },
    (now) =>
      now.streams.filter((s) => names.includes(s.stream) && (s.leader === undefined || s.leader === server))
        .length,
  );
  return { moved: names, stay: stay.map(({ stream }) => stream) };
}

async function readClustered(nc: NatsConnection, subjects: Subjects): Promise<Copies> {
  const copies = await readCopies(nc, subjects);
  if (copies.cluster !== undefined) return copies;
  throw new FabricError(busErrors.not_clustered, `The server ${copies.server} is in no cluster`);
}

async function settled(
  nc: NatsConnection,
  subjects: Subjects,
  { timeoutMs, onDone, signal }: Waiting,
  leftOf: (copies: Copies) => number,
): Promise<void> {
  for (const until = performance.now() + timeoutMs; ; await pause(LOOK_EVERY_MS, undefined, { signal })) {
    const copies = await readCopies(nc, subjects);
    const left = leftOf(copies);
    onDone?.(copies.streams.length - left, copies.streams.length);
    if (left === 0) return;
    if (performance.now() > until) {
      throw new FabricError(
        busErrors.cluster_slow,
        `The cluster still works on ${left} of ${copies.streams.length} streams`,
        { details: { left } },
      );
    }
  }
}
