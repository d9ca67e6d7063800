/**
 * A key-value bucket of the server: rows with revisions that only grow and with times to live, and those who watch it.
 *
 * B3  A row is written by compare-and-swap only where it is absent or has the revision expected.
 * B4  A watcher hears the rows as they are and then each change in order, through every break; of several changes of a
 *     row while it could not be told, the last.
 */
import type { LeaseRow } from '#runtime/claims/lease-store';
import type { World } from './world.ts';

export type Heard = (key: string, row: LeaseRow | undefined) => void;

interface Row extends LeaseRow {
  readonly expire: () => void;
}

interface Watcher {
  readonly prefix: string;
  /** Not told yet, the oldest first. */
  readonly pending: Map<string, LeaseRow | undefined>;
  /** False where it cannot be told now. */
  readonly hand: (key: string, row: LeaseRow | undefined) => boolean;
}

export class Rows {
  readonly #world: World;
  readonly #name: string;
  readonly #rows = new Map<string, Row>();
  readonly #watchers = new Set<Watcher>();
  #revision = 0;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  get(key: string): LeaseRow | undefined {
    const row = this.#rows.get(key);
    return row === undefined ? undefined : { value: row.value, revision: row.revision };
  }

  /** B3. Undefined where the row has another revision; undefined as `expected`: where it is there. */
  swap(key: string, value: string, expected: number | undefined, ttlMs: number): number | undefined {
    return this.#rows.get(key)?.revision === expected ? this.put(key, value, ttlMs) : undefined;
  }

  put(key: string, value: string, ttlMs: number | undefined): number {
    this.#rows.get(key)?.expire();
    const revision = ++this.#revision;
    const expire =
      ttlMs === undefined ? () => {} : this.#world.after(ttlMs, () => this.remove(key, revision));
    this.#rows.set(key, { value, revision, expire });
    this.#world.note(`${this.#name} ${key} ${revision} ${value}`);
    this.#tell(key, { value, revision });
    return revision;
  }

  /** Removes a row, of one revision where that is said. */
  remove(key: string, revision?: number): void {
    const row = this.#rows.get(key);
    if (row === undefined || (revision !== undefined && row.revision !== revision)) return;
    row.expire();
    this.#rows.delete(key);
    this.#world.note(`${this.#name} ${key} freed`);
    this.#tell(key, undefined);
  }

  /** B4. Returns what ends it. */
  watch(prefix: string, hand: Watcher['hand']): () => void {
    const watcher: Watcher = { prefix, pending: new Map(), hand };
    for (const [key, { value, revision }] of this.#rows)
      if (key.startsWith(prefix)) watcher.pending.set(key, { value, revision });
    this.#watchers.add(watcher);
    flush(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Tells what can be told. */
  pump(): void {
    for (const watcher of this.#watchers) flush(watcher);
  }

  #tell(key: string, row: LeaseRow | undefined): void {
    for (const watcher of this.#watchers) {
      if (!key.startsWith(watcher.prefix)) continue;
      watcher.pending.delete(key);
      watcher.pending.set(key, row);
      flush(watcher);
    }
  }
}

function flush({ pending, hand }: Watcher): void {
  for (const [key, row] of pending) {
    if (!hand(key, row)) return;
    pending.delete(key);
  }
}
