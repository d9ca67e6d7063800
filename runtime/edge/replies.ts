/** Answers of asks. On the hot path: JSON is put together around the two values that vary, and left as text. */
import { encode } from '#runtime/bus/codec';
import type { Encoded } from '#runtime/shard/ports';
import { FabricError, type WireError } from '#schemas/fabric-error';
import { edgeErrors } from './errors.ts';

export interface ReplyParts {
  /** What the machine replied; left out of the answer when undefined. */
  readonly reply: unknown;
  /** State value after the commit. */
  readonly value: unknown;
  readonly shard: number;
  readonly index: number;
}

/** `{ok: true, reply, value, commit}` in the content type of the ask. What JSON cannot say becomes a refusal. */
export function encodeReply(parts: ReplyParts, contentType: string | undefined): Encoded {
  const { reply, value, shard, index } = parts;
  if (isMsgpack(contentType)) {
    return encode({ ok: true, ...(reply !== undefined && { reply }), value, commit: { shard, index } });
  }
  try {
    // JSON.stringify gives undefined for undefined, which its type does not say.
    const replyText = JSON.stringify(reply) as string | undefined;
    const valueText = (JSON.stringify(value) as string | undefined) ?? 'null';
    const head = replyText === undefined ? '{"ok":true' : `{"ok":true,"reply":${replyText}`;
    return `${head},"value":${valueText},"commit":{"shard":${shard},"index":${index}}}`;
  } catch (cause) {
    const error = new FabricError(edgeErrors.reply_not_json, 'The reply has no JSON form', {
      details: { shard, index },
      cause,
    });
    return encodeRefusal(error.toWire(), contentType);
  }
}

/** `{ok: false, error}` in the content type of the ask. */
export function encodeRefusal(error: WireError, contentType: string | undefined): Encoded {
  const body = { ok: false, error };
  return isMsgpack(contentType) ? encode(body) : JSON.stringify(body);
}

function isMsgpack(contentType: string | undefined): boolean {
  return contentType?.startsWith('application/msgpack') === true;
}
