/** What must hold of anything that arrives before it may wait: what waits is kept, and ends up in the log. */
import { isActorId, isActorType } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import type { MailBundle } from './ports.ts';
import type { ShardState } from './state.ts';

/** Stands for the addressee where a message names none. */
export const NOBODY = 'unknown/unknown';
/** Ids are remembered, by the hundred thousand. */
const ID_CHARS_MAX = 512;
const TRACE_CHARS_MAX = 256;

/** Throws `bad_header`. */
export function checkHeaders(message: {
  readonly id: string | undefined;
  readonly from: string | undefined;
  readonly trace: string | undefined;
}): void {
  const { id = '', from = '', trace = '' } = message;
  // Half a character comes back from the log as another: the id would not be known again, and its message count twice.
  if (!id.isWellFormed() || !from.isWellFormed() || !trace.isWellFormed()) {
    throw new FabricError(shardErrors.bad_header, 'A header of the message is no Unicode');
  }
  if (id.length <= ID_CHARS_MAX && from.length <= ID_CHARS_MAX && trace.length <= TRACE_CHARS_MAX) return;
  throw new FabricError(shardErrors.bad_header, 'A header of the message is too long', {
    details: { idChars: id.length, fromChars: from.length, traceChars: trace.length },
  });
}

/** Throws `bad_mail` for what no shard writes. */
export function checkBundle(bundle: MailBundle, state: ShardState): void {
  const isGood =
    typeof bundle === 'object' &&
    bundle !== null &&
    isIndex(bundle.source) &&
    bundle.source !== state.shard &&
    isIndex(bundle.index) &&
    Number.isSafeInteger(bundle.prev) &&
    Array.isArray(bundle.items) &&
    bundle.items.every((item) => isMailItem(item, state));
  if (!isGood) throw new FabricError(shardErrors.bad_mail, 'The message is no mail of a shard');
}

function isMailItem(item: MailBundle['items'][number] | null | undefined, state: ShardState): boolean {
  const mail = item?.mail;
  if (!isIndex(item?.n) || typeof mail !== 'object' || mail === null) return false;
  if (typeof mail.from !== 'string' || !isAddress(mail.to) || state.shardOf(mail.to) !== state.shard)
    return false;
  switch (mail.op) {
    case undefined:
    case 'event':
      return typeof (mail.event as { type?: unknown } | null | undefined)?.type === 'string';
    case 'spawn':
    case 'migrate':
      return typeof mail.machine === 'string';
    case 'stop':
      return true;
    default:
      return false;
  }
}

function isIndex(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isAddress(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  const slash = value.indexOf('/');
  return isActorType(value.slice(0, Math.max(slash, 0))) && isActorId(value.slice(slash + 1));
}
