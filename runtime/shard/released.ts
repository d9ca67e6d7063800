/**
 * Events that waited for somebody's word: how they go on. The actor that held one mails it to the actor that it was for,
 * which hears it as if it had just come from who asked.
 *
 * G1  Both events are the kernel's: from outside they are refused, so nobody speaks in another's name.
 * G2  The mail that releases it is delivered once, as all mail is.
 */
import type { EventData } from '#runtime/machine/types';
import { type PolicyNote, RELEASED_EVENT } from '#schemas/policy';
import type { Work } from './work.ts';

interface Released extends EventData {
  readonly from: string;
  readonly event: EventData;
  readonly note: PolicyNote;
}

/** The work that a released event means; any other as it is. */
export function released(work: Work): Work {
  const { event, cause } = work;
  if (event?.type !== RELEASED_EVENT || cause.kind !== 'mail') return work;
  const { from, event: inner, note } = event as Released;
  return { ...work, event: inner, cause: { ...cause, from }, policy: note };
}
