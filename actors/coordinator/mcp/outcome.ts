/** Results of tools: data, or an error with a code and what to do. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import { toWireError, type WireError } from '#schemas/fabric-error';
import type { TaskRefusal, TaskReply } from '#schemas/task';

/** What to do about a task's refusal. */
const HELP: Readonly<Record<TaskRefusal, string>> = {
  bad_action: 'Correct the arguments; tools/list has their schema.',
  unknown_task: 'list_tasks names the tasks there are.',
  not_permitted: 'Only its worker may, or an operator.',
  approval_required: 'A person has to say yes first: it then goes on by itself. check_approval tells.',
  not_available: 'get_task says what it waits for; next_task names what you can do now.',
  already_claimed: 'Another worker was first: next_task names what you can do now.',
  meant_for_another: 'Leave it to the session it is meant for; next_task names what you can do now.',
  not_yours: 'Claim it first; if you had it, your lease was lost and somebody else may have it by now.',
  stale_token: 'Your claim ended meanwhile: stop this work, and look at the task with get_task.',
  wrong_state: 'get_task says in which state it is.',
  blocked: 'unblock_task first.',
  gate_failed: 'Hand in what `checks` names as missing, then complete it again.',
  helpers_full: 'Enough workers help already.',
};

export interface Answer {
  readonly accepted: boolean;
  readonly code?: string;
  readonly reason?: string;
}

export function done(value: object): CallToolResult {
  if ('accepted' in value && value.accepted === false) return refused(value as Answer & { accepted: false });
  return {
    content: [{ type: 'text', text: JSON.stringify(value, null, 1) }],
    structuredContent: { ...value },
  };
}

export function failed(thrown: unknown): CallToolResult {
  return failure(toWireError(thrown));
}

function refused(answer: Answer): CallToolResult {
  const { code = 'refused', reason = 'it was refused' } = answer;
  const checks =
    'checks' in answer ? { details: { checks: (answer as TaskReply & { checks: unknown }).checks } } : {};
  const help = HELP[code as TaskRefusal];
  return failure({
    code,
    message: reason,
    retryable: false,
    ...(help !== undefined && { help }),
    ...checks,
  });
}

function failure(error: WireError): CallToolResult {
  const lines = [`error[${error.code}]: ${error.message}`];
  if (error.help !== undefined) lines.push(`help: ${error.help}`);
  if (error.details !== undefined) lines.push(`details: ${JSON.stringify(error.details)}`);
  return {
    isError: true,
    content: [{ type: 'text', text: lines.join('\n') }],
    structuredContent: { ok: false, error: { ...error } },
  };
}
