/**
 * Which node owns which shard: rendezvous hashing (highest random weight), weighted by capacity.
 *
 * W1  A pure function of the members and of what a shard needs: nodes that see the same come to the same.
 * W2  Minimal movement: a shard's order of nodes does not depend on other nodes or shards. Who joins only takes, of
 *     who leaves only the own shards move.
 * W3  A node that lacks a machine version, or that failed a shard, is never chosen for it; nor is one that leaves.
 * W4  Only where no node is `up` for a shard one that waits is chosen, and only then one that drains.
 */
import { fnv1a } from '#runtime/bus/subjects';
import type { Member, MemberState } from '#schemas/member';

export type Candidate = Pick<
  Member,
  'id' | 'name' | 'state' | 'capacity' | 'machines' | 'failed' | 'startedAt'
>;

/** W4: lower goes first; absent: never. */
const TIERS: Readonly<Partial<Record<MemberState, number>>> = { up: 0, waiting: 1, draining: 2 };

/** Nodes that may own a shard, the wanted owner first. */
export function ranking<C extends Candidate>(
  members: Iterable<C>,
  shard: number,
  needs: readonly string[],
): C[] {
  const fit = [...members].filter((member) => whyNot(member, shard, needs) === undefined);
  return ordered(fit, String(shard));
}

/** Among nodes that should all be empty, or all wait, nothing is gained by a move: who has the shard keeps it. */
export function staysWith(mine: Candidate | undefined, first: Candidate | undefined): boolean {
  return mine !== undefined && mine.state !== 'up' && mine.state === first?.state;
}

/** W2, W4. */
function ordered<C extends Candidate>(members: readonly C[], key: string): C[] {
  return members
    .filter(({ state }) => TIERS[state] !== undefined)
    .map((member) => ({ member, tier: TIERS[member.state] ?? 0, score: scoreOf(member, key) }))
    .sort((a, b) => a.tier - b.tier || b.score - a.score || (a.member.name < b.member.name ? -1 : 1))
    .map(({ member }) => member);
}

/** What placement of an effect looks at. */
export type EffectCandidate = Candidate & Pick<Member, 'labels'>;

/**
 * The node that runs the effects of an actor whose kind asks for labels; undefined where none has them. Every effect of
 * the actor goes to the same node while that is there (W1, W2, W4); capacity counts.
 */
export function effectNode(
  members: Iterable<EffectCandidate>,
  labels: Readonly<Record<string, string>>,
  actor: string,
): EffectCandidate | undefined {
  const wanted = Object.entries(labels);
  const fit = [...members].filter((member) => wanted.every(([name, value]) => member.labels[name] === value));
  return ordered(fit, actor)[0];
}

/** Why a node can never own a shard (W3); undefined where it can. */
export function whyNot(member: Candidate, shard: number, needs: readonly string[]): string | undefined {
  const failure = member.failed[shard];
  if (failure !== undefined) return `cannot run it: ${failure.message}`;
  const missing = needs.filter((ref) => !member.machines.includes(ref));
  if (missing.length > 0) return `has no ${missing.join(', ')}`;
  return TIERS[member.state] === undefined ? `is ${member.state}` : undefined;
}

/** Of several lives under one name the last counts: the others have ended, or should. */
export function livesThatCount<C extends Candidate>(members: Iterable<C>): C[] {
  const newest = new Map<string, C>();
  for (const member of members) {
    const known = newest.get(member.name);
    if (known === undefined || isLater(member, known)) newest.set(member.name, member);
  }
  return [...newest.values()];
}

function isLater(a: Candidate, b: Candidate): boolean {
  return a.startedAt > b.startedAt || (a.startedAt === b.startedAt && a.id > b.id);
}

/** −w / ln h: the chance to be the highest is proportional to w. */
function scoreOf({ name, capacity }: Candidate, key: string): number {
  return -capacity / Math.log(unitHash(`${name}/${key}`));
}

/** In (0, 1), the same on any machine: two FNV-1a hashes, mixed, since names differ in their last characters only. */
function unitHash(text: string): number {
  const high = mixed(fnv1a(text));
  const low = mixed(fnv1a(`${text}.`) ^ 0x9e3779b9);
  return (high * 2 ** 21 + (low >>> 11) + 0.5) / 2 ** 53;
}

/** The finalizer of MurmurHash3. */
function mixed(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
