/** What the new shards take over: written to their logs, read back and compared. */
import { decodeCommit, encodeCommit } from '#runtime/bus/codec';
import { systemClock } from '#runtime/bus/system';
import { Appender } from '#runtime/shard/append';
import { commitOf, type Deal, digestOf, type Place, partsOf } from '#runtime/shard/deal';
import { cellOrBroken } from '#runtime/shard/hydrate';
import { readThrough } from '#runtime/shard/read-through';
import { type Cell, NOWHERE } from '#runtime/shard/table';
import { FabricError } from '#schemas/fabric-error';
import { fromWireError } from '../api.ts';
import { nodeErrors } from '../errors.ts';
import { type Head, headOf, type RealmParts, running } from './realm.ts';

const MISSING_SHOWN_MAX = 5;

export interface Target {
  readonly shard: number;
  readonly head: Head;
  readonly consumed: number;
  readonly digest: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** Where the import of a shard stands in the log. */
export interface Written {
  readonly shard: number;
  readonly after: number;
  readonly through: number;
}

/** Resolves with the sequence of the last part. Throws `realm_running`. */
export async function writeHand(
  { logOf, log: logger }: RealmParts,
  deal: Deal,
  { shard, head, consumed, digest, from, to }: Target,
): Promise<number> {
  const hand = deal.hands[shard] ?? { cells: [], senders: [], ids: [] };
  const log = logOf(shard);
  const place: Place = {
    shard,
    from,
    to,
    index: head.index,
    prev: head.prev,
    at: Math.max(head.at, systemClock.now()),
    epoch: head.epoch,
    consumed,
  };
  const appender = new Appender(log, systemClock, logger);
  const parts = partsOf(hand, log.bytesMax);
  let last = head;
  for (const [n, part] of parts.entries()) {
    const total = { realm: deal.actors, shard: hand.cells.length, digest };
    const commit = commitOf(part, n, last, place, n === parts.length - 1 ? total : undefined);
    const bytes = encodeCommit(commit);
    const result = await appender.append(bytes, last.seq);
    if (result.kind === 'refused') throw fromWireError(result.error);
    if (result.kind !== 'appended') throw running(`somebody else wrote in shard ${shard}`);
    last = headOf({ seq: result.seq, bytes });
  }
  return last.seq;
}

/** S4. Throws `reshard_incomplete`, `realm_running`. */
export async function compare(
  { logOf, registry }: RealmParts,
  deal: Deal,
  written: readonly Written[],
): Promise<void> {
  const found = new Map<string, string>();
  for (const { shard, after, through } of written) {
    const last = await logOf(shard).head();
    if (last?.seq !== through) throw running(`somebody else wrote in shard ${shard}`);
    for await (const { bytes } of readThrough(logOf(shard), shard, after, through)) {
      for (const record of decodeCommit(bytes).import?.actors ?? []) {
        const cell: Cell = cellOrBroken(record, NOWHERE, registry);
        found.set(cell.address, digestOf(cell));
      }
    }
  }
  const missing = deal.missing(found);
  if (missing.length === 0) return;
  throw new FabricError(
    nodeErrors.reshard_incomplete,
    `${missing.length} of ${deal.actors} actors did not come along`,
    { details: { actors: missing.slice(0, MISSING_SHOWN_MAX) } },
  );
}
