/**
 * Archiving: old commits go into segments, each with the tiles that prove it.
 *
 * A1  A segment counts once it was verified against chain and tree, stored, read back, and found to hold the very bytes
 *     of the log. Only then the manifest names it.
 * A2  A run that ended half-way has left at most a file that no manifest names; the next run writes it again.
 */
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import { JETSTREAM_TIMEOUT_MS } from '#runtime/bus/tidy-jetstream';
import type { BlobStore } from '#runtime/shard/ports';
import { tilesFor } from '#runtime/witness/bundle-file';
import { equal, fromBase64, toBase64, toHex } from '#runtime/witness/bytes';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { TILE_WIDTH, type Tile } from '#runtime/witness/tiles';
import { type Evidence, verifyLog } from '#runtime/witness/verify/verify';
import { FabricError } from '#schemas/fabric-error';
import { dropArchived } from './drop.ts';
import { archiveErrors } from './errors.ts';
import { type ArchiveManifest, emptyManifest, readManifest, throughOf, writeManifest } from './manifest.ts';
import type { Marks } from './mark.ts';
import { unneededThrough } from './needed.ts';
import { encodeSegment, readSegment } from './segment.ts';
import type { ArchiveStore } from './store.ts';
import { ArchiveTurn } from './turn.ts';

/** Commits of a segment: whole bundles of the tree, a few megabytes. */
export const SEGMENT_COMMITS = 16 * TILE_WIDTH;
/** Bytes of messages in a segment: large commits make more segments, not larger ones. */
const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;

export interface ArchiveParts {
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly shards: number;
  readonly realm: string;
  /** The stream, without what was archived before. */
  readonly stream: LogReader;
  readonly blobs: BlobStore;
  readonly store: ArchiveStore;
  readonly marks: Marks;
  /** The checkpoint that segments are verified against, as text with the key that signed it; absent: chain only. */
  readonly evidence?: Evidence & { readonly text: string; readonly keyText: string };
}

export interface ArchiveRun {
  /** Of this run alone: no other archives meanwhile. */
  readonly holder: string;
  /** Archive up to this sequence at most. */
  readonly until: number;
  /** Newest commits that stay in the stream. */
  readonly keep: number;
  readonly dryRun?: boolean;
  readonly signal: AbortSignal;
  readonly progress?: (done: number, total: number) => void;
  /** {@link DropOptions.keptMin} */
  readonly keptMin?: number;
  /** Commits of a segment, {@link SEGMENT_COMMITS} but in tests. */
  readonly segmentCommits?: number;
  readonly probe?: (point: 'stored' | 'before_lower' | 'lowered' | 'restored') => void;
}

export interface ArchiveResult {
  readonly place: string;
  /** Sequences that this run archived. */
  readonly from: number;
  readonly through: number;
  readonly commits: number;
  readonly segments: number;
  readonly bytes: number;
  /** First sequence that the stream has now. */
  readonly streamFirst: number;
  /** Why less was dropped than archived. */
  readonly kept: string | undefined;
}

/** Archives, verifies, and drops what may go. Throws `archive_unverified`, `archive_foreign`, `archive_busy`, … */
export async function archiveLog(parts: ArchiveParts, run: ArchiveRun): Promise<ArchiveResult> {
  const { nc, subjects } = parts;
  if (run.dryRun === true) return await archiveWith(parts, run, async () => undefined);
  const bucket = subjects.buckets.witness;
  const turn = await ArchiveTurn.take({ nc, bucket, holder: run.holder, now: Date.now });
  try {
    return await archiveWith(parts, run, () => turn.hold());
  } finally {
    await turn.end();
  }
}

/** `hold` throws where another run goes on with this (U2 of turn.ts). */
async function archiveWith(
  parts: ArchiveParts,
  run: ArchiveRun,
  hold: () => Promise<void>,
): Promise<ArchiveResult> {
  const { store, stream, marks, realm, evidence } = parts;
  const range = await stream.range();
  let manifest = (await readManifest(store)) ?? emptyManifest(realm);
  await checkSame(parts, manifest);
  const from = throughOf(manifest) + 1;
  if (from < range.first) {
    throw new FabricError(
      archiveErrors.archive_foreign,
      `The archive ends at ${from - 1}; the log begins at ${range.first}`,
      {
        details: { place: store.place, from, first: range.first },
      },
    );
  }
  const signed = evidence === undefined ? range.last : await signedSize(parts);
  const limit = Math.min(run.until, range.last - run.keep, signed);
  // Whole bundles: what a partial one proves today it no longer proves tomorrow.
  const last = Math.floor(Math.max(0, limit) / TILE_WIDTH) * TILE_WIDTH;
  const total = Math.max(0, last - from + 1);
  const result = { place: store.place, from, through: Math.max(last, from - 1), commits: total };
  if (run.dryRun === true) {
    return { ...result, segments: 0, bytes: 0, streamFirst: range.first, kept: undefined };
  }
  let [segments, bytes] = [0, 0];
  for (let at = from; at <= last; ) {
    run.signal.throwIfAborted();
    await hold();
    const next = await archiveSegment(
      parts,
      manifest,
      at,
      Math.min(last, at + (run.segmentCommits ?? SEGMENT_COMMITS) - 1),
    );
    manifest = next;
    segments += 1;
    bytes += next.segments.at(-1)?.bytes ?? 0;
    at = throughOf(next) + 1;
    run.probe?.('stored');
    run.progress?.(at - from, total);
  }
  await hold();
  const { mark, revision } = await marks.read();
  if (throughOf(manifest) > 0 && (mark?.through !== throughOf(manifest) || mark.place !== store.place)) {
    const base = mark ?? { dropped: 0, dropping: false };
    await marks.write({ ...base, place: store.place, through: throughOf(manifest) }, revision);
  }
  return { ...result, segments, bytes, ...(await drop(parts, run, throughOf(manifest), range.first)) };
}

