/** Nodes and shards as tables. */
import type { MembersReply, NodeStatus, ShardPlace, ShardStatus } from '#runtime/node/api';
import type { Member, MemberState } from '#schemas/member';
import { count, span } from './format.ts';
import type { Palette } from './palette.ts';
import { type Column, table } from './table.ts';

interface Place {
  readonly palette: Palette;
  readonly width: number;
}

const NODES: readonly Column[] = [
  { title: 'NODE' },
  { title: 'ID' },
  { title: 'STATE' },
  { title: 'VERSION' },
  { title: 'CAPACITY', align: 'right' },
  { title: 'LABELS' },
  { title: 'SHARDS', align: 'right' },
  { title: 'UP', align: 'right' },
];

export function nodeTable(members: readonly Member[], now: number, place: Place): string[] {
  const { palette } = place;
  const rows = members.map((member) => [
    palette.name(member.name),
    palette.faint(member.id.slice(-6)),
    stateText(member.state, palette),
    member.version,
    String(member.capacity),
    labelText(member.labels),
    count(Object.keys(member.shards).length),
    span(now - member.startedAt),
  ]);
  return table(NODES, rows, place);
}

export function labelText(labels: Member['labels']): string {
  const text = Object.entries(labels).map(([name, value]) => (value === 'true' ? name : `${name}=${value}`));
  return text.join(' ') || '–';
}

function stateText(state: MemberState, palette: Palette): string {
  return state === 'up' ? palette.good(state) : palette.warn(state);
}

/** A shard with all that is known of it. */
export interface ShardRow extends ShardPlace {
  readonly ownerName?: string;
  readonly status?: ShardStatus;
}

/** One row a shard: who holds it, what the owner says of it, and where it should be. */
export function shardRows({ members, places }: MembersReply, statuses: readonly NodeStatus[]): ShardRow[] {
  return places.map((at) => {
    const owner = members.find(({ id }) => id === at.owner);
    const status = statuses
      .find(({ nodeId }) => nodeId === at.owner)
      ?.shards.find(({ shard }) => shard === at.shard);
    return {
      ...at,
      ...(owner !== undefined && { ownerName: owner.name }),
      ...(status !== undefined && { status }),
    };
  });
}

/** It runs, and where it should. */
export function isSettled({ ownerName, wanted, status }: ShardRow): boolean {
  return status?.phase === 'running' && wanted === ownerName;
}

const SHARDS: readonly Column[] = [
  { title: 'SHARD', align: 'right' },
  { title: 'OWNER' },
  { title: 'PHASE' },
  { title: 'EPOCH', align: 'right' },
  { title: 'INDEX', align: 'right' },
  { title: 'ACTORS', align: 'right' },
  { title: 'REMARK' },
];

export function shardTable(rows: readonly ShardRow[], place: Place): string[] {
  const { palette } = place;
  const cells = rows.map((row) => {
    const { status } = row;
    return [
      String(row.shard),
      row.ownerName === undefined ? palette.warn('nobody') : palette.name(row.ownerName),
      status?.phase ?? '–',
      status === undefined ? '–' : count(status.epoch),
      status === undefined ? '–' : count(status.index),
      status === undefined ? '–' : count(status.actors),
      remark(row),
    ];
  });
  return table(SHARDS, cells, place);
}

/** Where it should be, if it is not there, and who can never have it. */
export function remark({ ownerName, wanted, unfit }: ShardRow): string {
  const parts: string[] = [];
  if (wanted === undefined) parts.push('no node can run it');
  else if (wanted !== ownerName) parts.push(`moves to ${wanted}`);
  for (const [name, why] of Object.entries(unfit)) parts.push(`${name} ${why}`);
  return parts.join('; ');
}
