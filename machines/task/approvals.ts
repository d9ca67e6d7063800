/**
 * Claims that the policy holds. The approval that has one says so, and says when it is over: who claims again meanwhile
 * waits for the same approval, and people are asked once.
 */
import type { AnyEventObject } from 'xstate';
import { APPROVAL_TYPE } from '#schemas/approval';
import { heldClaimSchema } from '#schemas/task';
import type { Change, Who } from './change.ts';
import type { TaskContext } from './context.ts';

/** Of more, those that came first are asked about anew. */
const HELD_MAX = 20;

/** The word of an approval. */
export function heardApproval(context: TaskContext, event: AnyEventObject, { by }: Who): Change {
  const parsed = heldClaimSchema.safeParse(event);
  if (!parsed.success || !by.startsWith(`${APPROVAL_TYPE}/`)) return {};
  const { isPending, worker, policy } = parsed.data;
  const others = context.held.filter(({ approval }) => approval !== by);
  const held = isPending ? [...others, { approval: by, worker, policy }] : others;
  return { patch: { held: held.slice(-HELD_MAX) } };
}
