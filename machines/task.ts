/**
 * A task: available → claimed → in_progress → completed | failed | cancelled, with blocked and back. Workers talk to it
 * in IFMessages whose content names an action; every one is answered {accepted, …} and counted.
 */
import { assign, setup } from 'xstate';
import type { IFMessage } from '#schemas/if-message';
import { kernelActions, moment } from '#schemas/machine-kit';
import { type TaskAction, type TaskInput, taskActionSchema, taskInputSchema } from '#schemas/task';

export interface TaskContext extends TaskInput {
  /** Address of the session that has it. */
  readonly worker: string | null;
  /** 0–100. */
  readonly milestone: number;
  readonly note: string | null;
  /** What was handed in. */
  readonly result: { readonly deliverable: string | null; readonly testsPass: boolean | null } | null;
  /** Why it failed, was cancelled or is blocked. */
  readonly reason: string | null;
  readonly blockedOn: { readonly on: string; readonly kind: string } | null;
  /** The conversation so far: messages in all, refused ones, and by performative. */
  readonly heard: {
    readonly messages: number;
    readonly refused: number;
    readonly by: Readonly<Record<string, number>>;
  };
  readonly changedAt: number | null;
}

interface TaskEvent {
  readonly type: `if.${string}`;
  readonly message: IFMessage;
}

const kit = setup({
  types: {} as { context: TaskContext; input: unknown; events: TaskEvent },
  actions: {
    ...kernelActions,
    hear: assign(({ context, event }) => ({ heard: counted(context, event, 0) })),
    hearRefused: assign(({ context, event }) => ({ heard: counted(context, event, 1) })),
    take: assign(({ event, system }) => ({ worker: senderOf(event), changedAt: moment(system).at })),
    free: assign(({ system }) => ({
      worker: null,
      milestone: 0,
      note: null,
      blockedOn: null,
      changedAt: moment(system).at,
    })),
    advance: assign(({ context, event, system }) => {
      const action = actionOf(event);
      if (action?.action !== 'progress') return {};
      return { milestone: action.milestone, note: action.note ?? context.note, changedAt: moment(system).at };
    }),
    finish: assign(({ event, system }) => {
      const action = actionOf(event);
      if (action?.action !== 'complete') return {};
      const result = { deliverable: action.deliverable ?? null, testsPass: action.testsPass ?? null };
      return { milestone: 100, result, blockedOn: null, changedAt: moment(system).at };
    }),
    giveUp: assign(({ event, system }) => {
      const action = actionOf(event);
      const reason =
        action?.action === 'fail' || action?.action === 'cancel' ? (action.reason ?? null) : null;
      return { reason, blockedOn: null, changedAt: moment(system).at };
    }),
    block: assign(({ event, system }) => {
      const action = actionOf(event);
      if (action?.action !== 'block') return {};
      return {
        blockedOn: { on: action.on, kind: action.kind },
        reason: action.reason ?? null,
        changedAt: moment(system).at,
      };
    }),
    unblock: assign(({ system }) => ({ blockedOn: null, reason: null, changedAt: moment(system).at })),
  },
  guards: {
    claims: ({ context, event }) => actionOf(event)?.action === 'claim' && mayClaim(context, event),
    progresses: ({ context, event }) => isWorkers(context, event, 'progress'),
    completes: ({ context, event }) => isWorkers(context, event, 'complete'),
    fails: ({ context, event }) => isWorkers(context, event, 'fail'),
    blocks: ({ context, event }) => isWorkers(context, event, 'block'),
    unblocksStarted: ({ context, event }) => isWorkers(context, event, 'unblock') && context.milestone > 0,
    unblocks: ({ context, event }) => isWorkers(context, event, 'unblock'),
    releases: ({ context, event }) => isWorkers(context, event, 'release'),
    cancels: ({ context, event }) =>
      actionOf(event)?.action === 'cancel' && (context.worker === null || context.worker === senderOf(event)),
    /** Part of the conversation, not a wish: no action is named. */
    tells: ({ event }) => !hasAction(event),
  },
});

interface Args {
  readonly context: TaskContext;
  readonly event: TaskEvent;
}

const accept = {
  type: 'reply',
  params: ({ context }: Args) => ({ accepted: true, milestone: context.milestone }),
} as const;
const refuse = {
  type: 'reply',
  params: ({ context, event }: Args) => ({ accepted: false, reason: reasonOf(context, event) }),
} as const;

