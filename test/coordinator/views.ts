/** Tasks as boards show them, for tests. */
import type { TaskView } from '#schemas/task-view';

export function taskView(id: string, more: Partial<TaskView> = {}): TaskView {
  return {
    id,
    title: `Task ${id}`,
    kind: null,
    status: 'available',
    milestone: 0,
    note: null,
    worker: null,
    owner: null,
    token: 0,
    priority: 0,
    requires: [],
    deps: [],
    waitingFor: [],
    filler: false,
    governed: false,
    check: null,
    contextTokens: null,
    estimate: { hours: null, costMicros: null },
    deadline: null,
    overdue: false,
    blockedOn: null,
    helpWanted: null,
    helpers: [],
    needsPerson: false,
    deliverables: [],
    artifacts: [],
    checks: [],
    attempts: 0,
    reason: null,
    changedAt: null,
    staleAt: null,
    ...more,
  };
}
