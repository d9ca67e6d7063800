/**
 * The actors of a shard in memory. A resident actor is a cell; a passivated one is only the number of the snapshot
 * page that holds it.
 */

import type { LiveState, Machine } from '#runtime/machine/types';
import type { Parent } from '#schemas/commit';
import type { WireError } from '#schemas/fabric-error';
import type { PendingEffect } from './ports.ts';

/** Where a cell is stored: segment × {@link PAGES_PER_SEGMENT_MAX} + page; −1 when in no snapshot yet. */
export type Location = number;
export const NOWHERE: Location = -1;
/** 2^20 pages of 256 actors: more than a shard can hold. */
export const PAGES_PER_SEGMENT_MAX = 1 << 20;

export interface PendingTimer {
  readonly actor: string;
  readonly id: string;
  readonly dueAt: number;
  readonly event: unknown;
  /** Delayed mail goes here instead of to the actor itself. */
  readonly to?: string;
}

export interface Child {
  readonly address: string;
  /** The start that is waited for: the late end of one before it means nothing. */
  readonly incarnation: string;
}

/** One resident actor. Tables are absent while empty: most actors have none. */
export interface Cell {
  readonly address: string;
  machine: Machine;
  state: LiveState;
  /** Set where the kernel failed the actor because its machine threw. */
  failed: WireError | undefined;
  parent: Parent | undefined;
  timers: Map<string, PendingTimer> | undefined;
  effects: Map<string, PendingEffect> | undefined;
  /** Actors it spawned, by child id. */
  children: Map<string, Child> | undefined;
  /** Time of the last commit that touched it, ms since the epoch. */
  touchedAt: number;
  /** Changed since it was last written to a snapshot. */
  dirty: boolean;
  location: Location;
}

export class ActorTable {
  readonly #slots = new Map<string, Cell | Location>();
  /** Cells changed since the last snapshot. */
  dirty = new Set<Cell>();
  /**
   * Actors removed since the last snapshot that a snapshot still holds, begun again or not: the next one hides what the
   * older ones hold, and then says what lives.
   */
  removed = new Set<string>();
  resident = 0;
  /** Actors on each machine version, passivated ones included. */
  readonly versions = new Map<string, number>();

  get size(): number {
    return this.#slots.size;
  }

  /** The cell, its location where it is passivated, or undefined. */
  peek(address: string): Cell | Location | undefined {
    return this.#slots.get(address);
  }

  /** A resident cell. Passivated actors must have been hydrated before. */
  cell(address: string): Cell | undefined {
    const slot = this.#slots.get(address);
    if (typeof slot === 'number') throw new Error(`invariant: ${address} was stepped before it was hydrated`);
    return slot;
  }

  put(cell: Cell): void {
    const old = this.#slots.get(cell.address);
    if (typeof old === 'object') {
      this.dirty.delete(old);
      this.#count(old.machine, -1);
    } else this.resident += 1;
    // One that comes back from a snapshot is counted already.
    if (typeof old !== 'number') this.#count(cell.machine, 1);
    this.#slots.set(cell.address, cell);
  }

  putCold(address: string, location: Location): void {
    if (typeof this.#slots.get(address) === 'object') this.resident -= 1;
    this.#slots.set(address, location);
  }

  touch(cell: Cell, at: number): void {
    cell.touchedAt = at;
    if (cell.dirty) return;
    cell.dirty = true;
    this.dirty.add(cell);
  }

  /** Puts an actor on another version of its machine. */
  migrate(cell: Cell, next: Machine): void {
    this.#count(cell.machine, -1);
    cell.machine = next;
    this.#count(next, 1);
  }

  remove(cell: Cell): void {
    this.#slots.delete(cell.address);
    this.#count(cell.machine, -1);
    this.dirty.delete(cell);
    this.resident -= 1;
    if (cell.location !== NOWHERE) this.removed.add(cell.address);
  }

  /** Forgets an actor known only by its location. */
  removeCold(address: string): void {
    this.#slots.delete(address);
  }

  /** Takes every actor out; those that a snapshot still holds are removed from it with the next. */
  clear(): void {
    for (const [address, slot] of this.#slots) {
      if (typeof slot === 'number' || slot.location !== NOWHERE) this.removed.add(address);
    }
    this.#slots.clear();
    this.dirty.clear();
    this.versions.clear();
    this.resident = 0;
  }

  entries(): IterableIterator<[string, Cell | Location]> {
    return this.#slots.entries();
  }

  *cells(): Iterable<Cell> {
    for (const slot of this.#slots.values()) if (typeof slot === 'object') yield slot;
  }

  #count({ ref }: Machine, by: 1 | -1): void {
    const count = (this.versions.get(ref) ?? 0) + by;
    if (count > 0) this.versions.set(ref, count);
    else this.versions.delete(ref);
  }
}

/** Idle means that nothing but a message can wake it: safe to passivate. */
export function isIdle(cell: Cell): boolean {
  return !cell.dirty && cell.timers === undefined && cell.effects === undefined;
}

export function statusOf(cell: Cell): LiveState['status'] {
  return cell.failed === undefined ? cell.state.status : 'error';
}
