/** Snapshot pages, and the way from a page back to a live actor. */
import { decode, encode } from '#runtime/bus/codec';
import type { LiveState, Machine, MachineRegistry } from '#runtime/machine/types';
import type { ActorRecord } from '#schemas/commit';
import { toWireError } from '#schemas/fabric-error';
import type { BlobStore } from './ports.ts';
import { damaged, pageName, readHashed } from './snapshot-format.ts';
import type { ShardState } from './state.ts';
import { type Cell, type Location, PAGES_PER_SEGMENT_MAX } from './table.ts';

/** Pages kept decoded: a burst of messages to cold actors of one page reads it once. */
const PAGES_CACHED_MAX = 16;
/** That of no page. */
const NO_HASH = new Uint8Array(32);

export function recordOf(cell: Cell): ActorRecord {
  return {
    address: cell.address,
    machine: cell.machine.ref,
    state: cell.machine.persist(cell.state),
    ...(cell.failed !== undefined && { failed: cell.failed }),
    ...(cell.parent !== undefined && { parent: cell.parent }),
    ...(cell.timers !== undefined && { timers: [...cell.timers.values()] }),
    ...(cell.effects !== undefined && { effects: [...cell.effects.values()] }),
    ...(cell.children !== undefined && { children: [...cell.children] }),
    touchedAt: cell.touchedAt,
  };
}

export function cellOf(record: ActorRecord, location: Location, registry: MachineRegistry): Cell {
  const machine = registry.byRef(record.machine);
  return {
    ...bareCell(record, location),
    machine,
    state: machine.restore(record.state),
    failed: record.failed,
  };
}

function bareCell(record: ActorRecord, location: Location): Omit<Cell, 'machine' | 'state' | 'failed'> {
  return {
    address: record.address,
    parent: record.parent,
    timers: record.timers === undefined ? undefined : new Map(record.timers.map((t) => [t.id, t])),
    effects: record.effects === undefined ? undefined : new Map(record.effects.map((e) => [e.key, e])),
    children: record.children === undefined ? undefined : new Map(record.children),
    touchedAt: record.touchedAt,
    dirty: false,
    location,
  };
}

/**
 * An actor that cannot be brought back (its machine is gone, or does not know its data) is failed, and only it: what it
 * holds is kept as it is, for the day its machine is there again.
 */
export function cellOrBroken(record: ActorRecord, location: Location, registry: MachineRegistry): Cell {
  try {
    return cellOf(record, location, registry);
  } catch (thrown) {
    const failed = toWireError(thrown);
    const state: LiveState = {
      status: 'error',
      value: null,
      context: null,
      error: failed,
      raw: record.state,
    };
    const [name = record.machine, version = '0'] = record.machine.split('@');
    const machine: Machine = {
      name,
      version: Number(version),
      ref: record.machine,
      events: undefined,
      initial: () => {
        throw thrown;
      },
      step: () => {
        throw thrown;
      },
      persist: () => record.state,
      restore: () => state,
    };
    return { ...bareCell(record, location), machine, state, failed };
  }
}

export function encodePage(records: readonly ActorRecord[]): Uint8Array {
  return encode(records);
}

export class Hydrator {
  readonly #shard: number;
  readonly #blobs: BlobStore;
  readonly #pages = new Map<Location, Map<string, ActorRecord>>();
  readonly #segments: { readonly name: string; readonly hashes: readonly Uint8Array[] }[] = [];

  constructor(shard: number, blobs: BlobStore) {
    this.#shard = shard;
    this.#blobs = blobs;
  }

  /** The number under which locations of a segment are kept in this process. `hashes` are the SHA-256 of its pages. */
  register(name: string, hashes: readonly Uint8Array[]): number {
    return this.#segments.push({ name, hashes }) - 1;
  }

  /** Brings every passivated actor among the addresses back into the table. Throws `snapshot_damaged`. */
  async hydrate(state: ShardState, addresses: ReadonlySet<string> | readonly string[]): Promise<void> {
    const byPage = new Map<Location, string[]>();
    for (const address of addresses) {
      const slot = state.actors.peek(address);
      if (typeof slot !== 'number') continue;
      const wanted = byPage.get(slot);
      if (wanted === undefined) byPage.set(slot, [address]);
      else wanted.push(address);
    }
    if (byPage.size === 0) return;
    for (const [location, wanted] of byPage) {
      const page = await this.page(location);
      for (const address of wanted) {
        const record = page.get(address);
        if (record === undefined) throw damaged(this.#pageName(location), `does not hold ${address}`);
        if (state.actors.peek(address) === location) this.#admit(state, record, location);
      }
    }
    // A merge may have moved some of them to another page meanwhile.
    await this.hydrate(state, addresses);
  }

  /** The records of one page, by address. */
  async page(location: Location): Promise<Map<string, ActorRecord>> {
    const cached = this.#pages.get(location);
    if (cached !== undefined) return cached;
    const hash = this.#segmentOf(location)?.hashes[location % PAGES_PER_SEGMENT_MAX] ?? NO_HASH;
    const records = decode(await readHashed(this.#blobs, this.#pageName(location), hash)) as ActorRecord[];
    const page = new Map(records.map((r) => [r.address, r]));
    const oldest = this.#pages.keys().next();
    if (this.#pages.size >= PAGES_CACHED_MAX && !oldest.done) this.#pages.delete(oldest.value);
    this.#pages.set(location, page);
    return page;
  }

  #admit(state: ShardState, record: ActorRecord, location: Location): void {
    const cell = cellOrBroken(record, location, state.registry);
    state.actors.put(cell);
    for (const timer of cell.timers?.values() ?? []) state.timers.add(timer);
    for (const effect of cell.effects?.values() ?? []) state.effects.set(effect.key, effect);
  }

  #segmentOf(
    location: Location,
  ): { readonly name: string; readonly hashes: readonly Uint8Array[] } | undefined {
    return this.#segments[Math.floor(location / PAGES_PER_SEGMENT_MAX)];
  }

  #pageName(location: Location): string {
    return pageName(
      this.#shard,
      this.#segmentOf(location)?.name ?? 'unknown',
      location % PAGES_PER_SEGMENT_MAX,
    );
  }
}
