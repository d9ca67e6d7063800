/**
 * Verifies the snapshots of a realm: that what a recovery would begin with is, to the last bit, what the log states.
 *
 * S1  A snapshot is right where a commit states the hash of its manifest, everything that the manifest names has the
 *     hash that it says, and its tables follow the commit that they say. Nothing else is looked at to believe it.
 * S2  One that no commit states is counted and not judged: no recovery begins with it.
 * S3  The newest that a commit states is there: only what comes before it is tidied away.
 */
import { decodeCommit, sha256 } from '#runtime/bus/codec';
import { equalBytes } from '#runtime/shard/commit';
import type { BlobStore } from '#runtime/shard/ports';
import {
  decodeManifest,
  type Manifest,
  manifestsOf,
  pageName,
  readBlob,
  readHashed,
  readIndex,
  readTables,
  SNAPSHOTS,
  shardsOf,
  snapshotPrefix,
  statementOf,
  type Tables,
} from '#runtime/shard/snapshot-format';
import { isDamage } from '#runtime/shard/snapshot-load';
import type { Commit } from '#schemas/commit';
import type { LogReader } from '../log-reader.ts';
import { BREAKS_MAX, type Break } from './break.ts';
import { type StatedSnapshot, StatedSnapshots } from './stated-snapshots.ts';

/** A snapshot may be replaced while it is read: then the newer one is. */
const LOOKS_MAX = 5;

export interface SnapshotSources {
  readonly blobs: Pick<BlobStore, 'get' | 'list'>;
  readonly log: Pick<LogReader, 'range' | 'read' | 'get'>;
  /** The newest that the log states of each shard; read from the log where absent. */
  readonly stated?: ReadonlyMap<number, StatedSnapshot>;
  readonly signal?: AbortSignal;
}

export interface SnapshotFindings {
  /** Shards that have a snapshot which counts. */
  readonly snapshots: number;
  /** Blobs that were read and compared. */
  readonly blobs: number;
  readonly bytes: number;
  /** Snapshots that no commit states. */
  readonly unstated: number;
  /** The first {@link BREAKS_MAX} of them. */
  readonly breaks: readonly Break[];
}

/** Throws what reading throws. */
export async function verifySnapshots(sources: SnapshotSources): Promise<SnapshotFindings> {
  const found = { snapshots: 0, blobs: 0, bytes: 0, unstated: 0 };
  const breaks: Break[] = [];
  const stated = sources.stated ?? (await statedIn(sources));
  const shards = new Set([...shardsOf(await sources.blobs.list(SNAPSHOTS)), ...stated.keys()]);
  for (const shard of [...shards].sort((a, b) => a - b)) {
    sources.signal?.throwIfAborted();
    const of = await verifyShard(sources, shard, stated.get(shard));
    found.snapshots += of.snapshots;
    found.blobs += of.blobs;
    found.bytes += of.bytes;
    found.unstated += of.unstated;
    breaks.push(...of.breaks.slice(0, BREAKS_MAX - breaks.length));
  }
  return { ...found, breaks };
}

async function verifyShard(
  sources: SnapshotSources,
  shard: number,
  stated: StatedSnapshot | undefined,
): Promise<SnapshotFindings> {
  for (let look = 1; ; look += 1) {
    const names = await namesOfManifests(sources, shard);
    const found = await new ShardCheck(sources, shard).check(names, stated);
    if (found.breaks.length === 0 || look === LOOKS_MAX) return found;
    const now = await namesOfManifests(sources, shard);
    if (now.join() === names.join()) return found;
  }
}

async function statedIn({ log, signal }: SnapshotSources): Promise<ReadonlyMap<number, StatedSnapshot>> {
  const stated = new StatedSnapshots();
  const { first, last } = await log.range();
  for await (const batch of log.read(first, last, signal)) stated.take(batch);
  return stated.newest;
}

async function namesOfManifests({ blobs }: SnapshotSources, shard: number): Promise<string[]> {
  return manifestsOf(await blobs.list(snapshotPrefix(shard)));
}

class ShardCheck {
  readonly #sources: SnapshotSources;
  readonly #shard: number;
  readonly #counting: Pick<BlobStore, 'get'>;
  #blobs = 0;
  #bytes = 0;
  #unstated = 0;

