/** One operation on one actor: what every door boils down to, and what an entry of the log gives back at replay. */

import type { EventData } from '#runtime/machine/types';
import type { Cause, Entry, Mail, Operation, Parent } from '#schemas/commit';
import type { WireError } from '#schemas/fabric-error';
import type { EffectResult } from './ports.ts';
import { storageProblem } from './storable.ts';

export interface Work {
  readonly cause: Cause;
  readonly actor: string;
  readonly op: Operation;
  readonly event?: EventData;
  readonly machine?: string;
  readonly input?: unknown;
  readonly parent?: Parent;
  /** In the end of a child: which start of it ended. Not needed at replay, where a late end is a note. */
  readonly incarnation?: string;
  readonly trace?: string;
  readonly signed?: NonNullable<Entry['signed']>;
  readonly policy?: NonNullable<Entry['policy']>;
  /** Of a note: what its asker is told. */
  readonly reply?: unknown;
  readonly blob?: Entry['blob'];
  readonly raw?: Entry['raw'];
  /** Why it is dead before any machine saw it. */
  readonly error?: WireError;
  /** A delayed send that is due: its event goes to this address. Not needed at replay, where the mail is in the commit. */
  readonly forwardTo?: string;
  /** True where its machine's throw failed the actor (at replay). */
  readonly failed?: boolean;
}

/** A work while it is built, field by field: conditional spreads cost more than a step. */
export type DraftWork = { -readonly [K in keyof Work]: Work[K] };

/** The work that made an entry. `event` is the full event where the entry holds only its type. */
export function workOf(entry: Entry, event: unknown = entry.event): Work {
  const work: DraftWork = { cause: entry.cause, actor: entry.actor, op: entry.op ?? 'event' };
  if (event !== undefined) work.event = event as EventData;
  if (entry.machine !== undefined) work.machine = entry.machine;
  if (entry.input !== undefined) work.input = entry.input;
  if (entry.parent !== undefined) work.parent = entry.parent;
  if (entry.trace !== undefined) work.trace = entry.trace;
  if (entry.signed !== undefined) work.signed = entry.signed;
  if (entry.policy !== undefined) work.policy = entry.policy;
  if (entry.op === 'note' && entry.reply !== undefined) work.reply = entry.reply;
  if (entry.blob !== undefined) work.blob = entry.blob;
  if (entry.raw !== undefined) work.raw = entry.raw;
  // A step that ended its actor with an error is an event; only a dead one is refused again.
  if (entry.op === 'dead' && entry.error !== undefined) work.error = entry.error;
  if (entry.failed === true) work.failed = true;
  return work;
}

/** Names the sender of a cause, where there is one. */
export function senderOf(cause: Cause): string | undefined {
  return 'from' in cause ? cause.from : undefined;
}

/** The work that a mail asks for. */
export function workOfMail(mail: Mail, cause: Entry['cause']): Work {
  return {
    cause,
    actor: mail.to,
    op: mail.op ?? 'event',
    ...(mail.event !== undefined && { event: mail.event as EventData }),
    ...(mail.machine !== undefined && { machine: mail.machine }),
    ...(mail.input !== undefined && { input: mail.input }),
    ...(mail.parent !== undefined && { parent: mail.parent }),
    ...(mail.incarnation !== undefined && { incarnation: mail.incarnation }),
    ...(mail.trace !== undefined && { trace: mail.trace }),
  };
}

/** The work that an effect's result asks for. */
export function workOfResult(actor: string, invokeId: string | undefined, result: EffectResult): Work {
  const cause = { kind: 'effect' as const, key: result.key };
  if (invokeId === undefined) {
    // Nobody listens: a success is noted, a failure is dead.
    return result.ok
      ? { cause, actor, op: 'note' }
      : { cause, actor, op: 'event', error: storable(result.error) };
  }
  const event = result.ok
    ? { type: `xstate.done.actor.${invokeId}`, actorId: invokeId, output: result.output }
    : { type: `xstate.error.actor.${invokeId}`, actorId: invokeId, error: storable(result.error) };
  return { cause, actor, op: 'event', event };
}

/** What a driver failed with, as the log gives it back: texts cut in a character are mended in place. */
function storable(error: WireError): WireError {
  if (storageProblem(error) === undefined) return error;
  const { code, message, retryable } = error;
  return { code, message, retryable };
}

/** Tells a work apart from others, also after the shard folded anew and it came again. */
export function nameOf({ actor, cause }: Pick<Work, 'actor' | 'cause'>): string {
  return `${actor} ${JSON.stringify(cause)}`;
}
