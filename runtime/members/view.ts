/** The nodes of a realm and who owns what, as one node sees it: what operators are told. */
import type { Claim } from '#runtime/claims/lease';
import type { Member } from '#schemas/member';
import { staysWith, whyNot } from './placement.ts';
import type { Roster } from './roster.ts';

export interface ShardPlace {
  readonly shard: number;
  /** Id of the node that holds its lease. */
  readonly owner?: string;
  /** Name of the node that should own it. */
  readonly wanted?: string;
  /** Machine versions that its owner must have. */
  readonly needs: readonly string[];
  /** Why a node can never own it, by name. */
  readonly unfit: Readonly<Record<string, string>>;
}

export interface MembersReply {
  readonly members: readonly Member[];
  readonly places: readonly ShardPlace[];
}

export function membersView(
  roster: Roster,
  shards: number,
  claimOf: (shard: number) => Claim | undefined,
): MembersReply {
  const members = roster.members();
  const places = Array.from({ length: shards }, (_, shard): ShardPlace => {
    const owner = claimOf(shard)?.holder;
    const order = roster.ranking(shard);
    const mine = order.find(({ id }) => id === owner);
    const wanted = (staysWith(mine, order[0]) ? mine : order[0])?.name;
    const needs = roster.needs(shard);
    const unfit = members.flatMap((member) => {
      const why = whyNot(member, shard, needs);
      return why === undefined ? [] : [[member.name, why] as const];
    });
    return {
      shard,
      ...(owner !== undefined && { owner }),
      ...(wanted !== undefined && { wanted }),
      needs,
      unfit: Object.fromEntries(unfit),
    };
  });
  return { members, places };
}
