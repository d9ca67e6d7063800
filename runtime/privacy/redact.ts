/** An operator's order to redact a subject, or to readmit one: an entry of its redaction actor. */
import { createHash } from 'node:crypto';
import { fromWireError, type RedactReply, type RedactRequest } from '#runtime/node/api';
import { nodeErrors } from '#runtime/node/errors';
import type { AdminOutcome } from '#runtime/shard/gather';
import type { Work } from '#runtime/shard/work';
import type { Address } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { REDACTION_MACHINE, REDACTION_TYPE, redactionEventSchema } from '#schemas/privacy';
import type { DataKeys } from './data-keys.ts';
import { privacyErrors } from './errors.ts';

const ID_HEX_CHARS = 32;

/** The actor that redacts a subject. Subjects are any text, and the address stands in every entry: it is a hash. */
export function redactionAddress(subject: string): Address {
  const id = createHash('sha256').update(subject).digest('hex').slice(0, ID_HEX_CHARS);
  return `${REDACTION_TYPE}/${id}`;
}

/**
 * Gives the order to a shard; the key is destroyed after the commit. Throws `unknown_subject` where nothing was ever
 * sealed for it, unless forced.
 */
export async function orderRedaction(
  shard: { admin(work: Work): Promise<AdminOutcome>; readonly shard: number },
  { force, ...order }: RedactRequest,
  keys: () => Promise<Pick<DataKeys, 'stateOf'>>,
): Promise<RedactReply> {
  const { success, data: event, error } = redactionEventSchema.safeParse(order);
  if (!success) {
    throw new FabricError(
      nodeErrors.api_bad_request,
      `The order is not valid: ${error.issues[0]?.message ?? ''}`,
    );
  }
  const { subject } = event;
  if (force !== true && (await (await keys()).stateOf(subject)) === undefined) {
    throw new FabricError(privacyErrors.unknown_subject, `No personal data of ${subject} was ever taken`, {
      details: { subject },
    });
  }
  const address = redactionAddress(subject);
  const outcome = await shard.admin({
    cause: { kind: 'admin', by: 'operator' },
    actor: address,
    op: 'event',
    event,
    machine: REDACTION_MACHINE,
  });
  if (!outcome.ok) throw fromWireError(outcome.error);
  const { entry, index } = outcome;
  if (entry.op === 'dead' && entry.error !== undefined) throw fromWireError(entry.error);
  return { address, value: entry.after, commit: { shard: shard.shard, index } };
}
