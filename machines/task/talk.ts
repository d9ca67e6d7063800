/** The conversation about a task. */
import type { TaskAction } from '#schemas/task';
import type { Verdict, Who } from './change.ts';
import type { TaskContext } from './context.ts';

/** Messages kept: the newest; the log has all. */
const KEPT_MAX = 50;
/** Voices against it that are remembered, each for as long as it does not agree: talk does not push them out. */
const DISSENT_MAX = 100;
const DISSENTING: ReadonlySet<string> = new Set(['contradict', 'refuse']);
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
  const conversation = [...context.conversation, said].slice(-KEPT_MAX);
  return { patch: { conversation, dissent: dissentAfter(context, by, performative) }, tell: ['task.said'] };
}

function dissentAfter({ dissent }: TaskContext, by: string, performative: string): TaskContext['dissent'] {
  if (performative === 'agree') {
    const { [by]: _, ...others } = dissent;
    return others;
  }
  const isRoom = Object.hasOwn(dissent, by) || Object.keys(dissent).length < DISSENT_MAX;
  return DISSENTING.has(performative) && isRoom ? { ...dissent, [by]: performative } : dissent;
}
