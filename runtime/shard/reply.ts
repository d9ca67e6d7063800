/** Answers to those who wait for an item. */
import { encodeRefusal, encodeReply } from '#runtime/edge/replies';
import type { Commit, Entry } from '#schemas/commit';
import type { WireError } from '#schemas/fabric-error';
import type { Item } from './gather.ts';
import type { Ask } from './ports.ts';

/** Answers everybody who waits for a committed item. */
export function answerItem(item: Item, entry: Entry, commit: Commit): void {
  if (item.kind === 'admin') item.done({ ok: true, entry, index: commit.index });
  else if (item.kind === 'ask') respond(item.ask, entry, commit);
  if (item.kind !== 'ask' && item.kind !== 'inbox') return;
  for (const again of item.also ?? []) respond(again, entry, commit);
}

/** Refuses everybody who waits for an item that is certainly not stored. */
export function refuseItem(item: Item, error: WireError): void {
  if (item.kind === 'admin') item.done({ ok: false, error });
  else if (item.kind === 'ask') item.ask.respond(encodeRefusal(error, item.ask.contentType));
  if (item.kind !== 'ask' && item.kind !== 'inbox') return;
  for (const again of item.also ?? []) again.respond(encodeRefusal(error, again.contentType));
}

/** One answer: what the machine replied, or why the entry is dead. */
export function respond(ask: Ask, entry: Entry, commit: Commit): void {
  ask.respond(
    entry.op === 'dead' && entry.error !== undefined
      ? encodeRefusal(entry.error, ask.contentType)
      : encodeReply(
          { reply: entry.reply, value: entry.after, shard: commit.shard, index: commit.index },
          ask.contentType,
        ),
  );
}
