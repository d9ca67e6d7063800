/**
 * IFMessage: the signed envelope between workers. A machine hears it as the event `if.<performative>` with the whole
 * envelope in `message`.
 *
 * The signature covers the RFC 8785 bytes of every field but `signature` as they came, so check it on the received
 * object, before `ifMessageSchema.parse`, which fills in the ttl.
 */
import { z } from 'zod';

export const PERFORMATIVES = [
  'request',
  'inform',
  'agree',
  'refuse',
  'query-if',
  'query-ref',
  'propose',
  'contradict',
  'escalate',
  'share',
  'hold',
] as const;

/** Seconds a message stays valid unless it says otherwise. */
export const TTL_S_DEFAULT = 300;
export const TTL_S_MAX = 3_600;
/** Receivers of one message: a message for more of them is a broadcast and belongs on a topic. */
export const RECEIVERS_MAX = 64;
export const CITATIONS_MAX = 64;

const ACTOR_URI = /^if:\/\/[a-z][a-z0-9-]{0,30}\/[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,199}$/;

export const actorUriSchema = z.string().regex(ACTOR_URI, { error: 'expected an address if://type/id' });

export const hazardSchema = z.strictObject({
  type: z.string().min(1).max(100).describe('`security`, `budget`, `safety` …'),
  severity: z.enum(['low', 'medium', 'high', 'critical']),
  autoEscalate: z.boolean().default(false).describe('Escalate without weighing the confidence.'),
  rationale: z.string().max(2_000).optional(),
});

export const signatureSchema = z.strictObject({
  alg: z.literal('Ed25519'),
  kid: z.string().min(1).max(200).describe('Key id in the realm’s key registry.'),
  sig: z
    .string()
    .regex(/^[A-Za-z0-9_-]{86}$/, { error: 'expected 64 bytes in base64url without padding' })
    .describe('Signature over the RFC 8785 bytes of every other field; base64url.'),
});

export const ifMessageSchema = z
  .strictObject({
    id: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/, { error: 'expected 1–128 letters, digits and . _ : -' })
      .describe('Unique and ordered by time (UUIDv7, ULID).'),
    ts: z.iso
      .datetime({ offset: true, precision: 3 })
      .describe('When it was sent: RFC 3339 with milliseconds.'),
    performative: z.enum(PERFORMATIVES),
    from: actorUriSchema,
    to: z.array(actorUriSchema).min(1).max(RECEIVERS_MAX),
    conversation: z.string().min(1).max(200),
    seq: z.int().min(1).describe('Per sender, from 1, one more each.'),
    ttl: z.int().min(1).max(TTL_S_MAX).default(TTL_S_DEFAULT).describe('Seconds it stays valid.'),
    content: z.unknown().optional(),
    topic: z.string().min(1).max(200).optional(),
    citations: z.array(z.string().min(1).max(2_000)).max(CITATIONS_MAX).optional(),
    hazard: hazardSchema.optional(),
    confidence: z.number().min(0).max(1).optional(),
    traceparent: z
      .string()
      .regex(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, { error: 'expected a W3C traceparent' })
      .optional(),
    signature: signatureSchema.optional(),
  })
  .describe('The envelope between workers.');

export type Performative = (typeof PERFORMATIVES)[number];
export type IFMessage = z.infer<typeof ifMessageSchema>;
/** As it is sent: the ttl may be left out. */
export type IFMessageInput = z.input<typeof ifMessageSchema>;

/** The event a machine hears for a message. */
export interface IFEvent {
  readonly type: `if.${Performative}`;
  readonly message: IFMessage;
}

/**
 * The message that an event is. Only events of these names come from a gate: a `message` in any other is what somebody wrote there,
 * and proves nothing.
 */
export function messageOf(event: { readonly type: string; readonly [field: string]: unknown }) {
  return event.type.startsWith('if.') ? (event['message'] as IFMessage | undefined) : undefined;
}

/** The event of a message: `if.request` for a request. */
export function toEvent(message: IFMessage): IFEvent {
  return { type: `if.${message.performative}`, message };
}
