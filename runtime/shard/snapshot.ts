/**
 * Incremental snapshots: each writes only the actors changed since the one before, as a segment of pages, then one
 * manifest that names every live segment. Small segments are merged. All of it beside the loop, in slices.
 *
 * N1  A snapshot holds the state after one stored commit and nothing newer (never ahead of the log).
 * N2  The manifest is written last; until then the one before it is whole and everything it names exists.
 * N3  What a manifest no longer names is deleted only after that manifest is stored and a later commit has proved
 *     that this node still owned the shard: a later owner then reads the newer manifest.
 * N4  A paused former owner that wakes up can overwrite nothing of a later one: every name carries the epoch.
 */
import { decode, encode } from '#runtime/bus/codec';
import { FabricError } from '#schemas/fabric-error';
import { shardErrors } from './errors.ts';
import { type ActorRecord, encodePage, type Hydrator, pageName, recordOf } from './hydrate.ts';
import type { Parcel } from './mailer.ts';
import type { BlobStore } from './ports.ts';
import { pruneSenders } from './settle.ts';
import type { LocalMail, MailMark, SenderMark, ShardState } from './state.ts';
import { type Cell, type Location, PAGES_PER_SEGMENT_MAX } from './table.ts';

/** Actors a page holds at most: a cold actor costs one page read. */
const PAGE_ACTORS_MAX = 256;
/** More segments than this are merged, smallest first. */
const SEGMENTS_MAX = 8;
const SNAPSHOT_FORMAT = 1;

export interface Segment {
  readonly name: string;
  readonly pages: number;
  readonly actors: number;
}

export interface Manifest {
  readonly format: number;
  readonly index: number;
  readonly tables: string;
  readonly segments: readonly Segment[];
}

/** Everything of a shard but its actors. */
export interface Tables {
  readonly index: number;
  readonly prev: Uint8Array;
  readonly seq: number;
  readonly at: number;
  readonly epoch: number;
  readonly consumed: number;
  readonly acted: number;
  /** Where the remembered message ids begin in the log; 0: there are none. */
  readonly idsFromSeq: number;
  readonly senders: readonly (readonly [string, SenderMark])[];
  readonly localMail: readonly LocalMail[];
  readonly marks: readonly (readonly [number, MailMark])[];
  readonly sent: readonly (readonly [number, number])[];
  readonly parcels: readonly Parcel[];
}

/** Which actors a segment holds: addresses by page, which of them must be resident, and which are gone. */
export interface SegmentIndex {
  readonly pages: readonly (readonly string[])[];
  readonly hot: readonly string[];
  readonly removed: readonly string[];
}

/** One manifest an epoch: a paused former owner can overwrite only its own. */
function manifestName(shard: number, epoch: number): string {
  return `snapshot/${shard}/manifest-${String(epoch).padStart(12, '0')}`;
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
  };
}

/** What was captured between two commits; cheap: references to immutable states, copies of small tables. */
export interface Capture {
  readonly tables: Tables;
  readonly cells: readonly { readonly cell: Cell; readonly frozen: Cell }[];
  readonly removed: readonly string[];
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
  state.actors.dirty = new Set();
  state.actors.removed = new Set();
  return { tables: tablesOf(state, parcels), cells, removed };
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

/** Puts a capture back that could not be written. */
export function restoreCapture(state: ShardState, taken: Capture): void {
  for (const { cell } of taken.cells) {
    if (state.actors.peek(cell.address) === cell && !cell.dirty) {
      cell.dirty = true;
      state.actors.dirty.add(cell);
    }
  }
  for (const address of taken.removed) {
    if (state.actors.peek(address) === undefined) state.actors.removed.add(address);
  }
}

export class SnapshotWriter {
  readonly #shard: number;
  readonly #blobs: BlobStore;
  readonly #hydrator: Hydrator;
  #epoch = 0;
  #segments: readonly LiveSegment[] = [];
  #written = 0;
  #tables: string | undefined;
  /** Blobs that the stored manifest no longer names. */
  #garbage: string[] = [];

