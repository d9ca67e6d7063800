/** What the governor knows of a worker. */

import type { Figures } from '#machines/registry/evaluate';
import { firstReputation, reputationAt } from '#machines/registry/reputation';
import {
  type AssignmentRules,
  assignmentRulesSchema,
  type BreakerState,
  type Verdict,
} from '#schemas/assignment';
import type { Reputation, WorkerProfile, WorkerView } from '#schemas/worker';

/** Work that was permitted, or that it has. */
export interface HeldWork {
  readonly id: string;
  /** Of the claim; 0 until it is claimed. */
  readonly token: number;
  readonly estimateMicros: number;
}

export interface WorkerContext {
  readonly id: string;
  readonly status: WorkerView['status'];
  readonly profile: WorkerProfile | null;
  readonly taxonomyVersion: number | null;
  readonly rules: AssignmentRules;
  readonly reputation: Reputation;
  readonly completed: number;
  readonly failed: number;
  readonly tasks: readonly HeldWork[];
  readonly idleSince: number | null;
  readonly breaker: BreakerState;
  readonly budgetLeftMicros: number | null;
  readonly last: Verdict | null;
  readonly changedAt: number | null;
}

export function initialWorker(_input: unknown, self: string): WorkerContext {
  return {
    id: self.slice(self.indexOf('/') + 1),
    status: 'absent',
    profile: null,
    taxonomyVersion: null,
    rules: assignmentRulesSchema.parse({}),
    reputation: firstReputation(0),
    completed: 0,
    failed: 0,
    tasks: [],
    idleSince: null,
    breaker: 'closed',
    budgetLeftMicros: null,
    last: null,
    changedAt: null,
  };
}

/** Undefined where nobody registered it, or it was retired. */
export function figuresOf(
  worker: Pick<WorkerView, 'id' | 'status' | 'profile' | 'reputation' | 'breaker' | 'budgetLeftMicros'> & {
    readonly tasks: readonly unknown[];
  },
  now: number,
): Figures | undefined {
  const { id, status, profile, reputation, tasks, breaker, budgetLeftMicros } = worker;
  if (status !== 'registered' || profile === null) return undefined;
  return {
    id,
    capabilities: profile.capabilities,
    reputation: reputationAt(reputation, now),
    pricePerHourMicros: profile.costPerHour.micros,
    bloom: profile.bloom ?? null,
    load: tasks.length,
    maxConcurrent: profile.maxConcurrent,
    breaker,
    budgetLeftMicros,
  };
}

export function workerView(context: WorkerContext): WorkerView {
  return {
    id: context.id,
    status: context.status,
    profile: context.profile,
    taxonomyVersion: context.taxonomyVersion,
    reputation: context.reputation,
    completed: context.completed,
    failed: context.failed,
    tasks: context.tasks.map(({ id }) => id),
    idleSince: context.idleSince,
    breaker: context.breaker,
    budgetLeftMicros: context.budgetLeftMicros,
    last: context.last,
    changedAt: context.changedAt,
  };
}
