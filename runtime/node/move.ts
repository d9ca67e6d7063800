/** A graceful move of a shard to another node: see S2 and S3 of seat.ts. */
import { type Claim, type Lease, readClaim } from '#runtime/claims/lease';
import type { LeaseKeys } from '#runtime/claims/lease-store';
import type { Roster } from '#runtime/members/roster';
import { until, type Wake } from '#runtime/members/wake';
import type { Clock, Logger } from '#runtime/shard/ports';
import type { Shard } from '#runtime/shard/shard';
import type { Member } from '#schemas/member';

/** A new owner that has not opened its door by then has failed; who asked is told to ask again. */
const OPEN_MS_MAX = 10_000;

/** A snapshot that takes longer is no shortcut. */
const FRESHEN_MS_MAX = 2_000;

export interface Move {
  readonly shard: number;
  readonly running: Shard;
  readonly lease: Lease;
  /** Of the door that is open here: the new owner's door joins it. */
  readonly group: string;
  readonly next: Member;
}

/** What a move looks at. */
export interface MoveDeps {
  readonly nodeId: string;
  readonly leases: Pick<LeaseKeys, 'get'>;
  readonly roster: Roster;
  readonly wake: Wake;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lingerMs?: number;
  /** Who holds the lease, as far as this node has heard. */
  readonly claim: () => Claim | undefined;
  /** The node cannot wait any longer. */
  readonly isEnding: () => boolean;
  /** Called once the shard runs here no more; its door is still open then. */
  readonly left: () => void;
}

/** Ends with the shard at the next owner, or with nobody; everybody who asked is taken care of either way. */
export async function moveShard(move: Move, deps: MoveDeps): Promise<void> {
  const { shard, running, lease, group, next } = move;
  const { clock, logger, lingerMs = 0 } = deps;
  const startedAt = clock.now();
  const { epoch } = running.status();
  const late = clock.now() + FRESHEN_MS_MAX;
  await until(clock, running.freshen(), late);
  const yielded = await running.yieldTo(next.id);
  if (yielded === undefined) return;
  deps.left();
  const isGiven = await lease.transfer(next.id, group).catch(() => false);
  const isOpen = isGiven && (await isOpened(move, epoch, deps));
  if (isOpen && lingerMs > 0) {
    await new Promise<void>((resolve) => void clock.setTimer(resolve, lingerMs));
  }
  await yielded.close();
  const held = yielded.held.size;
  // Both may have heard an ask where this node was taken for gone and the new owner has left the group (S3), or where the
  // lease ended and another, or the same node later, took it anew with a group of its own. Asked once the door is closed:
  // nothing is heard after.
  const isTheirs = isOpen && (await isTakenBy(next.id, move, deps));
  if (isOpen) yielded.held.handOn(() => isTheirs && deps.roster.steadyAt <= startedAt);
  else yielded.held.refuse();
  logger.info({ shard, to: next.name, isOpen, held, ms: clock.now() - startedAt }, 'shard_moved');
}

/** The lease is with that node, which began with what it was given. False also where nobody can say. */
async function isTakenBy(nodeId: string, { lease, group }: Move, { leases }: MoveDeps): Promise<boolean> {
  const row = await leases.get(lease.key).catch(() => undefined);
  if (row === undefined) return false;
  const { holder, taken } = readClaim(row);
  return holder === nodeId && taken === group;
}

/** True once the next owner runs the shard with its door open; false where it does not come to that. */
async function isOpened({ shard, next }: Move, epoch: number, deps: MoveDeps): Promise<boolean> {
  const { wake, clock, roster, claim, nodeId, isEnding } = deps;
  const deadline = clock.now() + OPEN_MS_MAX;
  for (;;) {
    const { changed } = wake;
    const row = roster.member(next.id);
    if ((row?.shards[shard] ?? 0) > epoch) return true;
    const holder = claim()?.holder;
    const isLost = holder !== undefined && holder !== next.id && holder !== nodeId;
    if (row === undefined || isLost || isEnding() || clock.now() >= deadline) return false;
    await until(clock, changed, deadline);
  }
}
