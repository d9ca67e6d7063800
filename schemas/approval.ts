/** Approvals: a question that a person answers, or time does. */
import { z } from 'zod';
import type { HeldAction } from './policy.ts';

/** Type of the actors. */
export const APPROVAL_TYPE = 'approval';
/** Who may answer, by the type of the address: people, never the workers that ask. */
export const APPROVERS: ReadonlySet<string> = new Set(['operator', 'person', 'guardian']);

/** Long enough for somebody who is at lunch. */
const WAIT_MS_DEFAULT = 3_600_000;
const WAIT_MS_MAX = 30 * 86_400_000;

export const verdictSchema = z.enum(['yes', 'no']);
export type Verdict = z.infer<typeof verdictSchema>;

export const approvalActionSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('approval.request'),
    question: z.string().min(1).max(4_000),
    /** The answer when nobody gives one in time. */
    default: verdictSchema.default('no'),
    waitMs: z.int().min(1_000).max(WAIT_MS_MAX).default(WAIT_MS_DEFAULT),
    task: z.string().max(240).optional(),
  }),
  z.object({
    type: z.literal('approval.answer'),
    answer: verdictSchema,
    reason: z.string().max(2_000).optional(),
    /** Of what is held, as it was when the approver looked at it. */
    digest: z.string().max(64).optional(),
  }),
  z.object({ type: z.literal('approval.get') }),
]);

export const APPROVAL_STATUSES = ['absent', 'pending', 'answered', 'timed_out'] as const;

export interface ApprovalView {
  readonly id: string;
  readonly status: (typeof APPROVAL_STATUSES)[number];
  readonly question: string;
  readonly default: Verdict;
  /** Who asked. */
  readonly by: string | null;
  readonly task: string | null;
  /** ms since the epoch. */
  readonly dueAt: number | null;
  /** Null while it is pending. */
  readonly verdict: Verdict | null;
  readonly answeredBy: string | null;
  readonly reason: string | null;
  /** What goes on with a yes; null for a question that somebody put themselves. */
  readonly held: HeldAction | null;
}

export type ApprovalReply =
  | { readonly accepted: true; readonly approval: ApprovalView }
  | { readonly accepted: false; readonly code: string; readonly reason: string };