  constructor(shard: number, blobs: BlobStore, hydrator: Hydrator) {
    this.#shard = shard;
    this.#blobs = blobs;
    this.#hydrator = hydrator;
  }

  /**
   * Continues from the stored snapshot, as the owner of `epoch`: puts every actor of it into the table, passivated
   * unless it has timers or effects. Undefined where there is no snapshot. Throws `blob_missing`.
   */
  async load(state: ShardState, epoch: number): Promise<Tables | undefined> {
    this.#epoch = epoch;
    const prefix = `snapshot/${this.#shard}/manifest-`;
    const names = [...(await this.#blobs.list(prefix))].sort();
    const newest = names.at(-1);
    if (newest === undefined) return undefined;
    const manifest = decode(await this.#read(newest)) as Manifest;
    this.#tables = manifest.tables;
    this.#segments = manifest.segments.map((s) => ({ ...s, id: this.#hydrator.register(s.name) }));
    this.#garbage = names.filter((name) => name !== manifestName(this.#shard, epoch));
    const hot: string[] = [];
    for (const segment of this.#segments) {
      const index = await this.#readIndex(segment);
      for (const address of index.removed) state.actors.removeCold(address);
      for (const [page, addresses] of index.pages.entries()) {
        const location = segment.id * PAGES_PER_SEGMENT_MAX + page;
        for (const address of addresses) state.actors.putCold(address, location);
      }
      for (const address of index.hot) hot.push(address);
    }
    await this.#hydrator.hydrate(state, hot);
    return decode(await this.#read(manifest.tables)) as Tables;
  }

  /** Writes a capture and the manifest that makes it count; then merges where there are too many segments. */
  async write(state: ShardState, taken: Capture): Promise<void> {
    let segments = this.#segments;
    if (taken.cells.length > 0 || taken.removed.length > 0) {
      const segment = await this.#writeSegment(
        taken.tables.index,
        taken.cells.length,
        (at) => recordOf((taken.cells[at] as { frozen: Cell }).frozen),
        taken.removed,
      );
      segments = [...segments, segment];
      await this.#publish(taken.tables, segments);
      for (const [at, { cell }] of taken.cells.entries()) {
        const slot = state.actors.peek(cell.address);
        if (typeof slot === 'object') slot.location = locationOf(segment.id, at);
        // Removed meanwhile: the next snapshot must hide what this one holds.
        else if (slot === undefined) state.actors.removed.add(cell.address);
      }
    } else {
      await this.#publish(taken.tables, segments);
    }
    if (this.#segments.length > SEGMENTS_MAX) await this.#merge(state, taken.tables);
  }

  /**
   * Deletes what the manifest no longer names (N3). Call after a commit whose append began after the last `write`:
   * it proves that no later owner has read an older manifest.
   */
  async collectGarbage(): Promise<void> {
    const garbage = this.#garbage;
    this.#garbage = [];
    for (const name of garbage) await this.#blobs.delete(name);
  }

  get hasGarbage(): boolean {
    return this.#garbage.length > 0;
  }

  /** Rewrites the newest segments that together are no smaller than half of the one before them. */
  async #merge(state: ShardState, tables: Tables): Promise<void> {
    let from = this.#segments.length - 2;
    let actors = (this.#segments.at(-1)?.actors ?? 0) + (this.#segments[from]?.actors ?? 0);
    while (from > 0 && (this.#segments[from - 1]?.actors ?? 0) <= 2 * actors) {
      from -= 1;
      actors += this.#segments[from]?.actors ?? 0;
    }
    const merged = this.#segments.slice(from);
    // Only what the segments say counts here (N1): the table is ahead of them.
    const winners = new Map<string, Location>();
    const removed = new Set<string>();
    for (const segment of merged) {
      const index = await this.#readIndex(segment);
      for (const address of index.removed) {
        winners.delete(address);
        removed.add(address);
      }
      for (const [page, addresses] of index.pages.entries()) {
        for (const address of addresses) {
          winners.set(address, segment.id * PAGES_PER_SEGMENT_MAX + page);
          removed.delete(address);
        }
      }
    }
    const byPage = [...winners].sort((a, b) => a[1] - b[1]);
    const records: ActorRecord[] = [];
    for (const [address, location] of byPage) {
      const record = (await this.#hydrator.page(location)).get(address);
      if (record !== undefined) records.push(record);
    }
    // Nothing older is left to be hidden by a tombstone once the oldest segment takes part.
    const segment = await this.#writeSegment(
      tables.index,
      records.length,
      (at) => records[at] as ActorRecord,
      from === 0 ? [] : [...removed],
    );
    await this.#publish(tables, [...this.#segments.slice(0, from), segment]);
    for (const [at, [address, source]] of byPage.entries()) {
      const slot = state.actors.peek(address);
      if (typeof slot === 'object') {
        if (slot.location === source) slot.location = locationOf(segment.id, at);
      } else if (slot === source) state.actors.putCold(address, locationOf(segment.id, at));
    }
    for (const old of merged) {
      for (let page = 0; page < old.pages; page++) this.#garbage.push(pageName(this.#shard, old.name, page));
      this.#garbage.push(pageName(this.#shard, old.name, 'index'));
    }
  }

  async #writeSegment(
    index: number,
    count: number,
    record: (at: number) => ActorRecord,
    removed: readonly string[],
  ): Promise<LiveSegment> {
    // N4.
    const name = `${this.#epoch}-${index}-${this.#written++}`;
    const pages: string[][] = [];
    const hot: string[] = [];
    for (let from = 0; from < count; from += PAGE_ACTORS_MAX) {
      const records: ActorRecord[] = [];
      for (let at = from; at < Math.min(count, from + PAGE_ACTORS_MAX); at++) records.push(record(at));
      for (const r of records) if (r.timers !== undefined || r.effects !== undefined) hot.push(r.address);
      await this.#blobs.put(pageName(this.#shard, name, pages.length), encodePage(records));
      pages.push(records.map((r) => r.address));
    }
    const held: SegmentIndex = { pages, hot, removed };
    await this.#blobs.put(pageName(this.#shard, name, 'index'), encode(held));
    return { name, pages: pages.length, actors: count, id: this.#hydrator.register(name) };
  }

  /** N2. */
  async #publish(tables: Tables, segments: readonly LiveSegment[]): Promise<void> {
    const name = `snapshot/${this.#shard}/tables-${this.#epoch}-${tables.index}`;
    const old = this.#tables;
    if (name !== old) await this.#blobs.put(name, encode(tables));
    const manifest: Manifest = {
      format: SNAPSHOT_FORMAT,
      index: tables.index,
      tables: name,
      segments: segments.map(({ id: _, ...segment }) => segment),
    };
    await this.#blobs.put(manifestName(this.#shard, this.#epoch), encode(manifest));
    this.#segments = segments;
    this.#tables = name;
    if (old !== undefined && old !== name) this.#garbage.push(old);
  }

  async #readIndex(segment: Segment): Promise<SegmentIndex> {
    return decode(await this.#read(pageName(this.#shard, segment.name, 'index'))) as SegmentIndex;
  }

  async #read(name: string): Promise<Uint8Array> {
    const bytes = await this.#blobs.get(name);
    if (bytes !== undefined) return bytes;
    throw new FabricError(shardErrors.blob_missing, `The object store has no ${name}`, { details: { name } });
  }
}

interface LiveSegment extends Segment {
  readonly id: number;
}

/** Where the `at`th record of a segment lies. */
function locationOf(segment: number, at: number): Location {
  return segment * PAGES_PER_SEGMENT_MAX + Math.floor(at / PAGE_ACTORS_MAX);
}
