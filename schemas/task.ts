/** Tasks: what they are, and what workers say to them in the content of IFMessages. */
import { z } from 'zod';

export const taskInputSchema = z
  .object({
    id: z.string().min(1).max(200),
    title: z.string().max(500).default(''),
    kind: z.string().max(100).optional(),
    /** The session it is meant for; anyone may claim a task without one. */
    owner: z.string().max(200).optional(),
    requires: z.array(z.string().max(200)).max(100).default([]),
    deps: z.array(z.string().max(200)).max(1_000).default([]),
    priority: z.number().default(0),
    estimate: z
      .strictObject({ hours: z.number().min(0).optional(), cost: z.number().min(0).optional() })
      .optional(),
    deliverables: z.array(z.string().max(2_000)).max(100).optional(),
    deliverable: z.string().max(2_000).optional(),
    model: z.string().max(100).optional(),
    filler: z.boolean().default(false),
    budget: z.unknown().optional(),
  })
  .describe('A task, as a board names it.');

export type TaskInput = z.infer<typeof taskInputSchema>;

const text = z.string().max(2_000);

/** What the content of a message to a task may ask of it. */
export const taskActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('claim') }),
  z.object({ action: z.literal('release') }),
  z.object({ action: z.literal('progress'), milestone: z.number().min(0).max(100), note: text.optional() }),
  z.object({
    action: z.literal('complete'),
    deliverable: text.optional(),
    testsPass: z.boolean().optional(),
  }),
  z.object({ action: z.literal('fail'), reason: text.optional() }),
  z.object({ action: z.literal('cancel'), reason: text.optional() }),
  z.object({
    action: z.literal('block'),
    /** What it waits for. */
    on: z.string().min(1).max(200),
    kind: z.enum(['task', 'person', 'resource']).default('task'),
    reason: text.optional(),
  }),
  z.object({ action: z.literal('unblock') }),
]);

export type TaskAction = z.infer<typeof taskActionSchema>;