/** Tells the worker how its task stands, so that the session's own state follows. */
function tell(type: 'task.claimed' | 'task.released' | 'task.completed' | 'task.failed' | 'task.cancelled') {
  return {
    type: 'send',
    params: ({ context, event }: Args) => ({
      to: context.worker ?? senderOf(event),
      event: { type, task: context.id },
    }),
  } as const;
}

const heard = { guard: 'tells', actions: ['hear', accept] } as const;
const refused = { actions: ['hearRefused', refuse] } as const;
const cancel = {
  guard: 'cancels',
  target: 'cancelled',
  actions: ['hear', 'giveUp', tell('task.cancelled'), accept],
} as const;
const working = [
  { guard: 'progresses', target: 'in_progress', actions: ['hear', 'advance', accept] },
  { guard: 'completes', target: 'completed', actions: ['hear', 'finish', tell('task.completed'), accept] },
  { guard: 'fails', target: 'failed', actions: ['hear', 'giveUp', tell('task.failed'), accept] },
  { guard: 'blocks', target: 'blocked', actions: ['hear', 'block', accept] },
  { guard: 'releases', target: 'available', actions: ['hear', tell('task.released'), 'free', accept] },
] as const;

const machine = kit.createMachine({
  id: 'task',
  version: '1',
  context: ({ input }) => ({
    ...taskInputSchema.parse(input),
    worker: null,
    milestone: 0,
    note: null,
    result: null,
    reason: null,
    blockedOn: null,
    heard: { messages: 0, refused: 0, by: {} },
    changedAt: null,
  }),
  initial: 'available',
  output: ({ context }) => ({ worker: context.worker, result: context.result, reason: context.reason }),
  states: {
    available: {
      on: {
        'if.*': [
          { guard: 'claims', target: 'claimed', actions: ['hear', 'take', tell('task.claimed'), accept] },
          cancel,
          heard,
          refused,
        ],
      },
    },
    claimed: { on: { 'if.*': [...working, cancel, heard, refused] } },
    in_progress: { on: { 'if.*': [...working, cancel, heard, refused] } },
    blocked: {
      on: {
        'if.*': [
          { guard: 'unblocksStarted', target: 'in_progress', actions: ['hear', 'unblock', accept] },
          { guard: 'unblocks', target: 'claimed', actions: ['hear', 'unblock', accept] },
          ...working.filter(({ guard }) => guard === 'fails' || guard === 'releases'),
          cancel,
          heard,
          refused,
        ],
      },
    },
    completed: { type: 'final' },
    failed: { type: 'final' },
    cancelled: { type: 'final' },
  },
});

export const task = { name: 'task', version: 1, machine };

/** The action a message asks for; undefined when it names none or a wrong one. */
function actionOf(event: TaskEvent): TaskAction | undefined {
  const parsed = taskActionSchema.safeParse(event.message.content);
  return parsed.success ? parsed.data : undefined;
}

function hasAction({ message: { content } }: TaskEvent): boolean {
  return typeof content === 'object' && content !== null && 'action' in content;
}

/** `session/cli` of `if://session/cli`. */
function senderOf({ message }: TaskEvent): string {
  return message.from.replace(/^if:\/\//, '');
}

function mayClaim(context: TaskContext, event: TaskEvent): boolean {
  return context.owner === undefined || senderOf(event) === `session/${context.owner}`;
}

function isWorkers(context: TaskContext, event: TaskEvent, wanted: TaskAction['action']): boolean {
  return context.worker === senderOf(event) && actionOf(event)?.action === wanted;
}

function counted(
  { heard: { messages, refused, by } }: TaskContext,
  { message }: TaskEvent,
  refusals: number,
): TaskContext['heard'] {
  const performative = message.performative;
  return {
    messages: messages + 1,
    refused: refused + refusals,
    by: { ...by, [performative]: (by[performative] ?? 0) + 1 },
  };
}

function reasonOf(context: TaskContext, event: TaskEvent): string {
  const action = actionOf(event)?.action;
  const sender = senderOf(event);
  if (action === undefined) return 'the content is not an action of a task';
  if (action === 'claim') {
    if (context.worker !== null) return `${context.worker} has it`;
    return `it is meant for session/${context.owner ?? ''}`;
  }
  if (context.worker === null) return 'nobody has claimed it';
  if (context.worker !== sender) return `${context.worker} has it, not ${sender}`;
  return context.blockedOn === null
    ? `"${action}" means nothing now`
    : `it is blocked on ${context.blockedOn.on}`;
}
