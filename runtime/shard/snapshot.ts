/**
 * Incremental snapshots: each writes only the actors changed since the one before, as a segment of pages, then one
 * manifest that names every live segment with its hash. Small segments are merged. All of it beside the loop, in slices.
 *
 * N1  A snapshot holds the state after one stored commit and nothing newer (never ahead of the log).
 * N2  The manifest is written last and under a name of its own, and counts once a later commit states its hash; until
 *     then the one before it is whole and everything it names exists.
 * N3  What a manifest no longer names is deleted only after that commit is stored: it proves too that this node still
 *     owned the shard, so a later owner begins with this manifest or a newer one.
 * N4  A paused former owner that wakes up can overwrite nothing of a later one: every name carries the epoch.
 */
import { encode, sha256 } from '#runtime/bus/codec';
import type { ActorRecord, SnapshotStatement } from '#schemas/commit';
import type { Capture } from './capture.ts';
import { encodePage, type Hydrator, recordOf } from './hydrate.ts';
import type { BlobStore } from './ports.ts';
import { IdsWriter } from './remembered-ids.ts';
import type { Restored } from './restore.ts';
import {
  type Manifest,
  manifestName,
  pageName,
  type RememberedIds,
  readIndex,
  type SegmentIndex,
  SNAPSHOT_FORMAT,
  segmentNames,
  type Tables,
  tablesName,
} from './snapshot-format.ts';
import type { LiveSegment, Loaded } from './snapshot-load.ts';
import type { ShardState } from './state.ts';
import { type Cell, type Location, PAGES_PER_SEGMENT_MAX } from './table.ts';

/** Actors a page holds at most: a cold actor costs one page read. */
const PAGE_ACTORS_MAX = 256;
/** More segments than this are merged, smallest first. */
const SEGMENTS_MAX = 8;

export class SnapshotWriter {
  readonly #shard: number;
  readonly #epoch: number;
  readonly #blobs: BlobStore;
  readonly #hydrator: Hydrator;
  readonly #idsWriter: IdsWriter;
  #ids: RememberedIds | undefined;
  #segments: readonly LiveSegment[];
  #written = 0;
  /** Name of the newest manifest, and of its tables. */
  #manifest: string | undefined;
  #tables: string | undefined;
  /** Blobs that the newest manifest does not name. */
  #garbage: string[];

  /** Goes on from what was loaded, as the owner of `epoch`. */
  constructor(
    shard: number,
    epoch: number,
    blobs: BlobStore,
    { hydrator, base, garbage, isResumed }: Loaded & Pick<Restored, 'isResumed'>,
  ) {
    this.#shard = shard;
    this.#epoch = epoch;
    this.#blobs = blobs;
    this.#hydrator = hydrator;
    this.#idsWriter = new IdsWriter(shard, epoch, blobs, base?.ids, isResumed);
    this.#ids = base?.ids;
    this.#segments = base?.segments ?? [];
    this.#manifest = base?.name;
    this.#tables = base?.tablesName;
    this.#garbage = [...garbage];
  }