async function drop(
  { nc, subjects, shards, stream, blobs, marks }: ArchiveParts,
  run: ArchiveRun,
  archived: number,
  first: number,
): Promise<{ streamFirst: number; kept: string | undefined }> {
  if (archived === 0) return { streamFirst: first, kept: undefined };
  const unneeded = await unneededThrough({ blobs, log: stream }, shards);
  const streamFirst = await dropArchived({
    jsm: await jetstreamManager(nc, { timeout: JETSTREAM_TIMEOUT_MS }),
    stream: subjects.streams.log,
    marks,
    through: Math.min(archived, unneeded),
    ...(run.keptMin !== undefined && { keptMin: run.keptMin }),
    ...(run.probe !== undefined && { probe: run.probe }),
  });
  if (unneeded === 0)
    return {
      streamFirst,
      kept: 'a shard has no snapshot that counts yet, so its log is needed from the start',
    };
  if (unneeded < archived) return { streamFirst, kept: `recovery still reads from sequence ${unneeded + 1}` };
  return { streamFirst, kept: undefined };
}

/** A1 */
async function archiveSegment(
  parts: ArchiveParts,
  manifest: ArchiveManifest,
  from: number,
  through: number,
): Promise<ArchiveManifest> {
  const { store, evidence } = parts;
  const messages = await read(parts.stream, from, through);
  const last = messages.at(-1);
  if (last === undefined) throw unverified(`sequence ${from} is not in the stream`);
  const heads = new Map(
    manifest.heads.map(({ shard, index, hash, at }) => [
      shard,
      { index, hash: fromBase64(hash) ?? new Uint8Array(), at },
    ]),
  );
  const report = await verifyLog({
    primitives: nodePrimitives,
    log: {
      range: async () => ({ first: from, last: last.seq }),
      read: async function* () {
        yield messages;
      },
    },
    ...(evidence !== undefined && { evidence }),
    from,
    through: last.seq,
    ...(from > 1 && { heads }),
  });
  const [found] = report.breaks;
  if (found !== undefined) throw unverified(`${found.kind} at sequence ${found.seq ?? '–'}: ${found.what}`);
  const size = report.checkpoint?.size ?? 0;
  const tiles: (readonly [Tile, Uint8Array])[] = [];
  for (const tile of tilesFor(from, Math.min(last.seq, size), size)) {
    const bytes = await evidence?.tile(tile);
    if (bytes !== undefined) tiles.push([tile, bytes]);
  }
  const proof = evidence === undefined ? {} : { checkpoint: evidence.text, key: evidence.keyText };
  const { segment, bytes } = encodeSegment({ head: { from, through: last.seq, ...proof }, tiles, messages });
  await store.put(segment.name, bytes);
  const back = await readSegment(store, segment);
  const isSame = back.messages.every((message, n) => {
    const was = messages[n];
    return was !== undefined && message.shard === was.shard && equal(message.bytes, was.bytes);
  });
  if (!isSame) throw unverified(`${segment.name} read back is not what was written`);
  const next: ArchiveManifest = {
    ...manifest,
    segments: [...manifest.segments, segment],
    heads: headsAfter(manifest, report.heads),
    lastHash: toHex(nodePrimitives.sha256(last.bytes)),
  };
  await writeManifest(store, next);
  return next;
}

function headsAfter(
  { heads }: ArchiveManifest,
  newer: ReadonlyMap<number, { readonly index: number; readonly hash: Uint8Array; readonly at: number }>,
): ArchiveManifest['heads'] {
  const all = new Map(heads.map((head) => [head.shard, head]));
  for (const [shard, { index, hash, at }] of newer)
    all.set(shard, { shard, index, hash: toBase64(hash), at });
  return [...all.values()].sort((a, b) => a.shard - b.shard);
}

async function read(stream: LogReader, from: number, through: number): Promise<LogMessage[]> {
  const messages: LogMessage[] = [];
  let bytes = 0;
  for await (const batch of stream.read(from, through)) {
    for (const message of batch) {
      // Cut at a whole bundle, so that the next segment begins with one.
      if (bytes > SEGMENT_BYTES_MAX && (message.seq - 1) % TILE_WIDTH === 0) return messages;
      messages.push({ ...message, bytes: new Uint8Array(message.bytes) });
      bytes += message.bytes.byteLength;
    }
  }
  return messages;
}

/** The archive and the log are two ends of one history. */
async function checkSame({ stream, store, realm }: ArchiveParts, manifest: ArchiveManifest): Promise<void> {
  const through = throughOf(manifest);
  const last = through === 0 ? undefined : await stream.get(through);
  const isSame =
    manifest.realm === realm &&
    (last === undefined || toHex(nodePrimitives.sha256(last.bytes)) === manifest.lastHash);
  if (isSame) return;
  throw new FabricError(archiveErrors.archive_foreign, `The archive in ${store.place} is not of this log`, {
    details: { place: store.place, realm: manifest.realm },
  });
}

async function signedSize({ evidence }: ArchiveParts): Promise<number> {
  const size = Number(evidence?.text.split('\n')[1]);
  return Number.isSafeInteger(size) ? size : 0;
}

function unverified(why: string): FabricError {
  return new FabricError(archiveErrors.archive_unverified, `Nothing was archived from there on: ${why}`);
}
