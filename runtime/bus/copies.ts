/** Which servers keep what of a realm, and what it costs when one of them is lost. */
import { JetStreamApiError, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from './subjects.ts';

/** A stream without a leader answers nothing at all. */
const INFO_TIMEOUT_MS = 2_000;
const STREAM_NOT_FOUND = 10_059;

export interface Follower {
  readonly server: string;
  /** It has all that the leader has. */
  readonly isCurrent: boolean;
  readonly isOffline: boolean;
  /** Operations it lacks. */
  readonly lag: number;
}

export interface StreamCopies {
  readonly stream: string;
  /** Copies that it should have; unknown while it has no leader. */
  readonly replicas?: number;
  /** The server that takes writes; undefined while none does. */
  readonly leader?: string;
  readonly followers: readonly Follower[];
}

export interface Copies {
  /** Name of the cluster; undefined for a server of its own. */
  readonly cluster?: string;
  /** The server that answered. */
  readonly server: string;
  readonly streams: readonly StreamCopies[];
}

export interface ServerCopies {
  readonly server: string;
  readonly leads: readonly string[];
  readonly follows: readonly string[];
  /** Streams of which it lacks something, or that cannot reach it. */
  readonly behind: readonly string[];
  readonly isOffline: boolean;
  /** Streams whose acknowledged content would be gone with it. */
  readonly wouldLose: readonly string[];
  /** Streams that would take nothing more until a server comes back. */
  readonly wouldStop: readonly string[];
}

/** Every stream and bucket of a realm that is there. */
export async function readCopies(nc: NatsConnection, subjects: Subjects): Promise<Copies> {
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: INFO_TIMEOUT_MS });
  const found = await Promise.all(realmStreams(subjects).map((stream) => copiesOf(jsm, stream, nc)));
  const { cluster, server_name: server } = nc.info ?? {};
  return {
    ...(cluster !== undefined && cluster !== '' && { cluster }),
    server: server ?? '',
    streams: found.filter((copies) => copies !== undefined),
  };
}

export function realmStreams({ stored }: Subjects): readonly string[] {
  return [
    ...stored.streams,
    ...stored.kv.map((bucket) => `KV_${bucket}`),
    ...stored.obj.map((bucket) => `OBJ_${bucket}`),
  ];
}

/** Every server that keeps something, by name. */
export function serversOfCopies({ streams }: Copies): readonly ServerCopies[] {
  const names = new Set(streams.flatMap((copies) => members(copies).map(({ server }) => server)));
  return [...names].sort().map((server) => {
    const inStreams = (test: (copies: StreamCopies) => boolean): readonly string[] =>
      streams.filter(test).map(({ stream }) => stream);
    const follower = ({ followers }: StreamCopies): Follower | undefined =>
      followers.find((one) => one.server === server);
    const leads = inStreams(({ leader }) => leader === server);
    const follows = inStreams((copies) => follower(copies) !== undefined);
    const away = inStreams((copies) => follower(copies)?.isOffline === true);
    return {
      server,
      leads,
      follows,
      behind: inStreams((copies) => follower(copies) !== undefined && follower(copies)?.isCurrent !== true),
      isOffline: leads.length === 0 && follows.length > 0 && away.length === follows.length,
      wouldLose: inStreams((copies) => has(copies, server) && !isKept(copies, server)),
      wouldStop: inStreams((copies) => has(copies, server) && !hasQuorum(copies, server)),
    };
  });
}

/** All copies are there and up to date. */
export function isWhole({ replicas, leader, followers }: StreamCopies): boolean {
  return (
    leader !== undefined &&
    followers.length + 1 === replicas &&
    followers.every(({ isCurrent, isOffline }) => isCurrent && !isOffline)
  );
}

/**
 * Somebody else has all that was acknowledged: who is current does, and among the others of a majority that is there at
 * least one does, since an acknowledgement waits for most.
 */
function isKept(copies: StreamCopies, without: string): boolean {
  const others = members(copies).filter(({ server }) => server !== without);
  const allThere = others.length > 1 && others.every(({ isOffline }) => !isOffline);
  return allThere || others.some(({ isCurrent }) => isCurrent);
}

function hasQuorum(copies: StreamCopies, without: string): boolean {
  const { replicas = 1 } = copies;
  const there = members(copies).filter(({ server, isOffline }) => !isOffline && server !== without);
  return there.length >= Math.floor(replicas / 2) + 1;
}

function has(copies: StreamCopies, server: string): boolean {
  return members(copies).some((member) => member.server === server);
}

/** The leader has what it says. */
function members({ leader, followers }: StreamCopies): readonly Follower[] {
  if (leader === undefined) return followers;
  return [{ server: leader, isCurrent: true, isOffline: false, lag: 0 }, ...followers];
}

async function copiesOf(
  jsm: JetStreamManager,
  stream: string,
  nc: NatsConnection,
): Promise<StreamCopies | undefined> {
  try {
    const { config, cluster } = await jsm.streams.info(stream);
    // A server of its own says nothing of leaders.
    const leader = cluster === undefined ? nc.info?.server_name : cluster.leader;
    return {
      stream,
      replicas: config.num_replicas,
      ...(leader !== undefined && leader !== '' && { leader }),
      followers: (cluster?.replicas ?? []).map(({ name, current, offline = false, lag = 0 }) => ({
        server: name,
        isCurrent: current && !offline,
        isOffline: offline,
        lag,
      })),
    };
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    // Nobody leads it.
    return { stream, followers: [] };
  }
}
