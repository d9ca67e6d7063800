/** A task as everyone shows it: boards, graphs, commands, MCP, webhooks, live events. */
import { z } from 'zod';
import { verdictSchema } from './assignment.ts';
import { artifactSchema, checkResultSchema } from './completion.ts';
import { TASK_STATUSES } from './task.ts';

const at = z.int().describe('ms since the epoch');

export const taskViewSchema = z
  .strictObject({
    id: z.string(),
    title: z.string(),
    kind: z.string().nullable(),
    status: z.enum(TASK_STATUSES),
    milestone: z.number().describe('0–100'),
    note: z.string().nullable(),
    worker: z.string().nullable().describe('Address of who has it.'),
    owner: z.string().nullable().describe('Session it is meant for.'),
    token: z.int().describe('Fencing token of the newest claim; 0 before the first.'),
    priority: z.number(),
    requires: z.array(z.string()),
    deps: z.array(z.string()),
    waitingFor: z.array(z.string()).describe('Dependencies that are not complete.'),
    filler: z.boolean(),
    governed: z.boolean().describe('Claims are checked by the governor.'),
    check: z
      .strictObject({
        worker: z.string(),
        permitted: z.boolean().nullable().describe('Null while the governor is asked.'),
        verdict: verdictSchema.nullable(),
      })
      .nullable()
      .describe('What the governor said of the last claim, with all figures.'),
    held: z
      .array(
        z.strictObject({ worker: z.string(), approval: z.string().describe('Address of the approval.') }),
      )
      .describe('Claims that wait for an approval of the policy.'),
    contextTokens: z.int().nullable(),
    estimate: z.strictObject({ hours: z.number().nullable(), costMicros: z.int().nullable() }),
    deadline: at.nullable(),
    overdue: z.boolean(),
    blockedOn: z
      .strictObject({ on: z.string(), kind: z.enum(['task', 'person', 'resource']), since: at })
      .nullable(),
    helpWanted: z.strictObject({ requires: z.array(z.string()), reason: z.string().nullable() }).nullable(),
    helpers: z.array(z.string()),
    /** A person has to look: nobody can do or help with it. */
    needsPerson: z.boolean(),
    deliverables: z.array(z.string()).describe('What is to be handed in.'),
    handedIn: z
      .strictObject({ deliverable: z.string().nullable(), testsPass: z.boolean().nullable() })
      .nullable()
      .describe('What was handed in last, taken or refused by the gate.'),
    artifacts: z.array(artifactSchema),
    checks: z.array(checkResultSchema).describe('What the completion gate said last.'),
    attempts: z.int(),
    retries: z.int().describe('How often it is offered again after a failure.'),
    reason: z.string().nullable(),
    changedAt: at.nullable(),
    staleAt: at.nullable().describe('Since when its worker is silent.'),
  })
  .describe('A task, as it is shown.');

export type TaskView = z.infer<typeof taskViewSchema>;

/** Body of the live events `if.ev.task.<id>.task.<what>`. */
export interface TaskEvent {
  /** `task.claimed` … */
  readonly type: string;
  readonly task: TaskView;
}

/** Names of a task's live events. */
export const TASK_EVENTS = [
  'task.added',
  'task.available',
  'task.checking',
  'task.claimed',
  'task.claim_refused',
  'task.transferred',
  'task.released',
  'task.expired',
  'task.progress',
  'task.blocked',
  'task.unblocked',
  'task.stale',
  'task.overdue',
  'task.help_wanted',
  'task.joined',
  'task.left',
  'task.needs_person',
  'task.said',
  'task.refused_by_gate',
  'task.completed',
  'task.failed',
  'task.cancelled',
  'task.retried',
  'task.amended',
] as const;
export type TaskEventName = (typeof TASK_EVENTS)[number];
