/** The conversation about a task. */
import type { TaskAction } from '#schemas/task';
import type { Verdict, Who } from './change.ts';
import type { TaskContext } from './context.ts';

/** Messages kept: the newest; the log has all. */
const KEPT_MAX = 50;
/** A longer content is told by its length: the log has it. */
const CONTENT_CHARS_MAX = 2_000;

export function say(
  context: TaskContext,
  { content, as: performative }: Extract<TaskAction, { action: 'say' }>,
  { by, at }: Who,
): Verdict {
  const chars = JSON.stringify(content ?? null).length;
  const kept = chars <= CONTENT_CHARS_MAX ? (content ?? null) : { cut: chars };
  const said = { at, from: by, performative, content: kept };
  return { patch: { conversation: [...context.conversation, said].slice(-KEPT_MAX) }, tell: ['task.said'] };
}
