/** Tools around tasks: finding, claiming, reporting, ending. */
import { z } from 'zod';
import { taskErrors } from '#machines/task/errors';
import { ARTIFACT_KINDS, groundedClaimSchema } from '#schemas/completion';
import { FabricError } from '#schemas/fabric-error';
import { relationshipSchema } from '#schemas/relationship';
import { TASK_STATUSES } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { hashed } from '../artifacts.ts';
import { type Seat, tool } from '../tool.ts';

const LIST_MAX = 500;
const LIST_DEFAULT = 50;

const task = z.string().min(1).max(200).describe('Id of a task, such as P0.1.1.');
const reason = z.string().max(2_000).optional().describe('Why, for the record.');

export const taskTools = [
  tool({
    name: 'list_tasks',
    title: 'List tasks',
    description: 'Tasks of the board, filtered. A task is free to claim while its status is `available`.',
    readOnly: true,
    input: z.strictObject({
      status: z.array(z.enum(TASK_STATUSES)).optional().describe('Only these; all when absent.'),
      mine: z.boolean().default(false).describe('Only those that I have.'),
      requires: z.string().max(200).optional().describe('Only those that require this capability.'),
      filler: z.boolean().optional().describe('Only fillers, or none.'),
      limit: z.int().min(1).max(LIST_MAX).default(LIST_DEFAULT),
    }),
    run: async ({ coordinator }, { status, mine, requires, filler, limit }) => {
      const found = await coordinator.tasks({
        ...(status !== undefined && { status }),
        ...(requires !== undefined && { requires }),
        ...(filler !== undefined && { filler }),
        ...(mine && { worker: coordinator.as }),
      });
      return { tasks: found.slice(0, limit).map(short), total: found.length };
    },
  }),
  tool({
    name: 'next_task',
    title: 'What can I do now?',
    description:
      'Tasks this session can claim now, the best match first, fillers last. While all I have is blocked, only fillers.',
    readOnly: true,
    input: z.strictObject({ limit: z.int().min(1).max(LIST_MAX).default(5) }),
    run: async ({ coordinator }, { limit }) => {
      const found = await coordinator.nextFor();
      return { candidates: found.slice(0, limit).map((one) => ({ match: one.match, ...short(one.task) })) };
    },
  }),
  tool({
    name: 'get_task',
    title: 'One task in full',
    description: 'Everything about a task: status, worker, dependencies, blocker, deliverables, artifacts.',
    readOnly: true,
    input: z.strictObject({ task }),
    run: async (seat, { task: id }) => ({ task: await existing(seat, id) }),
  }),
  tool({
    name: 'why_task',
    title: 'Why is it not running?',
    description:
      'Why a task is not running, or why somebody has it, in sentences; and what this session may not see of it.',
    readOnly: true,
    input: z.strictObject({ task }),
    run: async ({ coordinator }, { task: id }) => {
      const why = await coordinator.why(id);
      if (why === undefined) throw missing(id);
      return { reasons: why.reasons, unseen: why.unseen };
    },
  }),
  tool({
    name: 'claim_task',
    title: 'Claim a task',
    description:
      'Takes a free task; exactly one worker gets it. The lease renews by itself while this server runs. Report progress, then complete, fail or release it.',
    input: z.strictObject({ task }),
    run: async ({ coordinator, lost }, { task: id }) => {
      const result = await coordinator.claim(id);
      if (!result.won) return { accepted: false, code: result.code, reason: result.reason };
      const { token, lost: ended } = result.claim;
      void ended.then((why) => lost(id, why));
      return { accepted: true, task: id, token };
    },
  }),
  tool({
    name: 'release_task',
    title: 'Give a task back',
    description: 'Gives a claimed task back, so that another worker can take it.',
    input: z.strictObject({ task, reason }),
    run: ({ coordinator }, input) => coordinator.release(input.task, input.reason),
  }),
  tool({
    name: 'report_progress',
    title: 'Report progress',
    description:
      'How far a claimed task is. Say something every few minutes: 15 minutes of silence are reported as stale.',
    input: z.strictObject({
      task,
      milestone: z.number().min(0).max(100).describe('Percent.'),
      note: z.string().max(2_000).optional(),
    }),
    run: ({ coordinator }, input) => coordinator.progress(input.task, input.milestone, input.note),
  }),
  tool({
    name: 'block_task',
    title: 'Report a blocker',
    description:
      'A claimed task waits for something: another task, a person, a resource. Meanwhile next_task offers fillers.',
    input: z.strictObject({
      task,
      on: z.string().min(1).max(200).describe('Id of the task, or a name.'),
      kind: z.enum(['task', 'person', 'resource']).default('task'),
      reason,
    }),
    run: ({ coordinator }, { task: id, on, kind, reason: why }) => coordinator.block(id, on, kind, why),
  }),
  tool({
    name: 'unblock_task',
    title: 'Report that a blocker is gone',
    description:
      'A blocked task can go on. One blocked on a task is unblocked by itself when that completes.',
    input: z.strictObject({ task }),
    run: ({ coordinator }, { task: id }) => coordinator.unblock(id),
  }),
  tool({
    name: 'ask_for_help',
    title: 'Ask for help',
    description:
      'Calls workers that match to join a claimed task; the first few do. Where nobody can, a person is told.',
    input: z.strictObject({
      task,
      reason,
      requires: z
        .array(z.string().max(200))
        .max(100)
        .optional()
        .describe('What helpers must be able to do; what the task requires when absent.'),
    }),
    run: ({ coordinator }, input) => coordinator.askHelp(input.task, input.reason, input.requires),
  }),
  tool({
    name: 'join_task',
    title: 'Help with a task',
    description: 'Joins a task whose worker wants help.',
    input: z.strictObject({ task }),
    run: ({ coordinator }, { task: id }) => coordinator.join(id),
  }),
  tool({
    name: 'complete_task',
    title: 'Complete a task',
    description:
      'Hands in a claimed task. Artifacts are recorded by the hash of the file. Where a check of the completion gate fails, the error names what is missing.',
    input: z.strictObject({
      task,
      deliverable: z.string().max(2_000).optional().describe('What was made.'),
      testsPass: z.boolean().optional(),
      artifacts: z
        .array(
          z.strictObject({
            kind: z.enum(ARTIFACT_KINDS),
            path: z.string().min(1).max(1_000).describe('Of a branch `name@commit`.'),
            sha256: z
              .string()
              .regex(/^[0-9a-f]{64}$/)
              .optional()
              .describe('Computed from the file when absent; held against it where it lies here.'),
          }),
        )
        .max(100)
        .default([]),
      claims: z
        .array(groundedClaimSchema)
        .max(100)
        .default([])
        .describe('What you say of it, with paths it rests on.'),
      entries: z.int().min(0).optional().describe('Entries of the log in the witness export.'),
      costMicros: z.int().min(0).optional().describe('What it cost, in millionths.'),
      relationships: z.array(relationshipSchema).max(100).default([]),
      confidence: z.number().min(0).max(1).optional(),
    }),
    run: async ({ coordinator, root }, { task: id, artifacts, ...submission }) =>
      coordinator.complete(id, {
        ...(Object.fromEntries(
          Object.entries(submission).filter(([, value]) => value !== undefined),
        ) as object),
        artifacts: await hashed(root, artifacts),
      }),
  }),
  tool({
    name: 'fail_task',
    title: 'Give a task up',
    description: 'A claimed task cannot be done; say why. It may be offered again.',
    input: z.strictObject({ task, reason: z.string().min(1).max(2_000).describe('Why it cannot be done.') }),
    run: ({ coordinator }, input) => coordinator.fail(input.task, input.reason),
  }),
];

/** Throws `unknown_task`. */
export async function existing({ coordinator }: Pick<Seat, 'coordinator'>, id: string): Promise<TaskView> {
  const found = await coordinator.task(id);
  if (found === undefined) throw missing(id);
  return found;
}

function missing(id: string): FabricError {
  return new FabricError(taskErrors.unknown_task, `There is no task ${id}`, { details: { task: id } });
}

/** What a list needs; the rest is in get_task. */
export function short({
  id,
  title,
  status,
  milestone,
  worker,
  owner,
  priority,
  requires,
  waitingFor,
  filler,
}: TaskView) {
  return { id, title, status, milestone, worker, owner, priority, requires, waitingFor, filler };
}
