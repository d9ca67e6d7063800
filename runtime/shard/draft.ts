/** What one commit gathers while its works are stepped. */

import type { EventData } from '#runtime/machine/types';
import type { EffectRecord, Entry, Mail, TimerRecord } from '#schemas/commit';
import type { Cell } from './table.ts';
import { effectBytes, entryBytes, mailBytes, Scale, timerBytes } from './weight.ts';

export interface LiveEvent {
  readonly actor: string;
  readonly name: string;
  readonly body: unknown;
}

export class Draft {
  readonly index: number;
  readonly at: number;
  readonly entries: Entry[] = [];
  readonly mail: Mail[] = [];
  readonly effects: EffectRecord[] = [];
  readonly timers: TimerRecord[] = [];
  readonly events: LiveEvent[] = [];
  /** Cells whose state this commit may have changed, in order of first touch: what the digest covers. */
  readonly touched = new Set<Cell>();
  readonly #entries = new Scale(this.entries, entryBytes);
  readonly #mail = new Scale(this.mail, mailBytes);
  readonly #effects = new Scale(this.effects, effectBytes);
  readonly #timers = new Scale(this.timers, timerBytes);

  constructor(index: number, at: number) {
    this.index = index;
    this.at = at;
  }

  /** Upper bound of the commit's size so far. */
  get bytes(): number {
    return this.#entries.bytes + this.#mail.bytes + this.#effects.bytes + this.#timers.bytes;
  }

  emit(actor: string, event: EventData): void {
    this.events.push({ actor, name: event.type, body: event });
  }
}