  /**
   * Writes a capture and its manifest; then merges where there are too many segments. The snapshot counts once a commit
   * that is sealed from now on carries the statement that is given back (N2).
   */
  async write(state: ShardState, taken: Capture): Promise<SnapshotStatement> {
    let segments = this.#segments;
    let statement: SnapshotStatement;
    const { ids, garbage } = await this.#idsWriter.write(taken.ids, taken.tables.index);
    this.#ids = ids;
    this.#garbage.push(...garbage);
    if (taken.cells.length > 0 || taken.removed.length > 0) {
      const segment = await this.#writeSegment(
        taken.tables.index,
        taken.cells.length,
        (at) => recordOf((taken.cells[at] as { frozen: Cell }).frozen),
        taken.removed,
      );
      segments = [...segments, segment];
      statement = await this.#publish(taken.tables, segments);
      for (const [at, { cell }] of taken.cells.entries()) {
        const slot = state.actors.peek(cell.address);
        if (typeof slot === 'object') slot.location = locationOf(segment.id, at);
        // Removed meanwhile: the next snapshot must hide what this one holds.
        else if (slot === undefined) state.actors.removed.add(cell.address);
      }
    } else {
      statement = await this.#publish(taken.tables, segments);
    }
    return this.#segments.length > SEGMENTS_MAX ? await this.#merge(state, taken.tables) : statement;
  }

  /** Deletes what the manifest does not name (N3). Call after the commit that states it. */
  async collectGarbage(): Promise<void> {
    const garbage = this.#garbage;
    this.#garbage = [];
    for (const name of garbage) await this.#blobs.delete(name);
  }

  /** Name of the newest manifest that was loaded or written. */
  get newest(): string | undefined {
    return this.#manifest;
  }

  /** Rewrites the newest segments that together are no smaller than half of the one before them. */
  async #merge(state: ShardState, tables: Tables): Promise<SnapshotStatement> {
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
      const index = await readIndex(this.#blobs, this.#shard, segment);
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
    const statement = await this.#publish(tables, [...this.#segments.slice(0, from), segment]);
    for (const [at, [address, source]] of byPage.entries()) {
      const slot = state.actors.peek(address);
      if (typeof slot === 'object') {
        if (slot.location === source) slot.location = locationOf(segment.id, at);
      } else if (slot === source) state.actors.putCold(address, locationOf(segment.id, at));
    }
    for (const old of merged) this.#garbage.push(...segmentNames(this.#shard, old));
    return statement;
  }

  async #writeSegment(
    atIndex: number,
    count: number,
    record: (at: number) => ActorRecord,
    removed: readonly string[],
  ): Promise<LiveSegment> {
    // N4.
    const name = `${this.#epoch}-${atIndex}-${this.#written++}`;
    const pages: string[][] = [];
    const hashes: Uint8Array[] = [];
    const hot: string[] = [];
    for (let from = 0; from < count; from += PAGE_ACTORS_MAX) {
      const records: ActorRecord[] = [];
      for (let at = from; at < Math.min(count, from + PAGE_ACTORS_MAX); at++) records.push(record(at));
      for (const r of records) if (r.timers !== undefined || r.effects !== undefined) hot.push(r.address);
      const page = encodePage(records);
      await this.#blobs.put(pageName(this.#shard, name, pages.length), page);
      hashes.push(sha256(page));
      pages.push(records.map((r) => r.address));
    }
    const held: SegmentIndex = { pages, hashes, hot, removed };
    const index = encode(held);
    await this.#blobs.put(pageName(this.#shard, name, 'index'), index);
    const id = this.#hydrator.register(name, hashes);
    return { name, pages: pages.length, actors: count, hash: sha256(index), id };
  }

  /** N2. */
  async #publish(tables: Tables, segments: readonly LiveSegment[]): Promise<SnapshotStatement> {
    const shard = this.#shard;
    const tablesAt = tablesName(shard, this.#epoch, tables.index);
    const encoded = encode(tables);
    if (tablesAt !== this.#tables) {
      await this.#blobs.put(tablesAt, encoded);
      if (this.#tables !== undefined) this.#garbage.push(this.#tables);
      this.#tables = tablesAt;
    }
    const manifest: Manifest = {
      format: SNAPSHOT_FORMAT,
      shard,
      index: tables.index,
      tables: tablesAt,
      tablesHash: sha256(encoded),
      segments: segments.map(({ id: _, ...segment }) => segment),
      ...(this.#ids !== undefined && { ids: this.#ids }),
    };
    const name = manifestName(shard, this.#epoch, tables.index, this.#written++);
    const bytes = encode(manifest);
    await this.#blobs.put(name, bytes);
    if (this.#manifest !== undefined) this.#garbage.push(this.#manifest);
    this.#manifest = name;
    this.#segments = segments;
    return { manifest: name, hash: sha256(bytes) };
  }
}

/** Where the `at`th record of a segment lies. */
function locationOf(segment: number, at: number): Location {
  return segment * PAGES_PER_SEGMENT_MAX + Math.floor(at / PAGE_ACTORS_MAX);
}
