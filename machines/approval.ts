/**
 * An approval: pending until a person answers or its time is up; then its declared default is the verdict.
 *
 * A1  One verdict, for ever. Asked again under the same id, the first question stays.
 * A2  Who asked cannot answer, nor can anybody but operators, persons and guardians.
 */
import {
  APPROVAL_STATUSES,
  APPROVERS,
  type ApprovalReply,
  type ApprovalView,
  approvalActionSchema,
} from '#schemas/approval';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import { decidedMachine, type Heard, type Outcome, TIMER_EVENT } from './decided.ts';

export const approvalErrors = errorKinds({
  unknown_approval: {
    retryable: false,
    help: 'Nobody asked for it: `infrafabric approval list` shows those that wait.',
  },
});

const PATIENCE = 'patience';

export const approval = {
  name: 'approval',
  version: 1,
  machine: decidedMachine<ApprovalView>({
    id: 'approval',
    version: '1',
    statuses: APPROVAL_STATUSES,
    hears: ['approval.*', `${TIMER_EVENT}${PATIENCE}`],
    drivers: [],
    context: (_input, self) => ({
      id: self.slice(self.indexOf('/') + 1),
      status: 'absent',
      question: '',
      default: 'no',
      by: null,
      task: null,
      dueAt: null,
      verdict: null,
      answeredBy: null,
      reason: null,
    }),
    decide,
  }),
};

function decide(context: ApprovalView, { event, from, at }: Heard): Outcome<ApprovalView> {
  if (event.type === `${TIMER_EVENT}${PATIENCE}`) {
    const patch = { verdict: context.default, reason: 'nobody answered in time' };
    return changed(context, { ...patch, status: 'timed_out' });
  }
  const parsed = approvalActionSchema.safeParse(event);
  if (!parsed.success) return refused('bad_action', 'this is not an action of an approval');
  const action = parsed.data;
  if (context.status === 'absent' && action.type !== 'approval.request') {
    throw new FabricError(approvalErrors.unknown_approval, `Nobody asked for approval ${context.id}`);
  }
  switch (action.type) {
    case 'approval.get':
      return { reply: accepted(context) };
    case 'approval.request': {
      if (context.status !== 'absent') return { reply: accepted(context) }; // A1
      const { question, default: fallback, waitMs, task } = action;
      const asked = { question, default: fallback, task: task ?? null, by: from ?? null, dueAt: at + waitMs };
      const timers = [{ id: PATIENCE, delayMs: waitMs }];
      return { ...changed(context, { ...asked, status: 'pending' }), timers };
    }
    case 'approval.answer': {
      if (context.status !== 'pending')
        return refused('wrong_state', `it has its verdict: ${context.verdict}`);
      const why = whyNot(context, from);
      if (why !== undefined) return refused('not_permitted', why);
      const answer = { verdict: action.answer, reason: action.reason ?? null, answeredBy: from ?? null };
      return { ...changed(context, { ...answer, status: 'answered' }), cancelled: [PATIENCE] };
    }
  }
}

/** A2. */
function whyNot({ by }: ApprovalView, from = ''): string | undefined {
  if (from === by) return 'who asks does not answer';
  const type = from.slice(0, Math.max(0, from.indexOf('/')));
  return APPROVERS.has(type) ? undefined : `${from} is no operator, person or guardian`;
}

function changed(context: ApprovalView, patch: Partial<ApprovalView>): Outcome<ApprovalView> {
  const next = { ...context, ...patch };
  return { patch, reply: accepted(next), tell: [{ type: `approval.${next.status}`, approval: next }] };
}

function accepted(approvalNow: ApprovalView): ApprovalReply {
  return { accepted: true, approval: approvalNow };
}

function refused(code: string, reason: string): Outcome<ApprovalView> {
  return { reply: { accepted: false, code, reason } };
}
