/** Which fields of a kind's events are personal, and whose: as a config says it, and as the doors know it. */
import { z } from 'zod';
import { ifMessageSchema } from './if-message.ts';

/** JSON Schema keyword, and zod `.meta({ 'x-personal': true })`, that marks a field personal. */
export const PERSONAL_KEYWORD = 'x-personal';
/** Marks of one kind: a kind with more wants one mark higher up. */
export const PERSONAL_FIELDS_MAX = 256;
/** A subject names a row of the key bucket and stands in every value sealed for it. */
export const SUBJECT_CHARS_MAX = 256;
/** Type of the actors that redact: one for each subject, `redaction/<hash of the subject>`. */
export const REDACTION_TYPE = 'redaction';
export const REDACTION_MACHINE = 'redaction@1';
/** Driver by which they reach the key bucket; it serves no other actor. */
export const PRIVACY_DRIVER = 'privacy';

const SUBJECT = /^(?:actor|(?:\/(?:[^~/]|~[01])*)+)$/;
const POINTER = /^(?:\/(?:[^~/]|~[01])*)+$/;

const fieldPointer = z
  .string()
  .max(1_000)
  .regex(POINTER, { error: 'expected a JSON Pointer such as /name or /contacts/*/email' })
  .refine((pointer) => sealingProblem(pointer) === undefined, {
    error: (issue) => sealingProblem(String(issue.input)) ?? 'cannot be sealed',
  });

/** Fields of an IFMessage that the fabric reads: only its content can be sealed. */
const ENVELOPE = new Set([
  '',
  '*',
  ...Object.keys(ifMessageSchema.shape).filter((name) => name !== 'content'),
]);

/** Why a field cannot be sealed; undefined where it can. */
export function sealingProblem(pointer: string): string | undefined {
  const [, first, second = ''] = pointer.split('/');
  if (pointer === '/type') return 'the type of an event decides who hears it: it cannot be sealed';
  if (first === 'message' && ENVELOPE.has(second)) {
    return 'of an IFMessage only what lies under /message/content can be sealed';
  }
  return undefined;
}

/** True for `actor`, and for a JSON Pointer. */
export function isSubjectRule(text: string): boolean {
  return SUBJECT.test(text);
}

export const personalSchema = z
  .strictObject({
    subject: z
      .string()
      .max(1_000)
      .regex(SUBJECT, { error: 'expected actor, or a JSON Pointer such as /customer/id' })
      .optional()
      .describe(
        'Whose data it is: `actor`, the address of the actor itself (the default), or a JSON Pointer to the field of the event that names the person.',
      ),
    fields: z
      .array(fieldPointer)
      .max(PERSONAL_FIELDS_MAX)
      .default([])
      .describe(
        'JSON Pointers to the fields of its events that are encrypted; `*` stands for any item or key. Of an IFMessage `/message/content/…`, of the result of an effect `/output/…`.',
      ),
    sends: z
      .enum(['seal', 'refuse'])
      .default('seal')
      .describe(
        'Sends that come with plain personal fields: sealed and erased from the inbox once taken, or refused so that their senders learn to ask, or to seal before they send.',
      ),
  })
  .describe('Fields of a kind’s events that are personal: encrypted under a key of the person.');

/** Fields of one kind, from its config and the schemas of its machine. Pointers are JSON Pointers with `*`. */
export interface PersonalRules {
  /** `actor`, or a pointer into the event. */
  readonly subject: string;
  /** Of events of every type. */
  readonly fields: readonly string[];
  /** Of events of one type, beside `fields`. An event of a type that is not here is held against all of them. */
  readonly events: Readonly<Record<string, readonly string[]>>;
  readonly sends: 'seal' | 'refuse';
}

/** What the redaction machine wants done with the key of a subject. */
export const redactionOrderSchema = z.strictObject({
  op: z.enum(['destroy', 'readmit']),
  subject: z.string().min(1).max(SUBJECT_CHARS_MAX),
});

export type RedactionOrder = z.infer<typeof redactionOrderSchema>;

/** What an operator says to a redaction actor. */
export const redactionEventSchema = z.strictObject({
  type: z.enum(['redact', 'readmit']),
  subject: z.string().min(1).max(SUBJECT_CHARS_MAX),
  reason: z.string().min(1).max(2_000),
  /** Who says so. */
  by: z.string().min(1).max(200),
});

export type RedactionEvent = z.infer<typeof redactionEventSchema>;

/** What a redaction actor remembers. */
export interface RedactionContext {
  readonly subject: string | null;
  /** Newest last; a subject is redacted once, and again after each readmission. */
  readonly orders: readonly {
    readonly type: RedactionEvent['type'];
    readonly reason: string;
    readonly by: string;
    /** When the order was given, ms since the epoch. */
    readonly at: number;
  }[];
  /** When the key was destroyed, ms since the epoch; null while there is one. */
  readonly destroyedAt: number | null;
  /** Attempts that failed since the order. */
  readonly failures: number;
}
