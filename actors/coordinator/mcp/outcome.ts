/** Results of tools: data, or an error with a code and what to do. */
import { type CallToolResult, ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
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

/** Kinds that tools speak to, each with those it needs beside it. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  board: ['board', 'task', 'session'],
  task: ['board', 'task', 'session'],
  session: ['board', 'task', 'session'],
  approval: ['approval'],
  journal: ['journal'],
  costs: ['costs', 'prices'],
  prices: ['costs', 'prices'],
};
/** Nothing of this name is there. */
const ABSENT = new Set(['mcp_unknown_resource', 'unknown_task']);
/** Commands are for people: an agent may have nothing but this door. */
const COMMAND = '`infrafabric ';

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
  return failure(forAgents(toWireError(thrown)));
}

/** What went wrong with a resource: there the protocol has no results that are errors. */
export function unread(thrown: unknown): ProtocolError {
  const error = forAgents(toWireError(thrown));
  const code = ABSENT.has(error.code) ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError;
  return new ProtocolError(code, textOf(error), { error });
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
  return {
    isError: true,
    content: [{ type: 'text', text: textOf(error) }],
    structuredContent: { ok: false, error: { ...error } },
  };
}

function textOf({ code, message, help, details }: WireError): string {
  const lines = [`error[${code}]: ${message}`];
  if (help !== undefined) lines.push(`help: ${help}`);
  if (details !== undefined) lines.push(`details: ${JSON.stringify(details)}`);
  return lines.join('\n');
}

/** The same error, with what an agent can do about it. */
function forAgents(error: WireError): WireError {
  const help = helpOf(error);
  return help === undefined ? error : { ...error, help };
}

function helpOf({ code, details, help }: WireError): string | undefined {
  const actor = code === 'unknown_kind' ? details?.['actor'] : undefined;
  const kinds = typeof actor === 'string' ? KINDS[actor.slice(0, actor.indexOf('/'))] : undefined;
  if (kinds !== undefined) {
    const lines = kinds.map((kind) => `\`${kind}: { machine: ${kind}, door: open, spawnOnMessage: true }\``);
    return `Whoever runs the realm adds ${lines.join(' and ')} under kinds: of its config.`;
  }
  const own = HELP[code as TaskRefusal];
  if (own !== undefined) return own;
  return help?.includes(COMMAND) === true ? 'Tell whoever runs the realm.' : help;
}