  constructor(sources: SnapshotSources, shard: number) {
    this.#sources = sources;
    this.#shard = shard;
    this.#counting = {
      get: async (name) => {
        const bytes = await sources.blobs.get(name);
        this.#blobs += 1;
        this.#bytes += bytes?.byteLength ?? 0;
        return bytes;
      },
    };
  }

  /** Judges the newest of these manifests that is stated, and whether that is the newest of which the log knows. */
  async check(names: readonly string[], stated: StatedSnapshot | undefined): Promise<SnapshotFindings> {
    for (const name of names) {
      const breaks = await this.#manifest(name);
      if (breaks !== undefined) return this.#findings(1, [...this.#gone(name, stated), ...breaks]);
      this.#unstated += 1;
    }
    return this.#findings(0, this.#gone('', stated));
  }

  /** S3. Names sort as what they name; a later one than `stated` was stated since the log was read. */
  #gone(newest: string, stated: StatedSnapshot | undefined): Break[] {
    if (stated === undefined || newest >= stated.manifest) return [];
    const { manifest, seq, index } = stated;
    const what = `it states ${manifest}, which is gone or was found damaged`;
    return [{ kind: 'snapshot', shard: this.#shard, index, seq, what }];
  }

  #findings(snapshots: number, breaks: readonly Break[]): SnapshotFindings {
    return { snapshots, blobs: this.#blobs, bytes: this.#bytes, unstated: this.#unstated, breaks };
  }

  /** What is wrong with a snapshot; undefined where it does not count (S2). */
  async #manifest(name: string): Promise<readonly Break[] | undefined> {
    const bytes = await this.#attempt(() => readBlob(this.#counting, name));
    if ('kind' in bytes) return [bytes];
    const manifest = await this.#attempt(() => decodeManifest(name, this.#shard, bytes));
    if ('kind' in manifest) return [manifest];
    const tables = await this.#attempt(() => readTables(this.#counting, manifest));
    if ('kind' in tables) return [tables];
    const statement = await statementOf(name, this.#commitsAfter(tables.seq));
    if (statement === undefined) return undefined;
    if (!equalBytes(sha256(bytes), statement.hash)) {
      return [this.#break(`${name} is not what the log states`, manifest.index)];
    }
    const parts = [...(await this.#follows(tables)), ...(await this.#ids(manifest))];
    return [...parts, ...(await this.#segments(manifest))];
  }

  /** S1: the tables begin where a commit of the log ends. */
  async #follows({ seq, index, prev }: Tables): Promise<Break[]> {
    const message = await this.#sources.log.get(seq);
    if (message?.shard === this.#shard && equalBytes(sha256(message.bytes), prev)) return [];
    return [this.#break(`it does not follow the commit at sequence ${seq}`, index)];
  }

  async #ids({ ids, index: at }: Manifest): Promise<Break[]> {
    const breaks: Break[] = [];
    for (const { name, hash } of ids?.generations ?? []) {
      const read = await this.#attempt(() => readHashed(this.#counting, name, hash), at);
      if ('kind' in read) breaks.push(read);
    }
    return breaks;
  }

  async #segments({ segments, index: at }: Manifest): Promise<Break[]> {
    const breaks: Break[] = [];
    for (const segment of segments) {
      const index = await this.#attempt(() => readIndex(this.#counting, this.#shard, segment), at);
      if ('kind' in index) {
        breaks.push(index);
        continue;
      }
      for (const [page, hash] of index.hashes.entries()) {
        this.#sources.signal?.throwIfAborted();
        const name = pageName(this.#shard, segment.name, page);
        const read = await this.#attempt(() => readHashed(this.#counting, name, hash), at);
        if ('kind' in read) breaks.push(read);
        if (breaks.length >= BREAKS_MAX) return breaks;
      }
    }
    return breaks;
  }

  async *#commitsAfter(seq: number): AsyncIterable<Commit> {
    const { log, signal } = this.#sources;
    const { last } = await log.range();
    for await (const batch of log.read(seq + 1, last, signal)) {
      for (const { shard, bytes } of batch) if (shard === this.#shard) yield decodeCommit(bytes);
    }
  }

  async #attempt<T extends object>(read: () => T | Promise<T>, index?: number): Promise<T | Break> {
    try {
      return await read();
    } catch (thrown) {
      if (isDamage(thrown)) return this.#break(thrown.message, index);
      throw thrown;
    }
  }

  #break(what: string, index?: number): Break {
    return { kind: 'snapshot', shard: this.#shard, ...(index !== undefined && { index }), what };
  }
}
