/**
 * Tasks: what they are, and what is said to them. The same actions come as plain events (`{type: 'task.claim', …}`) and
 * in the content of IFMessages (`{action: 'claim', …}`).
 */
import { z } from 'zod';
import { gateSchema, submissionSchema } from './completion.ts';

/** Type of the actors. */
export const TASK_TYPE = 'task';

/** `absent`: named by others, and not added yet. */
export const TASK_STATUSES = [
  'absent',
  'waiting',
  'available',
  'claimed',
  'in_progress',
  'blocked',
  'completed',
  'failed',
  'cancelled',
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

/** Workers that may join a task which wants help. */
export const HELPERS_DEFAULT = 3;
/** Without a word of its worker for so long, a task is stale. */
export const STALE_MS_DEFAULT = 15 * 60_000;
/** A lease of a claim: a worker that is silent for longer has lost it. */
export const LEASE_MS_DEFAULT = 30_000;
/** The server knows whole seconds. */
export const LEASE_MS_MIN = 1_000;
export const LEASE_MS_MAX = 3_600_000;
/** Revisions above it would leave no room for tokens to count on. */
const REVISION_MAX = 2 ** 48;
/** Tasks that one message to a board adds: more would not fit one step's output. */
export const ADDED_MAX = 100;
/**
 * Characters of a task, its dependencies counted twice: they are shown twice while it waits. A task that could not tell of
 * itself in one step could be neither added nor given back.
 */
export const SPEC_CHARS_MAX = 16_000;
/** 2100: timers are a hundred years long at most. */
const DEADLINE_MAX = Date.UTC(2100, 0, 1);
/** Above it a figure is a mistake, and its millionths are no longer exact. */
const COST_MAX = 1e9;
const HOURS_MAX = 1e6;

const id = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@+=:-]*$/, { error: 'expected letters, digits and . _ @ + = : -' });
const text = z.string().max(2_000);
const capabilities = z.array(z.string().max(200)).max(100);

export const taskInputSchema = z
  .object({
    id: z.string().min(1).max(200),
    title: z.string().max(500).default(''),
    kind: z.string().max(100).optional(),
    /** The session it is meant for; anyone may claim a task without one. */
    owner: z.string().max(200).optional(),
    requires: capabilities.default([]),
    deps: z.array(z.string().max(200)).max(1_000).default([]),
    priority: z.number().default(0).describe('Higher goes first.'),
    estimate: z
      .strictObject({
        hours: z.number().min(0).max(HOURS_MAX).optional(),
        cost: z.number().min(0).max(COST_MAX).optional(),
      })
      .optional(),
    deliverables: z.array(text).max(100).optional(),
    deliverable: text.optional(),
    model: z.string().max(100).optional(),
    contextTokens: z.int().min(0).optional().describe('Tokens of context it needs, as far as known.'),
    filler: z.boolean().default(false).describe('May be done by whoever waits for something else.'),
    budget: z.object({ costMicros: z.int().min(0).optional() }).optional(),
    deadline: z.int().min(0).max(DEADLINE_MAX).optional().describe('ms since the epoch.'),
    retries: z.int().min(0).max(100).default(0).describe('Times a failed task is offered again by itself.'),
    staleMs: z
      .int()
      .min(1_000)
      .max(7 * 86_400_000)
      .default(STALE_MS_DEFAULT),
    helpersMax: z
      .int()
      .min(1)
      .max(20)
      .default(HELPERS_DEFAULT)
      .describe('Workers that may join it for help.'),
    gate: gateSchema.optional(),
  })
  .describe('A task, as a board names it.');

export type TaskInput = z.infer<typeof taskInputSchema>;

/** Input of a kind whose tasks let nobody claim them whom the governor refuses. */
export const governedTasksSchema = z.strictObject({ governed: z.literal(true) });

/** A task of a board: there dependencies count, and names are addresses. */
export const taskSpecSchema = taskInputSchema
  .extend({ id, deps: z.array(id).max(1_000).default([]) })
  .refine((spec) => charsOf(spec) + charsOf(spec.deps) <= SPEC_CHARS_MAX, {
    error: `a task has ${SPEC_CHARS_MAX} characters at most, its dependencies counted twice`,
  });

function charsOf(value: object): number {
  return JSON.stringify(value).length;
}
export type TaskSpec = z.infer<typeof taskSpecSchema>;
/** As it is written: defaults may be left out. */
export type TaskSpecInput = z.input<typeof taskSpecSchema>;

/** How a board gives a task to its actor. */
export const boardedSchema = z.object({ spec: taskSpecSchema, addedBy: z.string().max(240) });

