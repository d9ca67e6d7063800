/** The `archive:` section of a realm config: where old commits go, and when. */
import { z } from 'zod';
import { duration, formatDuration } from './units.ts';

/** A day's commits are a few segments. */
export const ARCHIVE_EVERY_MS_DEFAULT = 86_400_000;
/** What people ask for is mostly newer than this. */
export const ARCHIVE_KEEP_DEFAULT = 100_000;

export const archiveSchema = z
  .strictObject({
    to: z
      .string()
      .min(1)
      .describe(
        'A folder, relative to the config, or `s3://bucket/prefix` with credentials in the environment.',
      ),
    every: duration(1_000, 30 * 86_400_000)
      .prefault(formatDuration(ARCHIVE_EVERY_MS_DEFAULT))
      .describe('How often the oldest commits are moved there.'),
    keep: z
      .int()
      .min(0)
      .max(1_000_000_000)
      .default(ARCHIVE_KEEP_DEFAULT)
      .describe('Newest commits that are not archived yet.'),
  })
  .transform(({ every, ...rest }) => ({ ...rest, everyMs: every }))
  .describe('Moves old commits with their proofs out of the stream, on a schedule.');
