/** A task as it is shown. */
import type { TaskEventName, TaskView } from '#schemas/task-view';
import type { TaskContext } from './context.ts';

const MICROS = 1e6;

export function viewOf(context: TaskContext): TaskView {
  const { estimate, deliverable, deliverables, refused, result } = context;
  return {
    id: context.id,
    title: context.title,
    kind: context.kind ?? null,
    status: context.status,
    milestone: context.milestone,
    note: context.note,
    worker: context.worker,
    owner: context.owner ?? null,
    token: context.token,
    priority: context.priority,
    requires: context.requires,
    deps: context.deps,
    waitingFor: [...context.waitingFor],
    filler: context.filler,
    governed: context.governed,
    check:
      context.check === null
        ? null
        : {
            worker: context.check.by,
            permitted: context.check.permitted,
            verdict: context.check.verdict,
          },
    held: context.held.map(({ worker, approval }) => ({ worker, approval })),
    contextTokens: context.contextTokens ?? null,
    estimate: {
      hours: estimate?.hours ?? null,
      costMicros: estimate?.cost === undefined ? null : Math.round(estimate.cost * MICROS),
    },
    deadline: context.deadline ?? null,
    overdue: context.overdue,
    blockedOn: context.blockedOn,
    helpWanted:
      context.helpWanted === null
        ? null
        : { requires: [...context.helpWanted.requires], reason: context.helpWanted.reason },
    helpers: [...context.helpers],
    needsPerson: context.needsPerson,
    deliverables: deliverables ?? (deliverable === undefined ? [] : [deliverable]),
    handedIn:
      refused === null
        ? result
        : { deliverable: refused.deliverable ?? null, testsPass: refused.testsPass ?? null },
    artifacts: [...context.artifacts],
    checks: [...context.checks],
    attempts: context.attempts,
    retries: context.retries,
    reason: context.reason,
    changedAt: context.changedAt,
    staleAt: context.staleAt,
  };
}

/** The live event of a change. */
export function news(
  type: TaskEventName,
  context: TaskContext,
): { readonly type: string } & { task: TaskView } {
  return { type, task: viewOf(context) };
}
