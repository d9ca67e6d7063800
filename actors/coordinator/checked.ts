/** What came of a claim that the governor checks. Pure. */
import type { TaskView } from '#schemas/task-view';

export type Checked =
  | { readonly accepted: true; readonly token: number }
  | { readonly accepted: false; readonly code: string; readonly reason: string };

/** Of the claim of `by`; undefined while the governor is asked. */
export function checkedOf(task: TaskView | undefined, by: string): Checked | undefined {
  if (task === undefined)
    return { accepted: false, code: 'unknown_task', reason: 'it is not there any more' };
  const { worker, check, token, status } = task;
  if (worker === by) return { accepted: true, token };
  if (check?.worker !== by)
    return { accepted: false, code: 'already_claimed', reason: `${worker ?? 'another'} has it` };
  if (check.permitted === false) return { accepted: false, code: 'not_eligible', reason: reasonOf(check) };
  if (check.permitted === true)
    return {
      accepted: false,
      code: 'not_yours',
      reason: 'the governor permitted it, and it has ended again',
    };
  if (status === 'available') return undefined;
  return { accepted: false, code: 'not_available', reason: `it is ${status}` };
}

/** Why a claim was not permitted. */
export function reasonOf({ verdict }: Pick<NonNullable<TaskView['check']>, 'verdict'>): string {
  if (verdict === null) return 'the governor did not answer';
  const words = verdict.refusals.map(({ filter, is, wants }) => `${filter} ${is ?? 'none'}, wanted ${wants}`);
  return `the governor refuses it: ${words.join('; ')}`;
}
