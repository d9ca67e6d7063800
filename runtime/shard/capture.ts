/** What a snapshot is made of, taken between two commits: references to immutable states, copies of small tables. */
import type { Parcel } from './mailer.ts';
import { type CapturedIds, captureIds } from './remembered-ids.ts';
import { pruneSenders } from './settle.ts';
import type { Tables } from './snapshot-format.ts';
import type { ShardState } from './state.ts';
import { type Cell, NOWHERE } from './table.ts';

export interface Capture {
  readonly tables: Tables;
  readonly cells: readonly { readonly cell: Cell; readonly frozen: Cell }[];
  readonly removed: readonly string[];
  readonly ids: CapturedIds | undefined;
}

/** N1: call only when no commit is in flight. The dirty set starts anew. */
export function capture(state: ShardState, parcels: readonly Parcel[]): Capture {
  pruneSenders(state);
  const cells: { cell: Cell; frozen: Cell }[] = [];
  for (const cell of state.actors.dirty) {
    cell.dirty = false;
    cells.push({ cell, frozen: freeze(cell) });
  }
  const removed = [...state.actors.removed];
  state.needs.captured(state.actors.versions.keys());
  state.actors.dirty = new Set();
  state.actors.removed = new Set();
  return { tables: tablesOf(state, parcels), cells, removed, ids: captureIds(state) };
}

/** Puts a capture back that could not be written. */
export function restoreCapture(state: ShardState, taken: Capture): void {
  for (const { cell } of taken.cells) {
    if (state.actors.peek(cell.address) === cell && !cell.dirty) {
      cell.dirty = true;
      state.actors.dirty.add(cell);
    }
  }
  for (const address of taken.removed) {
    const slot = state.actors.peek(address);
    // One with a place was begun anew and is written: only what came after it, a merge, failed.
    const isWritten = typeof slot === 'number' || (slot !== undefined && slot.location !== NOWHERE);
    if (!isWritten) state.actors.removed.add(address);
  }
}

/** A cell as it is now, apart from what later steps do to the original. */
function freeze(cell: Cell): Cell {
  return {
    ...cell,
    timers: cell.timers === undefined ? undefined : new Map(cell.timers),
    effects: cell.effects === undefined ? undefined : new Map(cell.effects),
    children: cell.children === undefined ? undefined : new Map(cell.children),
  };
}

function tablesOf(state: ShardState, parcels: readonly Parcel[]): Tables {
  return {
    index: state.index,
    prev: state.prev,
    seq: state.seq,
    at: state.at,
    epoch: state.epoch,
    consumed: state.consumed,
    acted: state.acted,
    idsFromSeq: state.dedupe.fromSeq,
    senders: [...state.senders],
    localMail: [...state.localMail.values()],
    marks: [...state.marks],
    sent: [...state.sent],
    parcels,
    versions: [...state.actors.versions],
  };
}
