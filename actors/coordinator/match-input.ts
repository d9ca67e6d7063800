/** What driver `match` is asked. */
import { z } from 'zod';

const names = z.array(z.string().max(240)).max(1_000);

export const matchInputSchema = z.discriminatedUnion('want', [
  z.object({
    want: z.literal('task'),
    session: z.string().max(200),
    capabilities: names,
    fillersOnly: z.boolean(),
    declined: names.default([]),
  }),
  z.object({
    want: z.literal('taken'),
    session: z.string().max(200),
    task: z.string().max(200),
    /** What it could be offered instead. */
    next: z.object({ capabilities: names, fillersOnly: z.boolean(), declined: names.default([]) }).optional(),
  }),
  z.object({
    want: z.literal('sessions'),
    task: z.string().max(200),
    requires: names,
    except: names,
    max: z.int().min(1).max(100),
  }),
]);

export type MatchInput = z.infer<typeof matchInputSchema>;
