/** What time brings: silence, deadlines, a watch to be begun again. */
import type { Change } from './change.ts';
import { CHECK, unanswered } from './check.ts';
import { REWATCH, STALE, watched } from './claims.ts';
import { isEnded, isHeld, type TaskContext } from './context.ts';
import { DEADLINE } from './work.ts';

export function fired(context: TaskContext, timer: string, at: number): Change {
  switch (timer) {
    case STALE:
      if (context.status !== 'claimed' && context.status !== 'in_progress') return {};
      return {
        patch: { staleAt: at, changedAt: at },
        tell: ['task.stale'],
        log: { severity: 'WARN', message: { type: 'stale', task: context.id, worker: context.worker } },
      };
    case DEADLINE:
      if (isEnded(context)) return {};
      return {
        patch: { overdue: true, changedAt: at },
        tell: ['task.overdue'],
        log: { severity: 'WARN', message: { type: 'overdue', task: context.id } },
      };
    case CHECK:
      return unanswered(context, at);
    case REWATCH:
      return isHeld(context) ? { effects: watched(context).effects ?? [] } : {};
    default:
      return {};
  }
}
