/**
 * What asks may name as the place of their answer.
 *
 * R1  A node answers with its own rights. So it never answers to a subject that only nodes or the server may write:
 *     an ask whose answer would be a commit, a key or an order to JetStream is dropped, and not handed on.
 */
import type { Msg } from '@nats-io/nats-core';
import type { Logger } from '#runtime/shard/ports';

/** Whoever sends many of them does not fill the log. */
const LOG_EVERY_MS = 1_000;
const SHOWN_LENGTH_MAX = 256;

/** Whether an answer may go to this subject (R1). */
export function isAnswerable(reply: string, prefix: string): boolean {
  return (
    reply !== '' &&
    !reply.startsWith('$') &&
    !reply.startsWith(`${prefix}.`) &&
    !reply.includes('*') &&
    !reply.includes('>')
  );
}

/** The door-keeper of one door. */
export class ReplyGuard {
  readonly #prefix: string;
  readonly #log: Logger;
  #dropped = 0;
  #quietUntil = 0;

  constructor(prefix: string, logger: Logger) {
    this.#prefix = prefix;
    this.#log = logger;
  }

  /** False, with a line in the log, for what must be dropped. A message that wants no answer may pass. */
  accepts({ subject, reply }: Msg): boolean {
    if (reply === undefined || reply === '' || isAnswerable(reply, this.#prefix)) return true;
    this.#dropped += 1;
    const now = performance.now();
    if (now < this.#quietUntil) return false;
    this.#quietUntil = now + LOG_EVERY_MS;
    const shown = (text: string): string => text.slice(0, SHOWN_LENGTH_MAX);
    this.#log.warn({ subject: shown(subject), reply: shown(reply), dropped: this.#dropped }, 'reply_refused');
    return false;
  }
}
