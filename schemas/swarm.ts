/** Swarms: sessions under one budget and supervisor. */
import { z } from 'zod';
import { AMOUNT_MAX, accountName, TREE_DEFAULT, TREE_NAME } from './budget.ts';
import { INTENSITY_MAX, RESTARTS } from './supervisor.ts';

/** Type of the actors. */
export const SWARM_TYPE = 'swarm';
export const SWARM_SESSIONS_MAX = 1_000;

const id = z.string().min(1).max(200);

/** What `swarm spawn` reads: the sessions of a swarm, and the process to run for each. */
export const swarmTemplateSchema = z
  .strictObject({
    id,
    capabilities: z.array(z.string().max(200)).max(200).default([]).describe('Of every session.'),
    size: z.int().min(1).max(SWARM_SESSIONS_MAX).default(1),
    budget: z
      .strictObject({
        costMicros: z.int().min(0).max(AMOUNT_MAX).optional(),
        tokens: z.int().min(0).max(AMOUNT_MAX).optional(),
        parent: accountName
          .optional()
          .describe(
            'Account above: then `swarm:ID` is opened below it with these limits, and its processes stop while it is exhausted. Without one the swarm only counts what its tasks say they cost.',
          ),
        tree: z.string().regex(TREE_NAME).default(TREE_DEFAULT).describe('Name of the budget tree.'),
      })
      .optional(),
    supervisor: z.string().max(240).optional().describe('Address of who hears what becomes of it.'),
    reports: z
      .boolean()
      .default(false)
      .describe('What it spends is reported every ten minutes while it runs, by `costs/<id>`.'),
    process: z
      .strictObject({
        command: z.string().min(1).max(1_000),
        args: z.array(z.string().max(2_000)).max(100).default([]),
        env: z.record(z.string(), z.string().max(10_000)).default({}),
        cwd: z.string().max(1_000).optional(),
        restart: z
          .enum(RESTARTS)
          .default('transient')
          .describe('When an ended process is started again: always, after a failure only, never.'),
        intensity: z
          .int()
          .min(0)
          .max(INTENSITY_MAX)
          .default(10)
          .describe('Restarts of all within `periodMs`.'),
        periodMs: z.int().min(1).max(86_400_000).default(60_000),
      })
      .optional()
      .describe('Run once per session, with INFRAFABRIC_SESSION set to its address.'),
    sessions: z
      .array(z.strictObject({ id, capabilities: z.array(z.string().max(200)).max(200).default([]) }))
      .max(SWARM_SESSIONS_MAX)
      .optional()
      .describe('Names and further capabilities; `<swarm>-<n>` where absent.'),
  })
  .describe('A swarm, as a template describes it.');
export type SwarmTemplate = z.infer<typeof swarmTemplateSchema>;

export const swarmActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('form'), template: swarmTemplateSchema }),
  z.object({ action: z.literal('joined'), session: id }),
  z.object({ action: z.literal('left'), session: id, reason: z.string().max(2_000).optional() }),
  z.object({ action: z.literal('spent'), session: id, task: id, costMicros: z.int().min(0).max(AMOUNT_MAX) }),
  z.object({ action: z.literal('stop'), reason: z.string().max(2_000).optional() }),
  z.object({ action: z.literal('get') }),
]);
export type SwarmAction = z.infer<typeof swarmActionSchema>;

export const SWARM_STATUSES = ['absent', 'running', 'exhausted', 'stopped'] as const;

export const swarmViewSchema = z.strictObject({
  id: z.string(),
  status: z.enum(SWARM_STATUSES),
  template: swarmTemplateSchema.nullable(),
  sessions: z.array(z.string()).describe('Those that are there.'),
  spentMicros: z.int(),
  formedAt: z.int().nullable(),
});
export type SwarmView = z.infer<typeof swarmViewSchema>;

/** Type and machine of the actors that run the process of a session; the id is that of the session. */
export const RUNNER_TYPE = 'runner';
export const RUNNER_MACHINE = 'runner@1';

export const runnerInputSchema = z.strictObject({
  session: id,
  swarm: id,
  capabilities: z.array(z.string()),
  command: z.string(),
  args: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  cwd: z.string().optional(),
});
export type RunnerInput = z.infer<typeof runnerInputSchema>;

/** Named ones first, then `<swarm>-<n>` up to the size. */
export function sessionsOf({ id, size, sessions = [] }: SwarmTemplate) {
  const unnamed = Array.from({ length: Math.max(0, size - sessions.length) }, (_, n) => ({
    id: `${id}-${sessions.length + n + 1}`,
    capabilities: [],
  }));
  return [...sessions, ...unnamed];
}
