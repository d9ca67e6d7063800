/** Sessions: workers that claim tasks. */
import { z } from 'zod';

export const profileSchema = z.strictObject({
  baseWeight: z.number().min(0).max(2).default(1),
  successBonus: z.number().min(0).max(2).default(0.5),
  /** Confidence in percent from which a result counts as a success. */
  successThreshold: z.number().min(0).max(100).default(75),
  tier: z.enum(['baseline', 'specialist', 'exploratory']).default('baseline'),
});

export const sessionInputSchema = z
  .object({
    id: z.string().min(1).max(200),
    capabilities: z.array(z.string().max(200)).max(200).default([]),
    profile: profileSchema.prefault({}),
  })
  .describe('A session, as a board names it.');

export type SessionInput = z.infer<typeof sessionInputSchema>;
