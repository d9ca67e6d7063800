/** What an archive holds: `archive.json` beside its segments, replaced after each segment is stored and read back. */
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors } from './errors.ts';
import type { ArchiveStore } from './store.ts';

export const MANIFEST_NAME = 'archive.json';
/** Some 300,000 segments. */
const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;
const FORMAT = 'infrafabric-archive@1';

const segmentSchema = z.object({
  name: z.string().regex(/^[a-z0-9.-]{1,120}$/),
  /** First and last sequence. */
  from: z.int().min(1),
  through: z.int().min(1),
  bytes: z.int().min(0),
  /** Of the file, hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const manifestSchema = z.object({
  format: z.literal(FORMAT),
  realm: z.string(),
  /** Without gaps, from sequence 1. */
  segments: z.array(segmentSchema),
  /** Last commit of each shard in it: what the next segment follows. */
  heads: z.array(
    z.object({ shard: z.int().min(0), index: z.int().min(0), hash: z.string(), at: z.number() }),
  ),
  /** SHA-256 of the last message in it, hex: tells one history from another. */
  lastHash: z.string().optional(),
});

export type Segment = z.infer<typeof segmentSchema>;
export type ArchiveManifest = z.infer<typeof manifestSchema>;

export function emptyManifest(realm: string): ArchiveManifest {
  return { format: FORMAT, realm, segments: [], heads: [] };
}

/** Last sequence in the archive; 0 where it is empty. */
export function throughOf({ segments }: ArchiveManifest): number {
  return segments.at(-1)?.through ?? 0;
}

/** Undefined where there is no archive yet. Throws `archive_damaged`. */
export async function readManifest(store: ArchiveStore): Promise<ArchiveManifest | undefined> {
  const bytes = await store.get(MANIFEST_NAME, MANIFEST_BYTES_MAX);
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    // What is no JSON is no manifest either.
    value = undefined;
  }
  const parsed = manifestSchema.safeParse(value);
  const due = parsed.data?.segments.map((segment, n, all) => segment.from === (all[n - 1]?.through ?? 0) + 1);
  if (parsed.success && due?.every(Boolean) === true) return parsed.data;
  throw new FabricError(archiveErrors.archive_damaged, `${MANIFEST_NAME} in ${store.place} cannot be read`, {
    details: { place: store.place, name: MANIFEST_NAME },
  });
}

export async function writeManifest(store: ArchiveStore, manifest: ArchiveManifest): Promise<void> {
  await store.put(MANIFEST_NAME, Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`));
}