/** The fencing token of the claim; only a claim without a lease may leave it out. */
const token = z.int().min(0).optional();
const lease = {
  /** Name of this very acquisition, as it stands in the claim's key. */
  lease: z.string().min(1).max(64).optional(),
  /** Revision of the claim's key at its creation. */
  revision: z.int().min(1).max(REVISION_MAX).optional(),
  leaseMs: z.int().min(LEASE_MS_MIN).max(LEASE_MS_MAX).default(LEASE_MS_DEFAULT),
};
const address = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}\/[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,199}$/, { error: 'expected type/id' });

/** What may be asked of a task. */
export const taskActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('claim'), ...lease }),
  z.object({ action: z.literal('release'), token, reason: text.optional() }),
  /** The key of the claim, whose `lease` is named here, becomes the taker's after it. */
  z.object({ action: z.literal('transfer'), token, to: address, ...lease }),
  z.object({
    action: z.literal('progress'),
    token,
    milestone: z.number().min(0).max(100),
    note: text.optional(),
  }),
  z.object({ action: z.literal('complete'), token, ...submissionSchema.shape }),
  z.object({ action: z.literal('fail'), token, reason: text.optional() }),
  z.object({ action: z.literal('cancel'), token, reason: text.optional() }),
  z
    .object({
      action: z.literal('block'),
      token,
      /** What it waits for: the id of a task, a name. */
      on: z.string().min(1).max(200),
      kind: z.enum(['task', 'person', 'resource']).default('task'),
      reason: text.optional(),
    })
    .refine(({ on, kind }) => kind !== 'task' || id.safeParse(on).success, {
      path: ['on'],
      error: 'expected the id of a task; of another kind it may be any name',
    }),
  z.object({ action: z.literal('unblock'), token }),
  z.object({
    action: z.literal('help'),
    token,
    reason: text.optional(),
    /** What helpers must be able to do; absent: what the task requires. */
    requires: capabilities.max(20).optional(),
  }),
  z.object({ action: z.literal('join') }),
  z.object({ action: z.literal('leave') }),
  z.object({
    action: z.literal('say'),
    content: z.unknown(),
    /** A performative; under its own name the event would be an envelope. */
    as: z.string().max(20).default('inform'),
  }),
  /** Failed or cancelled: it is offered again. */
  z.object({ action: z.literal('retry'), reason: text.optional() }),
  /** Completes it although its gate refused what was handed in. */
  z.object({ action: z.literal('override'), reason: z.string().trim().min(1).max(2_000) }),
  z.object({
    action: z.literal('amend'),
    priority: z.number().optional(),
    deadline: z.int().min(0).max(DEADLINE_MAX).nullable().optional(),
    title: z.string().max(500).optional(),
  }),
  z.object({ action: z.literal('get') }),
  z.object({ action: z.literal('conversation') }),
]);

export type TaskAction = z.infer<typeof taskActionSchema>;
export type TaskActionInput = z.input<typeof taskActionSchema>;

/** What an approval tells the task of a claim that it holds, and of one that it holds no longer. */
export const HELD_CLAIM = 'task.held_claim';
export const heldClaimSchema = z.object({
  isPending: z.boolean(),
  /** Address of who wants it. */
  worker: z.string().max(240),
  /** SHA-256 of the policy that holds it. */
  policy: z.string().max(64),
});
export type HeldClaimNews = z.infer<typeof heldClaimSchema>;

/** Why a task refuses: stable, programs may rely on it. */
export const TASK_REFUSALS = [
  'bad_action',
  'unknown_task',
  'not_permitted',
  /** Of the policy: it waits for a person. */
  'approval_required',
  'not_available',
  'already_claimed',
  'meant_for_another',
  'not_yours',
  'stale_token',
  'wrong_state',
  'blocked',
  'gate_failed',
  'helpers_full',
] as const;
export type TaskRefusal = (typeof TASK_REFUSALS)[number];

/** What a task answers. */
export type TaskReply =
  | {
      readonly accepted: true;
      readonly status: TaskStatus;
      readonly milestone: number;
      /** Fencing token of the claim that counts now. */
      readonly token: number;
      /** The governor is asked: `task.claimed` or `task.claim_refused` says what came of the claim. */
      readonly checking?: true;
    }
  | {
      readonly accepted: false;
      readonly code: TaskRefusal;
      readonly reason: string;
      readonly status: TaskStatus;
      /** Of a gate: what is missing, by check. */
      readonly checks?: readonly { readonly check: string; readonly missing: readonly string[] }[];
    };

/** A message of a task's conversation. */
export interface Said {
  /** ms since the epoch. */
  readonly at: number;
  readonly from: string;
  readonly performative: string;
  readonly content: unknown;
}
