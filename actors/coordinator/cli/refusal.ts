/** What a task refuses, as a command says it: with what to do by who acts, as the task stands. Pure. */
import { isSession } from '#machines/task/change';
import { isEnded } from '#machines/task/context';
import { Refused } from '#runtime/cli/exit-codes';
import { FabricError } from '#schemas/fabric-error';
import type { TaskView } from '#schemas/task-view';

/** What counts of a task. */
type Standing = Pick<TaskView, 'id' | 'status' | 'worker' | 'owner'>;

export function refused(
  task: Standing,
  { code, reason }: { readonly code: string; readonly reason: string },
  as: string,
): Refused {
  return new Refused(
    new FabricError(
      { code, retryable: code === 'not_available', help: helpOf(code, task, as) },
      `task/${task.id}: ${reason}`,
      { details: { task: task.id, as } },
    ),
  );
}

function helpOf(code: string, task: Standing, as: string): string {
  const { id, owner } = task;
  switch (code) {
    case 'not_permitted':
      return notPermitted(task, as);
    case 'not_yours':
      return notYours(task, as);
    case 'meant_for_another':
      return `You act as ${as}; ${owner === null ? 'another' : named(owner)} may take it.`;
    case 'not_available':
    case 'blocked':
      return `\`infrafabric why ${id}\` says what it waits for.`;
    case 'not_eligible':
      return `\`infrafabric governor match ${id} --explain\` shows who may have it, and why not the others.`;
    case 'approval_required':
      return 'After a yes it goes on by itself: `infrafabric approve list` shows what is asked, `infrafabric approve yes ID` answers.';
    case 'gate_failed':
      return 'Hand in what is missing; an operator can accept it as it is with `infrafabric task override`.';
    default:
      return `\`infrafabric why ${id}\` says how it stands.`;
  }
}

function notPermitted({ id, status, worker, owner }: Standing, as: string): string {
  if (isSession(as))
    return `You act as ${as}; what is an operator's to say is said without --as. \`infrafabric why ${id}\` says how it stands.`;
  if (worker !== null && !isEnded({ status })) return `You act as ${as}; ${worker} has it.`;
  const meant = owner === null ? '' : `; it is meant for ${named(owner)}`;
  return `You act as ${as}: nobody has it, so name who takes it with --as SESSION${meant}.`;
}

/** Who has it says the word; nobody does where it is free, and nobody will where it has ended. */
function notYours({ id, status, worker, owner }: Standing, as: string): string {
  if (isEnded({ status })) return `It is ${status}: \`infrafabric why ${id}\` says how it came to that.`;
  if (worker !== null) return `You act as ${as}: ${worker} has it, so say it with --as ${worker}.`;
  const who = owner === null ? 'SESSION' : owner;
  const first =
    status === 'available'
      ? `take it first with \`infrafabric task claim ${id} --as ${who}\``
      : `\`infrafabric why ${id}\` says what it waits for`;
  return `You act as ${as}, and nobody has it: ${first}. An operator may cancel it as it is.`;
}

function named(owner: string): string {
  return `session/${owner} (--as ${owner})`;
}
