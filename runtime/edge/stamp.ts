/** What a sender does before it signs: stamping, and the bytes that the signature covers. Runs in browsers too. */
import canonicalize from 'canonicalize';
import { FabricError } from '#schemas/fabric-error';
import { type IFMessage, type IFMessageInput, TTL_S_DEFAULT } from '#schemas/if-message';
import { edgeErrors } from './errors.ts';

/** What the sender writes; the rest is stamped. */
export type MessageDraft = Omit<IFMessageInput, 'id' | 'ts' | 'seq' | 'signature'>;

/** What stamping adds. `now` is ms since the epoch. */
export interface Stamp {
  readonly id: string;
  readonly now: number;
  /** One more than the sender's last. */
  readonly seq: number;
}

/** Completes a draft: id, time, sequence and ttl. */
export function stampMessage(draft: MessageDraft, stamp: Stamp): IFMessage {
  const { hazard, ...rest } = draft;
  return {
    ...rest,
    id: stamp.id,
    ts: new Date(stamp.now).toISOString(),
    seq: stamp.seq,
    ttl: draft.ttl ?? TTL_S_DEFAULT,
    ...(hazard !== undefined && { hazard: { ...hazard, autoEscalate: hazard.autoEscalate ?? false } }),
  };
}

/** The RFC 8785 text of every field but `signature`: what is signed. Throws `bad_envelope` for what JSON cannot say. */
export function canonicalText(message: Readonly<Record<string, unknown>>): string {
  const { signature: _, ...rest } = message;
  try {
    const text = canonicalize(rest);
    if (text !== undefined) return text;
  } catch (cause) {
    throw new FabricError(edgeErrors.bad_envelope, `The message has no RFC 8785 form: ${String(cause)}`, {
      cause,
    });
  }
  throw new FabricError(edgeErrors.bad_envelope, 'The message has no RFC 8785 form');
}
