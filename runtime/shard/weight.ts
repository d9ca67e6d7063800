/** Upper bounds of what the parts of a commit take in it, bytes. */
import type { EffectRecord, Entry, Mail, TimerRecord } from '#schemas/commit';
import { estimateBytes } from './size.ts';
import { senderOf } from './work.ts';

/** Fixed cost of a part beside its payload, bytes. */
const OVERHEAD_BYTES = 256;

export function entryBytes(entry: Entry): number {
  return (
    OVERHEAD_BYTES +
    causeBytes(entry) +
    estimateBytes(entry.event) +
    estimateBytes(entry.raw) +
    estimateBytes(entry.before) +
    estimateBytes(entry.after) +
    estimateBytes(entry.reply) +
    estimateBytes(entry.input) +
    estimateBytes(entry.error) +
    estimateBytes(entry.log) +
    estimateBytes(entry.policy)
  );
}

export function mailBytes({ event, input }: Mail): number {
  return OVERHEAD_BYTES + estimateBytes(event) + estimateBytes(input);
}

/** What cancels something is small beside the entry that did it. */
export function timerBytes(timer: TimerRecord): number {
  return 'cancel' in timer ? 0 : OVERHEAD_BYTES + estimateBytes(timer.event);
}

export function effectBytes(effect: EffectRecord): number {
  return 'cancel' in effect ? 0 : OVERHEAD_BYTES + estimateBytes(effect.input);
}

/** What a list that only grows weighs. Counted when asked, what came since the last time: a fold never asks. */
export class Scale<T> {
  readonly #list: readonly T[];
  readonly #bytesOf: (item: T) => number;
  #bytes = 0;
  #counted = 0;

  constructor(list: readonly T[], bytesOf: (item: T) => number) {
    this.#list = list;
    this.#bytesOf = bytesOf;
  }

  get bytes(): number {
    for (; this.#counted < this.#list.length; this.#counted += 1) {
      this.#bytes += this.#bytesOf(this.#list[this.#counted] as T);
    }
    return this.#bytes;
  }
}

/** Ids, names and traces come from outside and may be long. */
function causeBytes({ cause, trace }: Entry): number {
  const id = 'id' in cause ? (cause.id?.length ?? 0) : 0;
  return 3 * (id + (senderOf(cause)?.length ?? 0) + (trace?.length ?? 0));
}
