/** Journals: what workers want on record. */
import { z } from 'zod';

/** Type of the actors; the id is that of the session that writes. */
export const JOURNAL_TYPE = 'journal';

export const noteSchema = z.object({
  type: z.literal('journal.note'),
  text: z.string().min(1).max(4_000),
  severity: z.enum(['INFO', 'WARN', 'HIGH']).default('INFO'),
  task: z.string().max(240).optional(),
  citations: z.array(z.string().min(1).max(2_000)).max(64).default([]),
});
