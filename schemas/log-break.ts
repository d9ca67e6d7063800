/** A place where the log is not what it was, as an alarm tells it. */
import { z } from 'zod';

/** The actor whose HIGH entries are the realm's alarms about its own log. */
export const WITNESS_ACTOR = 'witness/realm';
export const WITNESS_MACHINE = 'witness@1';
export const WITNESS_TYPE = 'witness';

const TEXT_MAX = 1_000;

export const logBreakSchema = z.strictObject({
  id: z.string().min(1).max(200).describe('The same break has the same id, whoever finds it and how often.'),
  kind: z
    .string()
    .min(1)
    .max(64)
    .describe(
      '`altered`, `removed`, `inserted`, `back_dated`, `truncated`, `unreadable`, `rewritten`, `tile`.',
    ),
  seq: z.int().min(0).describe('Sequence in the log stream.'),
  shard: z.int().min(0).optional(),
  index: z.int().min(0).optional(),
  what: z.string().max(TEXT_MAX).describe('What differs, in a sentence.'),
});

export type LogBreak = z.infer<typeof logBreakSchema>;
