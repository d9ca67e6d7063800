/**
 * What a batch needs before it can be stepped: passivated actors in memory, big bodies in the blob store, and whether
 * messages that look like duplicates are.
 */

import { decodeCommit } from '#runtime/bus/codec';
import { bodyHash, bodyName } from './bodies.ts';
import { type BodyItem, bodyBytesOf, bodyOf, type Item } from './gather.ts';
import type { Hydrator } from './hydrate.ts';
import type { BlobStore, ShardLog } from './ports.ts';
import { mayBeTaken } from './resolve.ts';
import type { ShardState } from './state.ts';
import { entryOfMessage } from './twin.ts';

type InboxItem = Extract<Item, { kind: 'inbox' }>;

export interface PrepareContext {
  readonly state: ShardState;
  readonly hydrator: Hydrator;
  readonly blobs: BlobStore;
  readonly log: ShardLog;
  readonly inlineBytesMax: number;
  readonly bodyBytesMax: number;
}

/** Undefined where the batch needs nothing: the usual case costs one look per item. */
export function prepareBatch(context: PrepareContext, batch: readonly Item[]): Promise<void> | undefined {
  const { state } = context;
  let cold: string[] | undefined;
  let big: BodyItem[] | undefined;
  let suspects: InboxItem[] | undefined;
  const look = (address: string | undefined): void => {
    if (address === undefined || typeof state.actors.peek(address) !== 'number') return;
    cold ??= [];
    cold.push(address);
  };
  for (const item of batch) {
    if (item.kind === 'bundle') for (const { mail } of item.bundle.items) look(mail.to);
    else look(addressOf(state, item));
    if ((item.kind === 'ask' || item.kind === 'inbox') && isKept(context, item)) {
      big ??= [];
      big.push(item);
    }
    if (item.kind === 'inbox' && item.twinSeq !== undefined) {
      suspects ??= [];
      suspects.push(item);
    }
  }
  if (cold === undefined && big === undefined && suspects === undefined) return undefined;
  return fetch(context, cold ?? [], big ?? [], suspects ?? []);
}

/** True where the body lies in the blob store: too big for the log, and not refused unread. */
function isKept({ state, inlineBytesMax, bodyBytesMax }: PrepareContext, item: BodyItem): boolean {
  const bytes = bodyBytesOf(item);
  return bytes > inlineBytesMax && mayBeTaken(state, item.address, bytes, bodyBytesMax);
}

async function fetch(
  context: PrepareContext,
  cold: readonly string[],
  big: readonly BodyItem[],
  suspects: readonly InboxItem[],
): Promise<void> {
  await context.hydrator.hydrate(context.state, cold);
  for (const item of big) {
    const body = bodyOf(item);
    await context.blobs.put(bodyName(bodyHash(body)), body);
  }
  for (const item of suspects) {
    const stored = item.twinSeq === undefined ? undefined : await context.log.get(item.twinSeq);
    // A commit that is no longer there cannot be compared: then the hash decides.
    item.isDuplicate =
      stored === undefined ||
      entryOfMessage(decodeCommit(stored.bytes), item.address, item.message) !== undefined;
  }
}

function addressOf(state: ShardState, item: Exclude<Item, { kind: 'bundle' }>): string | undefined {
  switch (item.kind) {
    case 'ask':
    case 'inbox':
      return item.address;
    case 'mail':
      return item.local.mail.to;
    case 'timer':
      return item.timer.actor;
    case 'admin':
      return item.work.actor;
    case 'effect':
      return state.effects.get(item.result.key)?.actor;
    case 'skip':
      return undefined;
  }
}
