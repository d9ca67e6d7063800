/** What one commit gathers while its works are stepped. */

import type { EventData } from '#runtime/machine/types';
import type { EffectRecord, Entry, Mail, TimerRecord } from '#schemas/commit';
import type { Cell } from './table.ts';

/** Fixed cost of an entry beside its payload, bytes. */
export const ENTRY_OVERHEAD_BYTES = 256;

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
  /** Upper bound of the commit's size so far. */
  bytes = 0;

  constructor(index: number, at: number) {
    this.index = index;
    this.at = at;
  }

  emit(actor: string, event: EventData): void {
    this.events.push({ actor, name: event.type, body: event });
  }
}
