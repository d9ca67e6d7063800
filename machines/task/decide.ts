/**
 * What a task decides. Pure.
 *
 * T1  One winner: a claim counts only while the task is available, and the task's own log says which was first.
 * T2  Tokens only grow: max(last + 1, revision of the claim's key), whatever became of the bucket that gave the revision.
 * T3  A write of a worker counts only from who has the task, under the token of the claim that counts now. Only a claim
 *     without a lease, which cannot run out, may leave the token out.
 * T4  No task is held for ever by nobody: a claim under a lease is watched by the driver `lease` until it ends, which
 *     gives the task back; a claim without one becomes stale, and is told.
 * T5  Mail between tasks and from boards counts only from a task or a board.
 */
import { type Heard, type Outcome, TIMER_EVENT } from '#machines/decided';
import { FabricError } from '#schemas/fabric-error';
import { type IFMessage, messageOf } from '#schemas/if-message';
import { HELD_CLAIM, type TaskAction, type TaskReply, taskActionSchema } from '#schemas/task';
import { heardApproval } from './approvals.ts';
import { type Change, type Refused, refuse, type Verdict, type Who } from './change.ts';
import { check, judged } from './check.ts';
import { claim, claimed, expired, HELP, LEASE, release, transfer, unwatched } from './claims.ts';
import type { TaskContext } from './context.ts';
import { heardMail } from './deps.ts';
import { taskErrors } from './errors.ts';
import { found, help, join, leave } from './help.ts';
import { say } from './talk.ts';
import { fired } from './timers.ts';
import { news, viewOf } from './view.ts';
import { amend, block, cancel, complete, fail, override, progress, retry, unblock } from './work.ts';

/** Events of the kernel and of other actors; all else is said by somebody. */
export const TASK_MAIL = [
  'task.add',
  'task.depend',
  'task.dep_completed',
  'task.tell_on',
  'task.ask_on',
] as const;

/** Throws `unknown_task` for what is said to a task that nobody added. */
export function decideTask(context: TaskContext, heard: Heard): Outcome<TaskContext> {
  const { event, at, self, from } = heard;
  const { type } = event;
  if (type.startsWith(TIMER_EVENT)) return told(context, fired(context, type.slice(TIMER_EVENT.length), at));
  if (type === `xstate.done.actor.${LEASE}`)
    return told(context, expired(context, at, whyOf(event['output'])));
  if (type === `xstate.error.actor.${LEASE}`) return told(context, unwatched(context));
  if (type === `xstate.done.actor.${HELP}`) return told(context, found(context, event['output'], at));
  // A matcher that fails has found nobody.
  if (type === `xstate.error.actor.${HELP}`) return told(context, found(context, undefined, at));
  if ((TASK_MAIL as readonly string[]).includes(type))
    return told(context, heardMail(context, event, { by: from ?? '', at }, self));
  if (type === HELD_CLAIM) return told(context, heardApproval(context, event, { by: from ?? '', at }));
  if (type === 'task.permit') return told(context, judged(context, event, { by: from ?? '', at }));
  if (context.status === 'absent')
    throw new FabricError(taskErrors.unknown_task, `Nobody added a task ${context.id}`, {
      details: { task: context.id },
    });
  return said(context, heard);
}

function said(context: TaskContext, { event, at, from }: Heard): Outcome<TaskContext> {
  const message = messageOf(event);
  // Whom the kernel knows as the sender; what an unsigned message says of itself counts only where nobody is known.
  const who: Who = { by: from ?? message?.from.replace(/^if:\/\//, '') ?? '', at };
  const parsed = taskActionSchema.safeParse(
    message === undefined ? plainAction(event) : messageAction(message),
  );
  const verdict = parsed.success
    ? act(context, parsed.data, who)
    : refuse('bad_action', `the content is not an action of a task${wrongAt(parsed.error)}`);
  const counted = message === undefined ? {} : { heard: countedOf(context, message, 'refused' in verdict) };
  if (!('refused' in verdict)) {
    const writes = parsed.success && !READS.has(parsed.data.action) ? { writes: context.writes + 1 } : {};
    const change = { ...verdict, patch: { ...counted, ...writes, ...verdict.patch } };
    return { ...told(context, change), reply: verdict.answer ?? accepted({ ...context, ...change.patch }) };
  }
  const kept = told(context, { ...verdict.change, patch: { ...counted, ...verdict.change?.patch } });
  return { ...kept, reply: refusal(context, verdict) };
}

/** Names the place and leaves the words of the schema out: they are the library's, and an answer is kept in the log. */
function wrongAt({
  issues,
}: {
  readonly issues: readonly { readonly path: readonly PropertyKey[] }[];
}): string {
  const path = issues[0]?.path.join('.') ?? '';
  return path === '' ? '' : `: what is wrong is in ${path}`;
}

/** They change nothing of the work. */
const READS: ReadonlySet<string> = new Set(['get', 'conversation', 'say']);

function act(context: TaskContext, action: TaskAction, who: Who): Verdict {
  switch (action.action) {
    case 'claim':
      return claim(context, action, who, context.governed ? check : claimed);
    case 'release':
      return release(context, action, who);
    case 'transfer':
      return transfer(context, action, who);
    case 'progress':
      return progress(context, action, who);
    case 'complete':
      return complete(context, action, who);
    case 'fail':
      return fail(context, action, who);
    case 'cancel':
      return cancel(context, action, who);
    case 'block':
      return block(context, action, who);
    case 'unblock':
      return unblock(context, action, who);
    case 'help':
      return help(context, action, who);
    case 'join':
      return join(context, action, who);
    case 'leave':
      return leave(context, action, who);
    case 'say':
      return say(context, action, who);
    case 'retry':
      return retry(context, action, who);
    case 'override':
      return override(context, action, who);
    case 'amend':
      return amend(context, action, who);
    case 'get':
      return { answer: viewOf(context) };
    case 'conversation':
      return { answer: { messages: context.conversation } };
  }
}

function plainAction(event: Heard['event']): unknown {
  const { type, ...rest } = event;
  return { ...rest, action: type.slice('task.'.length) };
}

/** A message that names no action is part of the conversation. */
function messageAction({ content, performative }: IFMessage): unknown {
  const isAction = typeof content === 'object' && content !== null && 'action' in content;
  return isAction ? content : { action: 'say', content: content ?? null, as: performative };
}

function told(context: TaskContext, { tell, answer: _, ...change }: Change): Outcome<TaskContext> {
  if (tell === undefined) return change;
  const next = { ...context, ...change.patch };
  return { ...change, tell: tell.map((name) => news(name, next)) };
}

function accepted({ status, milestone, token }: TaskContext): TaskReply {
  return { accepted: true, status, milestone, token };
}

function refusal({ status }: TaskContext, { refused, reason, checks }: Refused): TaskReply {
  return { accepted: false, code: refused, reason, status, ...(checks !== undefined && { checks }) };
}

function countedOf(
  { heard: { messages, refused, by } }: TaskContext,
  { performative }: IFMessage,
  isRefused: boolean,
): TaskContext['heard'] {
  return {
    messages: messages + 1,
    refused: refused + (isRefused ? 1 : 0),
    by: { ...by, [performative]: (by[performative] ?? 0) + 1 },
  };
}

function whyOf(output: unknown): unknown {
  return typeof output === 'object' && output !== null && 'why' in output ? output.why : 'unknown';
}
