/**
 * What a snapshot is made of. Its manifest carries the hash of everything that it names, and a commit of the log states
 * the hash of the manifest: so the log says what a snapshot is, down to the last bit.
 */
import { z } from 'zod';
import { decode, sha256 } from '#runtime/bus/codec';
import { busErrors } from '#runtime/bus/errors';
import type { SnapshotStatement } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';
import { equalBytes } from './commit.ts';
import { shardErrors } from './errors.ts';
import type { Parcel } from './mailer.ts';
import type { BlobStore } from './ports.ts';
import type { LocalMail, MailMark, SenderMark } from './state.ts';

export const SNAPSHOT_FORMAT = 2;

export interface Segment {
  readonly name: string;
  readonly pages: number;
  readonly actors: number;
  /** SHA-256 of its stored index. */
  readonly hash: Uint8Array;
}

export interface Manifest {
  readonly format: number;
  readonly shard: number;
  readonly index: number;
  readonly tables: string;
  /** SHA-256 of the stored tables. */
  readonly tablesHash: Uint8Array;
  readonly segments: readonly Segment[];
  /** Absent: the ids that are remembered are read back from the log. */
  readonly ids?: RememberedIds | undefined;
}

/** The message ids that are remembered: as hashes under a seed, in one blob for each half. */
export interface RememberedIds {
  readonly seed: number;
  /** The older one first. */
  readonly generations: readonly StoredGeneration[];
}

export interface StoredGeneration {
  readonly name: string;
  readonly number: number;
  readonly fromSeq: number;
  /** SHA-256 of the stored blob. */
  readonly hash: Uint8Array;
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
  /** Actors on each machine version. */
  readonly versions?: readonly (readonly [string, number])[];
}

/** Which actors a segment holds: addresses by page, which of them must be resident, and which are gone. */
export interface SegmentIndex {
  readonly pages: readonly (readonly string[])[];
  /** SHA-256 of each stored page. */
  readonly hashes: readonly Uint8Array[];
  readonly hot: readonly string[];
  readonly removed: readonly string[];
}

const MANIFEST = 'manifest-';
/** Digits of an epoch, an index and a count in a name: names sort as what they name. */
const DIGITS = 16;

/** Everything that belongs to a snapshot begins so. */
export const SNAPSHOTS = 'snapshot/';

/** Everything that belongs to the snapshots of a shard begins so. */
export function snapshotPrefix(shard: number): string {
  return `${SNAPSHOTS}${shard}/`;
}

/** The shards that have snapshots among the names of blobs, in order. */
export function shardsOf(names: readonly string[]): number[] {
  const shards = new Set(names.map((name) => Number(name.split('/')[1])).filter(Number.isSafeInteger));
  return [...shards].sort((a, b) => a - b);
}

/** Each has a name of its own: the one before stays whole until the log states the new one. */
export function manifestName(shard: number, epoch: number, index: number, count: number): string {
  const parts = [epoch, index, count].map((n) => String(n).padStart(DIGITS, '0'));
  return `${snapshotPrefix(shard)}${MANIFEST}${parts.join('-')}`;
}

export function tablesName(shard: number, epoch: number, index: number): string {
  return `${snapshotPrefix(shard)}tables-${epoch}-${index}`;
}

export function idsName(shard: number, epoch: number, index: number, generation: number): string {
  return `${snapshotPrefix(shard)}ids-${epoch}-${index}-${generation}`;
}

/** Name of a page, or of the segment's `index`. */
export function pageName(shard: number, segment: string, page: number | 'index'): string {
  return `${snapshotPrefix(shard)}${segment}/${page}`;
}

/** Says that what a manifest names was found damaged: no recovery begins with it again. */
export function damagedName(manifest: string): string {
  return manifest.replace(MANIFEST, 'damaged-');
}

/** The manifests among the names of a shard's blobs that a recovery may begin with, newest first. */
export function manifestsOf(names: readonly string[]): string[] {
  const known = new Set(names);
  return names
    .filter((name) => name.split('/').at(-1)?.startsWith(MANIFEST) === true && !known.has(damagedName(name)))
    .sort()
    .reverse();
}

