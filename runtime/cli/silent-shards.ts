/** Why nobody answers for a shard: what its needs and the nodes that are there tell. */
import { memberErrors } from '#runtime/members/errors';
import { nodeErrors } from '#runtime/node/errors';
import { FabricError } from '#schemas/fabric-error';
import type { Member } from '#schemas/member';
import { remark, type ShardRow } from './render/nodes.ts';

/** The reason of the first shard that does not run, those first that will never run; undefined where all run. */
export function silenceOf(rows: readonly ShardRow[], members: readonly Member[]): FabricError | undefined {
  const silent = rows.filter(({ status }) => status?.phase !== 'running');
  const lost = silent.filter(({ wanted }) => wanted === undefined);
  const [row] = lost.length > 0 ? lost : silent;
  if (row === undefined) return undefined;
  const shards = (lost.length > 0 ? lost : silent).map(({ shard }) => shard);
  if (row.wanted !== undefined) {
    return new FabricError(memberErrors.shard_unowned, `Shard ${row.shard} does not run: ${remark(row)}`, {
      details: { shards },
    });
  }
  return lacking(row, members, shards) ?? failed(row, members, shards) ?? unplaced(row, shards);
}

/** Machine versions that its log needs and no node has. */
function lacking(
  { shard, needs }: ShardRow,
  members: readonly Member[],
  shards: readonly number[],
): FabricError | undefined {
  const missing = needs.filter((ref) => members.every(({ machines }) => !machines.includes(ref)));
  if (missing.length === 0) return undefined;
  const names = new Set(missing.map(nameOf));
  const others = members.flatMap(({ name, machines }) => {
    const had = machines.filter((ref) => names.has(nameOf(ref)));
    return had.length === 0 ? [] : [`${name} has ${had.join(', ')}`];
  });
  return new FabricError(
    {
      ...memberErrors.shard_unplaced,
      help: 'Keep the old version of a machine beside the new one while actors live by it: the export that the config names may be a list of definitions, `[{ name, version, machine }]`. See docs/machines.md.',
    },
    [`Shard ${shard} needs ${missing.join(', ')}, which no node has`, ...others].join('; '),
    { details: { shards, missing } },
  );
}

/** Every version is there, and a node that tried could not recover it. */
function failed(
  { shard }: ShardRow,
  members: readonly Member[],
  shards: readonly number[],
): FabricError | undefined {
  for (const { name, failed: failures } of members) {
    const failure = failures[shard];
    if (failure === undefined) continue;
    return new FabricError(
      nodeErrors.shard_failed,
      `Shard ${shard} cannot run on ${name}: ${failure.code}: ${failure.message}`,
      { details: { shards, error: failure } },
    );
  }
  return undefined;
}

function unplaced(row: ShardRow, shards: readonly number[]): FabricError {
  return new FabricError(memberErrors.shard_unplaced, `No node can run shard ${row.shard}: ${remark(row)}`, {
    details: { shards },
  });
}

function nameOf(ref: string): string {
  return ref.slice(0, ref.lastIndexOf('@'));
}
