/** The servers of a cluster and what they keep, as tables. */
import type { Copies, Follower, ServerCopies, StreamCopies } from '#runtime/bus/copies';
import type { Palette } from './palette.ts';
import { type Column, table } from './table.ts';

interface Place {
  readonly palette: Palette;
  readonly width: number;
}

const SERVERS: readonly Column[] = [
  { title: 'SERVER' },
  { title: 'STATE' },
  { title: 'LEADS', align: 'right' },
  { title: 'FOLLOWS', align: 'right' },
  { title: 'IF IT IS LOST' },
];

const STREAMS: readonly Column[] = [
  { title: 'STREAM' },
  { title: 'COPIES', align: 'right' },
  { title: 'LEADER' },
  { title: 'FOLLOWERS' },
];

export function copiesLines(copies: Copies, servers: readonly ServerCopies[], place: Place): string[] {
  if (copies.streams.length === 0) return ['The realm has no stream yet: start it with `infrafabric up`.'];
  const { palette } = place;
  return [
    ...table(
      SERVERS,
      servers.map((server) => serverRow(server, palette)),
      place,
    ),
    '',
    ...table(
      STREAMS,
      copies.streams.map((stream) => streamRow(stream, palette)),
      place,
    ),
  ];
}

function serverRow(server: ServerCopies, palette: Palette): string[] {
  const { leads, follows, behind, isOffline } = server;
  const state = isOffline
    ? palette.bad('away')
    : behind.length > 0
      ? palette.warn('behind or away')
      : palette.good('current');
  return [
    palette.name(server.server),
    state,
    String(leads.length),
    String(follows.length),
    loss(server, palette),
  ];
}

function loss({ wouldLose, wouldStop, isOffline }: ServerCopies, palette: Palette): string {
  if (isOffline) return palette.faint('it is away');
  if (wouldLose.length > 0) return palette.bad(`acknowledged work of ${names(wouldLose)} is gone`);
  if (wouldStop.length > 0) return palette.warn(`nothing is lost, ${names(wouldStop)} wait for servers`);
  return 'nothing is lost, others lead';
}

function streamRow({ stream, replicas, leader, followers }: StreamCopies, palette: Palette): string[] {
  return [
    stream,
    replicas === undefined ? '?' : String(replicas),
    leader ?? palette.bad('none'),
    followers.map((follower) => followerText(follower, palette)).join(', ') || '–',
  ];
}

function followerText({ server, isCurrent, isOffline, lag }: Follower, palette: Palette): string {
  if (isOffline) return palette.bad(`${server} (away)`);
  return isCurrent ? server : palette.warn(`${server} (${lag} behind)`);
}

function names(streams: readonly string[]): string {
  const [first, ...others] = streams;
  return others.length === 0 ? `${first}` : `${first} and ${others.length} more`;
}
