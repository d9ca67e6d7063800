/** What a task knows of itself. */

import type { Verdict } from '#schemas/assignment';
import type { Artifact, CheckResult, Submission } from '#schemas/completion';
import {
  governedTasksSchema,
  type Said,
  type TaskSpec,
  type TaskStatus,
  taskInputSchema,
} from '#schemas/task';

export interface TaskContext extends TaskSpec {
  readonly status: TaskStatus;
  /** Who added it; null where a supervisor started it: dependencies and boards are then not its business. */
  readonly addedBy: string | null;
  /** Address of who has it. */
  readonly worker: string | null;
  /** Nobody has it before the governor permits the claim. */
  readonly governed: boolean;
  /** The last claim that the governor was asked about. */
  readonly check: Check | null;
  /** Claims that wait for an approval of the policy. */
  readonly held: readonly HeldClaim[];
  /** Fencing token of the newest claim: only ever grows. */
  readonly token: number;
  /** Name of the acquisition under which the worker holds the claim's key; null for a claim without a key. */
  readonly lease: string | null;
  readonly leaseMs: number;
  /** 0–100. */
  readonly milestone: number;
  readonly note: string | null;
  /** What was handed in. */
  readonly result: { readonly deliverable: string | null; readonly testsPass: boolean | null } | null;
  readonly artifacts: readonly Artifact[];
  /** What the gate refused, until it is handed in anew. */
  readonly refused: Submission | null;
  readonly checks: readonly CheckResult[];
  /** Why it failed, was cancelled, released or is blocked. */
  readonly reason: string | null;
  readonly blockedOn: {
    readonly on: string;
    readonly kind: 'task' | 'person' | 'resource';
    readonly since: number;
  } | null;
  readonly helpWanted: { readonly requires: readonly string[]; readonly reason: string | null } | null;
  /** Workers that were asked to help. */
  readonly invited: readonly string[];
  readonly helpers: readonly string[];
  readonly needsPerson: boolean;
  /** Dependencies that are not complete. */
  readonly waitingFor: readonly string[];
  /** Tasks that wait for this one. */
  readonly dependents: readonly string[];
  /** Claims of it, whatever became of them. */
  readonly attempts: number;
  /** Times it failed since it was last ordered: only these use up `retries`. */
  readonly failures: number;
  /** The conversation so far: messages in all, refused ones, and by performative. */
  readonly heard: {
    readonly messages: number;
    readonly refused: number;
    readonly by: Readonly<Record<string, number>>;
  };
  /** Its newest messages. */
  readonly conversation: readonly Said[];
  /** Who contradicted or refused and did not agree since, with what they said; the gate looks at it. */
  readonly dissent: Readonly<Record<string, string>>;
  /** Writes of workers that were accepted: what a witness export has to hold. */
  readonly writes: number;
  readonly overdue: boolean;
  readonly staleAt: number | null;
  readonly changedAt: number | null;
}

export interface Check {
  /** Address of who wants it. */
  readonly by: string;
  readonly lease: string | null;
  readonly revision: number | null;
  readonly leaseMs: number;
  /** Null while the governor is asked. */
  readonly permitted: boolean | null;
  readonly verdict: Verdict | null;
}

export interface HeldClaim {
  /** Address of the approval. */
  readonly approval: string;
  /** Address of who wants it. */
  readonly worker: string;
  /** SHA-256 of the policy that holds it. */
  readonly policy: string;
}

/** With an input (of a supervisor) it is there at once; without one, or with that of its kind, it waits to be added. */
export function initialTask(input: unknown, self: string): TaskContext {
  const id = self.slice(self.indexOf('/') + 1);
  const governed = governedTasksSchema.safeParse(input).success;
  const given = governed ? undefined : input;
  const spec = taskInputSchema.parse(given ?? { id });
  return {
    ...spec,
    ...FREE,
    status: given === undefined ? 'absent' : 'available',
    addedBy: null,
    governed,
    check: null,
    held: [],
    token: 0,
    result: null,
    artifacts: [],
    checks: [],
    reason: null,
    waitingFor: [],
    dependents: [],
    attempts: 0,
    failures: 0,
    heard: { messages: 0, refused: 0, by: {} },
    conversation: [],
    dissent: {},
    writes: 0,
    overdue: false,
    changedAt: null,
  };
}

/** Nobody has it. */
export const FREE = {
  worker: null,
  lease: null,
  leaseMs: 0,
  milestone: 0,
  note: null,
  blockedOn: null,
  helpWanted: null,
  invited: [],
  helpers: [],
  needsPerson: false,
  // Who has it next answers for what they hand in themselves.
  refused: null,
  staleAt: null,
} as const;

/** A worker has it. */
export function isHeld({ status }: Pick<TaskContext, 'status'>): boolean {
  return status === 'claimed' || status === 'in_progress' || status === 'blocked';
}

export function isEnded({ status }: Pick<TaskContext, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
