/** S1: nobody else writes while a realm is dealt anew. */

import { checkShards } from '#runtime/bus/streams';
import { systemClock, systemRandom } from '#runtime/bus/system';
import { acquireLease, type Lease } from '#runtime/claims/lease';
import { natsLeases } from '#runtime/claims/nats-leases';
import { natsMembers } from '#runtime/members/nats-store';
import { MEMBER } from '#runtime/members/roster';
import { Appender } from '#runtime/shard/append';
import { writeEpoch } from '#runtime/shard/epoch';
import type { FabricError } from '#schemas/fabric-error';
import { leaseKey } from '../host.ts';
import { emptyShard, type Head, headOf, type RealmParts, running } from './realm.ts';

/** Longer than any pause of a process that still works. */
const LEASE_TTL_MS = 60_000;
/** What a crashed node left is gone by then. */
const FREE_TIMEOUT_MS = 15_000;
const LOOK_EVERY_MS = 250;

export interface HeldLease {
  readonly lease: Lease;
  readonly isLost: () => boolean;
}

/** Throws `realm_running` where a node is up. */
export async function nobodyRuns({ nc, before, resources }: RealmParts): Promise<void> {
  const store = await natsMembers(nc, before.buckets.nodes);
  const rows = new Set<string>();
  const watch = await store.watch((key, value) => {
    if (!key.startsWith(MEMBER)) return;
    if (value === undefined) rows.delete(key);
    else rows.add(key);
  });
  resources.defer(() => watch.close());
  await eventually(
    () => rows.size === 0,
    () => running(`${rows.size} nodes of it are up`),
  );
}

/** Of so many shards: whoever starts meanwhile waits for them. Throws `realm_running`. */
export async function takeLeases(
  { nc, before, log, resources }: RealmParts,
  count: number,
): Promise<HeldLease[]> {
  const store = await natsLeases(nc, before.buckets.claims);
  const held: HeldLease[] = [];
  for (let shard = 0; shard < count; shard += 1) {
    let lease: Lease | undefined;
    await eventually(
      async () => {
        lease = await acquireLease({
          store,
          key: leaseKey(shard),
          holder: 'reshard',
          ttlMs: LEASE_TTL_MS,
          clock: systemClock,
          random: systemRandom,
          logger: log,
        });
        return lease !== undefined;
      },
      () => running(`somebody has the lease of shard ${shard}`),
    );
    if (lease === undefined) throw running(`the lease of shard ${shard} cannot be had`);
    const taken = lease;
    let isLost = false;
    void taken.lost.then(() => {
      isLost = true;
    });
    resources.defer(() => taken.release());
    held.push({ lease: taken, isLost: () => isLost });
  }
  return held;
}

/** Nobody who had the shard before can append to its log; where that ends. */
export async function fence(
  { logOf, before, jsm, registry, log: logger }: RealmParts,
  shard: number,
): Promise<Head> {
  const log = logOf(shard);
  const appender = new Appender(log, systemClock, logger);
  const deps = {
    shard,
    node: 'reshard',
    log,
    clock: systemClock,
    shards: before.shards,
    checkShards: () => checkShards(jsm, before),
  };
  await writeEpoch(deps, appender, () => emptyShard(shard, registry, before));
  return headOf(await log.head());
}

async function eventually(
  isSo: () => boolean | Promise<boolean>,
  otherwise: () => FabricError,
): Promise<void> {
  for (const until = performance.now() + FREE_TIMEOUT_MS; !(await isSo()); ) {
    if (performance.now() > until) throw otherwise();
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
