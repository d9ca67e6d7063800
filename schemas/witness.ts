/** The `witness:` section of a realm config: who signs the log, how often, and who signs with it. */
import { z } from 'zod';
import { duration, formatDuration } from './units.ts';

/** A checkpoint covers every commit that is older than this. */
export const CHECKPOINT_INTERVAL_MS_DEFAULT = 1_000;
/** A whole pass over the log begins at most this often: an idle realm has little that is worth reading again. */
export const SCRUB_PAUSE_MS_DEFAULT = 60_000;
/** A million commits are read again in half an hour, for about a hundredth of a core. */
export const SCRUB_RATE_DEFAULT = 500;
/** Each is asked for every checkpoint. */
export const COSIGNERS_MAX = 16;

const cosignerSchema = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/ })
      // It is in log lines; and no request may carry them.
      .refine((text) => (URL.parse(text)?.username ?? '') === '', {
        error: 'expected a URL without credentials',
      })
      .describe('Submission prefix of a C2SP tlog-witness; `/add-checkpoint` is added.'),
    key: z
      .string()
      .min(1)
      .max(500)
      .describe('Its verifier key, `name+id+base64`, as `infrafabric witness cosign` prints it.'),
  })
  .describe('A party that cosigns checkpoints.');

const httpSchema = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on; loopback when absent.'),
    port: z.int().min(0).max(65_535).describe('Port to listen on; a free one when 0.'),
  })
  .describe('Serves checkpoint, tiles and metrics, read-only, from the node that builds the log.');

export const witnessSchema = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe(
        'Whether this node may build and sign the witness log; one node of the realm does at a time.',
      ),
    origin: z
      .string()
      .regex(/^[^\s+]{1,200}$/u, { error: 'expected a name without spaces and "+", 200 characters at most' })
      .optional()
      .describe(
        'First line of every checkpoint, best a URL without its scheme; `infrafabric/<realm>` when absent. Fixed once a checkpoint is signed.',
      ),
    interval: duration(100, 60_000)
      .prefault(formatDuration(CHECKPOINT_INTERVAL_MS_DEFAULT))
      .describe('How far the signed checkpoint may be behind the log.'),
    http: httpSchema.optional(),
    cosigners: z
      .array(cosignerSchema)
      .max(COSIGNERS_MAX)
      .default([])
      .describe('Asked to cosign each checkpoint.'),
    policy: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A C2SP tlog-policy file, relative to the config: its witnesses with a URL are cosigners too.',
      ),
    scrubEvery: duration(100, 7 * 86_400_000)
      .prefault(formatDuration(SCRUB_PAUSE_MS_DEFAULT))
      .describe(
        'Pause between two readings of the whole log, which look for what was altered after it was signed.',
      ),
    scrubRate: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(SCRUB_RATE_DEFAULT)
      .describe('Commits a second that such a reading takes at most.'),
  })
  .transform(({ interval, scrubEvery, ...rest }) => ({
    ...rest,
    intervalMs: interval,
    scrubPauseMs: scrubEvery,
  }))
  .describe('The witness log: a Merkle tree over all commits, with signed checkpoints.');

export type WitnessConfig = z.infer<typeof witnessSchema>;
