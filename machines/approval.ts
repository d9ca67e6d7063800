/**
 * An approval: pending until a person answers or its time is up; then its declared default is the verdict.
 *
 * A1  One verdict, for ever. Asked again under the same id, the first question stays.
 * A2  Who asked cannot answer, nor can anybody but operators, persons and guardians, or whom the policy names.
 * A3  Over what a policy holds only a signed answer counts, and only one that names what is held by its digest.
 * A4  What is held goes on once, with the verdict yes, in the name of who asked for it; with a no it never does.
 * A5  Names of held actions can be guessed: nobody else puts a question under one, for its verdict would be taken for theirs.
 * A6  The task of a held claim hears that it waits, and that it does no longer: who claims again joins it.
 */
import {
  APPROVAL_STATUSES,
  APPROVERS,
  type ApprovalReply,
  type ApprovalView,
  approvalActionSchema,
} from '#schemas/approval';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import { type IFMessage, messageOf } from '#schemas/if-message';
import {
  HELD_EVENT,
  HELD_ID_PREFIX,
  type HeldAction,
  type HeldEvent,
  matchesPattern,
  RELEASED_EVENT,
} from '#schemas/policy';
import { HELD_CLAIM, type HeldClaimNews, TASK_TYPE } from '#schemas/task';
import { decidedMachine, type Heard, type Outcome, TIMER_EVENT } from './decided.ts';

export const approvalErrors = errorKinds({
  unknown_approval: {
    retryable: false,
    help: 'Nobody asked for it: `infrafabric approve list` shows those that wait.',
  },
  approval_unsigned: {
    retryable: false,
    help: 'Sign the answer with your key: `infrafabric approve yes ID` does.',
  },
  approval_foreign: {
    retryable: false,
    help: 'Whom the policy names as approvers answers, never who asked: `infrafabric approve list` shows them.',
  },
  approval_stale: {
    retryable: false,
    help: 'It has its verdict, or is about something else: look again with `infrafabric approve list`.',
  },
  approval_reserved: {
    retryable: false,
    help: 'Take another name: those that begin with held- belong to what a policy holds.',
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
    hears: ['approval.*', 'if.*', HELD_EVENT, `${TIMER_EVENT}${PATIENCE}`],
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
      held: null,
    }),
    decide,
  }),
};

function decide(context: ApprovalView, heard: Heard): Outcome<ApprovalView> {
  const { event, from, at } = heard;
  if (event.type === `${TIMER_EVENT}${PATIENCE}`) {
    if (context.status !== 'pending') return {}; // A1
    const patch = { verdict: context.default, reason: 'nobody answered in time' };
    return decided(context, { ...patch, status: 'timed_out' }, heard.self);
  }
  if (event.type === HELD_EVENT) return hold(context, event as unknown as HeldEvent, at);
  const message = messageOf(event);
  const parsed = approvalActionSchema.safeParse(message === undefined ? event : actionIn(message));
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
      if (context.id.startsWith(HELD_ID_PREFIX))
        // A5
        throw new FabricError(
          approvalErrors.approval_reserved,
          `${context.id} is a name for what a policy holds`,
        );
      const { question, default: fallback, waitMs, task } = action;
      const asked = { question, default: fallback, task: task ?? null, by: from ?? null, dueAt: at + waitMs };
      const timers = [{ id: PATIENCE, delayMs: waitMs }];
      return { ...changed(context, { ...asked, status: 'pending' }), timers };
    }
    case 'approval.answer': {
      const isSigned = message?.signature !== undefined;
      const answer = { verdict: action.answer, reason: action.reason ?? null, answeredBy: from ?? null };
      if (context.held !== null) {
        mustCount(context, { from, isSigned, digest: action.digest });
      } else {
        if (context.status !== 'pending')
          return refused('wrong_state', `it has its verdict: ${context.verdict}`);
        const why = whyNot(context, from);
        if (why !== undefined) return refused('not_permitted', why);
      }
      return {
        ...decided(context, { ...answer, status: 'answered' }, heard.self),
        cancelled: [PATIENCE],
      };
    }
  }
}

/** A1. */
function hold(context: ApprovalView, event: HeldEvent, at: number): Outcome<ApprovalView> {
  if (context.status !== 'absent') return {};
  const { question, terms, type: _, ...held } = event;
  const asked = { question, default: terms.default, by: held.from, dueAt: at + terms.waitMs, held };
  return {
    ...changed(context, { ...asked, status: 'pending' }),
    mail: toTask(held, true),
    timers: [{ id: PATIENCE, delayMs: terms.waitMs }],
  };
}

/** A2, A3. Throws `approval_unsigned`, `approval_foreign`, `approval_stale`. */
function mustCount(
  { id, held, status, verdict, by }: ApprovalView,
  {
    from = '',
    isSigned,
    digest,
  }: { from: string | undefined; isSigned: boolean; digest: string | undefined },
): void {
  const details = { approval: id, from };
  if (!isSigned)
    throw new FabricError(approvalErrors.approval_unsigned, `The answer to ${id} is not signed`, { details });
  const isNamed = held?.approvers.some((pattern) => matchesPattern(from, pattern)) === true;
  if (!isNamed || from === by)
    throw new FabricError(approvalErrors.approval_foreign, `${from} is no approver of ${id}`, { details });
  if (status !== 'pending')
    throw new FabricError(approvalErrors.approval_stale, `${id} has its verdict: ${verdict}`, { details });
  if (digest !== held?.digest)
    throw new FabricError(approvalErrors.approval_stale, `The answer is not about what ${id} holds`, {
      details,
    });
}

/** A4. */
function decided(context: ApprovalView, patch: Partial<ApprovalView>, self: string): Outcome<ApprovalView> {
  const { held } = context;
  const outcome = changed(context, patch);
  if (held === null) return outcome;
  const { verdict, answeredBy, reason } = { ...context, ...patch };
  const log = {
    severity: 'WARN' as const,
    message: { type: 'held_action_decided', verdict, by: answeredBy, reason, ...held },
  };
  const over = toTask(held, false);
  if (verdict !== 'yes' || held.to === undefined || held.event === undefined)
    return { ...outcome, log, mail: over };
  const note = { ...held.note, outcome: 'approved' as const, approval: self };
  const event = { type: RELEASED_EVENT, from: held.from, event: held.event, note };
  return { ...outcome, log, mail: [{ to: held.to, event }, ...over] };
}

/** A6. */
function toTask(
  { to, from, note }: HeldAction,
  isPending: boolean,
): NonNullable<Outcome<ApprovalView>['mail']> {
  if (to?.startsWith(`${TASK_TYPE}/`) !== true || note.request.action !== 'claim') return [];
  const news: HeldClaimNews = { isPending, worker: from, policy: note.sha256 };
  return [{ to, event: { type: HELD_CLAIM, ...news } }];
}

/** The content of a signed message names the action as the event would: `{action: "answer", answer: "yes", digest}`. */
function actionIn({ content }: IFMessage): unknown {
  if (typeof content !== 'object' || content === null || !('action' in content)) return undefined;
  return { ...content, type: `approval.${String(content.action)}` };
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
