/**
 * What a shard takes over from the shards of another numbering.
 *
 * U1  An import counts as a whole or not at all: its parts are put aside until an epoch record says which.
 * U2  One that counts replaces all that the shard held: what it held before is in an import too, of this shard or of
 *     another.
 */
import type { Commit, Import } from '#schemas/commit';
import { cellOrBroken } from './hydrate.ts';
import type { ShardState } from './state.ts';
import { type Cell, NOWHERE } from './table.ts';

/** What was put aside. */
export interface Incoming {
  readonly to: number;
  readonly cells: Cell[];
  readonly senders: Import['senders'][number][];
  isWhole: boolean;
}

/** Puts a part aside (U1). Gives its actors: the digest of the commit is over them. */
export function putAside(state: ShardState, { to, part, actors, senders, total }: Import): readonly Cell[] {
  if (part === 0) state.incoming = { to, cells: [], senders: [], isWhole: false };
  const cells = actors.map((record) => cellOrBroken(record, NOWHERE, state.registry));
  if (state.incoming === undefined) return cells;
  for (const cell of cells) state.incoming.cells.push(cell);
  for (const sender of senders) state.incoming.senders.push(sender);
  state.incoming.isWhole = total !== undefined;
  return cells;
}

/** After an epoch record: what was put aside counts now, or never. */
export function takeOver(state: ShardState, { shards }: Pick<Commit, 'shards'>): void {
  const { incoming } = state;
  state.incoming = undefined;
  if (incoming === undefined || !incoming.isWhole || shards !== incoming.to) return;
  // U2.
  const { actors, timers, effects, senders, localMail, marks, sent } = state;
  actors.clear();
  timers.clear();
  for (const table of [effects, senders, localMail, marks, sent]) table.clear();
  for (const cell of incoming.cells) {
    actors.put(cell);
    actors.touch(cell, cell.touchedAt);
    for (const timer of cell.timers?.values() ?? []) timers.add(timer);
    for (const effect of cell.effects?.values() ?? []) effects.set(effect.key, effect);
  }
  for (const [key, mark] of incoming.senders) senders.set(key, mark);
}

/** The message ids that commits in a row have answered, imported ones with the epoch record that lets them count. */
export class IdsOfLog {
  #aside: Import['ids'][number][] = [];

  /** There are ids that count once a commit says so. */
  get isWaiting(): boolean {
    return this.#aside.length > 0;
  }

  in({ entries, import: taken, node, shards }: Commit, seq: number): Import['ids'] {
    if (taken !== undefined) {
      if (taken.part === 0) this.#aside = [];
      for (const id of taken.ids) this.#aside.push(id);
    }
    const found: Import['ids'][number][] = [];
    if (node !== undefined) {
      if (shards !== undefined) found.push(...this.#aside);
      this.#aside = [];
    }
    for (const { cause, actor } of entries) {
      if ((cause.kind === 'ask' || cause.kind === 'inbox') && cause.id !== undefined) {
        found.push([cause.from ?? null, actor, cause.id, seq]);
      }
    }
    return found;
  }
}
