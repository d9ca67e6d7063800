/** What a shard holds before it is dealt anew. */
import type { NatsConnection } from '@nats-io/nats-core';
import { decodeCommit } from '#runtime/bus/codec';
import { edgeGate } from '#runtime/edge/verify';
import type { Deal } from '#runtime/shard/deal';
import { IdsOfLog } from '#runtime/shard/import';
import { readThrough } from '#runtime/shard/read-through';
import { restoreShard } from '#runtime/shard/restore';
import type { ShardState } from '#runtime/shard/state';
import type { Import } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { nodeErrors } from '../errors.ts';
import { emptyShard, type Head, JS_TIMEOUT_MS, type RealmParts } from './realm.ts';

const NO_MESSAGE_FOUND = 10_037;

/** Adds it to the deal. Throws `realm_busy` where something is under way (S2), and what reading the log throws. */
export async function readShard(
  realm: RealmParts,
  shard: number,
  head: Head,
  deal: Deal,
  dedupeWindow: number,
): Promise<void> {
  const { logOf, before, registry, blobs, log: logger } = realm;
  const log = logOf(shard);
  const { state, hydrator, parcels, base } = await restoreShard({
    shard,
    log,
    blobs,
    eventOf: edgeGate({ policy: { unsignedTypes: [], maxAgeMs: 0 }, keyOf: () => undefined }).eventOf,
    logger,
    throughSeq: head.seq,
    epoch: head.epoch,
    empty: () => emptyShard(shard, registry, before),
    checkWanted: () => undefined,
  });
  await nothingUnderWay(realm, state, parcels.length);
  const addresses = [...state.actors.entries()].map(([address]) => address);
  await hydrator.hydrate(state, addresses);
  const cells = addresses.map((address) => state.actors.cell(address)).filter((cell) => cell !== undefined);
  // Ids are remembered from where the snapshot has them, or from the first commit.
  const ids: Import['ids'][number][] = [];
  const found = new IdsOfLog();
  const { idsFromSeq = 1, seq: baseSeq = 0 } = base?.tables ?? {};
  const afterSeq = idsFromSeq === 0 ? baseSeq : idsFromSeq - 1;
  for await (const { seq, bytes } of readThrough(log, shard, afterSeq, head.seq)) {
    for (const id of found.in(decodeCommit(bytes), seq)) if (before.shardOf(id[1]) === shard) ids.push(id);
  }
  deal.add({ cells, senders: [...state.senders], ids: ids.slice(-dedupeWindow) });
}

/** S2. */
async function nothingUnderWay(
  { nc, before }: RealmParts,
  state: ShardState,
  parcels: number,
): Promise<void> {
  const { shard, consumed, localMail } = state;
  const waiting = await Promise.all(
    before.wildcards.inbox(shard).map((filter) => isStoredAfter(nc, before.streams.inbox, consumed, filter)),
  );
  const sends = waiting.filter(Boolean).length;
  if (sends === 0 && parcels === 0 && localMail.size === 0) return;
  throw new FabricError(nodeErrors.realm_busy, `Shard ${shard} has messages that are not handled yet`, {
    details: { shard, mail: localMail.size + parcels, inbox: sends > 0 },
  });
}

/** The client's own request has no way to say so. */
async function isStoredAfter(
  nc: NatsConnection,
  stream: string,
  seq: number,
  filter: string,
): Promise<boolean> {
  const request = JSON.stringify({ seq: seq + 1, next_by_subj: filter });
  const reply = await nc.request(`$JS.API.STREAM.MSG.GET.${stream}`, request, { timeout: JS_TIMEOUT_MS });
  const { error } = reply.json<{ error?: { err_code: number; description: string } }>();
  if (error === undefined) return true;
  if (error.err_code === NO_MESSAGE_FOUND) return false;
  throw new Error(`The inbox cannot be read: ${error.description}`);
}
