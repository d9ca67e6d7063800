/** What takes the place of a body that came to a door, and the message that carries it on. */
import { JSON_TYPE } from '#runtime/bus/codec';
import type { Ask, InboxMessage } from '#runtime/shard/ports';
import type { WireError } from '#schemas/fabric-error';

export interface Message {
  readonly body: Uint8Array;
  readonly value?: unknown;
  readonly contentType: string | undefined;
}

/** What takes the place of a message's body. */
export interface Made {
  readonly change: Pick<Ask, 'body' | 'contentType' | 'value' | 'refusal'> | undefined;
  /** It held personal data in the clear, or may have. */
  readonly isPlain: boolean;
}

export const UNCHANGED: Made = { change: undefined, isPlain: false };

/** The message with its new body. An ask may be of a class of its own: it is not copied field by field. */
export function changed<M extends Ask | InboxMessage>(message: M, { change }: Made): M {
  if (change === undefined) return message;
  const { subject, id, from, trace } = message;
  const kept = { subject, id, from, trace, ...change };
  const own =
    'seq' in message
      ? { seq: message.seq }
      : {
          respond: (body: Parameters<Ask['respond']>[0]) => message.respond(body),
          ...(message.handOn !== undefined && { handOn: () => message.handOn?.() }),
        };
  return { ...kept, ...own } as unknown as M;
}

/** The body as it came, with what was read from it. */
export function sameAs({ body, contentType }: Message, value: unknown): NonNullable<Made['change']> {
  return { body, contentType, value };
}

/** D1: of a body that may hold anything only its size is kept. */
export function withheld(message: Message, refusal: WireError | undefined): Made {
  const bytes = message.body.byteLength;
  const body = Buffer.from(JSON.stringify({ withheld: { bytes } }));
  return {
    change: { body, contentType: JSON_TYPE, ...(refusal !== undefined && { refusal }) },
    isPlain: true,
  };
}