/** Names of all that a manifest needs. */
export function namesOf(manifest: Manifest): string[] {
  const { shard, tables, segments, ids } = manifest;
  const generations = ids?.generations.map(({ name }) => name) ?? [];
  return [tables, ...generations, ...segments.flatMap((segment) => segmentNames(shard, segment))];
}

export function segmentNames(shard: number, { name, pages }: Segment): string[] {
  return [
    ...Array.from({ length: pages }, (_, page) => pageName(shard, name, page)),
    pageName(shard, name, 'index'),
  ];
}

/** A blob whose hash is known. Throws `snapshot_damaged` where it is missing or another one. */
export async function readHashed(
  blobs: Pick<BlobStore, 'get'>,
  name: string,
  hash: Uint8Array,
): Promise<Uint8Array> {
  const bytes = await readBlob(blobs, name);
  if (!equalBytes(sha256(bytes), hash)) throw damaged(name, 'is not what it was');
  return bytes;
}

/** Throws `snapshot_damaged` where it is missing, or the store knows that it is not what was put. */
export async function readBlob(blobs: Pick<BlobStore, 'get'>, name: string): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await blobs.get(name);
  } catch (thrown) {
    if (thrown instanceof FabricError && thrown.code === busErrors.object_corrupt.code)
      throw damaged(name, 'is not what was stored', thrown);
    throw thrown;
  }
  if (bytes === undefined) throw damaged(name, 'is missing');
  return bytes;
}

/** Throws `snapshot_damaged` for what is no manifest of the shard. */
export function decodeManifest(name: string, shard: number, bytes: Uint8Array): Manifest {
  const manifest = checked(manifestSchema, name, bytes) as Manifest;
  if (manifest.shard !== shard) throw damaged(name, `is not of shard ${shard}`);
  return manifest;
}

/** The tables of a manifest. Throws `snapshot_damaged`. */
export async function readTables(
  blobs: Pick<BlobStore, 'get'>,
  { tables, tablesHash }: Manifest,
): Promise<Tables> {
  return checked(tablesSchema, tables, await readHashed(blobs, tables, tablesHash)) as Tables;
}

/** The index of a segment. Throws `snapshot_damaged`. */
export async function readIndex(
  blobs: Pick<BlobStore, 'get'>,
  shard: number,
  { name, hash }: Segment,
): Promise<SegmentIndex> {
  return decode(await readHashed(blobs, pageName(shard, name, 'index'), hash)) as SegmentIndex;
}

const COUNT = z.int().nonnegative();
const HASH = z.instanceof(Uint8Array);
/** Names are made for each page of a segment, also where the manifest is not what was stored. */
const PAGES_MAX = 1_000_000;
const GENERATIONS_MAX = 2;
const manifestSchema = z.object({
  format: z.literal(SNAPSHOT_FORMAT),
  shard: COUNT,
  index: COUNT,
  tables: z.string(),
  tablesHash: HASH,
  segments: z.array(z.object({ name: z.string(), pages: COUNT.max(PAGES_MAX), actors: COUNT, hash: HASH })),
  ids: z
    .object({
      seed: COUNT,
      generations: z
        .array(z.object({ name: z.string(), number: COUNT, fromSeq: COUNT, hash: HASH }))
        .max(GENERATIONS_MAX),
    })
    .optional(),
});
/** What is needed to look for the commit that states them; the rest is believed once it is found. */
const tablesSchema = z.looseObject({ seq: COUNT, index: COUNT, epoch: COUNT, prev: HASH });

function checked(schema: z.ZodType, name: string, bytes: Uint8Array): unknown {
  try {
    return schema.parse(decode(bytes));
  } catch (cause) {
    throw damaged(name, 'cannot be read', cause);
  }
}

export function damaged(name: string, what: string, cause?: unknown): FabricError {
  return new FabricError(shardErrors.snapshot_damaged, `${name} ${what}`, { details: { name }, cause });
}

/** What the first of these commits that states the manifest says of it. */
export async function statementOf(
  manifest: string,
  commits: AsyncIterable<{ readonly snapshot?: SnapshotStatement }>,
): Promise<SnapshotStatement | undefined> {
  for await (const { snapshot } of commits) if (snapshot?.manifest === manifest) return snapshot;
  return undefined;
}
