/** A session: a worker that claims tasks. Tasks tell it what became of them; others write to it in IFMessages. */
import { assign, setup } from 'xstate';
import type { IFMessage } from '#schemas/if-message';
import { kernelActions, moment } from '#schemas/machine-kit';
import { type SessionInput, sessionInputSchema } from '#schemas/session';

/** Unanswered questions and hazards a session keeps: the newest; the log has all. */
const KEPT_MAX = 50;
/** Tasks a session holds at once. */
const TASKS_MAX = 100;

interface Question {
  readonly from: string;
  readonly conversation: string;
  readonly content: unknown;
}

export interface SessionContext extends SessionInput {
  /** Tasks it has claimed, the newest last. */
  readonly tasks: readonly string[];
  readonly completed: number;
  readonly failed: number;
  /** Help that others asked it for. */
  readonly helpWanted: readonly Question[];
  /** Hazards that were escalated to it. */
  readonly escalations: readonly Question[];
  readonly heard: number;
  readonly lastHeardAt: number | null;
}

type SessionEvent =
  | { readonly type: `if.${string}`; readonly message: IFMessage }
  | {
      readonly type: `task.${'claimed' | 'released' | 'completed' | 'failed' | 'cancelled'}`;
      readonly task: string;
    };

const kit = setup({
  types: {} as { context: SessionContext; input: unknown; events: SessionEvent },
  actions: {
    ...kernelActions,
    hear: assign(({ context, event, system }) => {
      if (!('message' in event)) return {};
      const { from, conversation, performative, content } = event.message;
      const heard = { heard: context.heard + 1, lastHeardAt: moment(system).at };
      const question = { from, conversation, content: content ?? null };
      if (performative === 'escalate') return { ...heard, escalations: kept(context.escalations, question) };
      if (actionIn(content) === 'help_wanted')
        return { ...heard, helpWanted: kept(context.helpWanted, question) };
      return heard;
    }),
    takeTask: assign(({ context, event }) =>
      'task' in event
        ? { tasks: [...context.tasks.filter((id) => id !== event.task), event.task].slice(-TASKS_MAX) }
        : {},
    ),
    dropTask: assign(({ context, event }) => {
      if (!('task' in event)) return {};
      const tasks = context.tasks.filter((id) => id !== event.task);
      if (event.type === 'task.completed') return { tasks, completed: context.completed + 1 };
      return event.type === 'task.failed' ? { tasks, failed: context.failed + 1 } : { tasks };
    }),
  },
  guards: {
    isLastTask: ({ context, event }) => 'task' in event && context.tasks.every((id) => id === event.task),
    leaves: ({ event }) => 'message' in event && presenceIn(event.message.content) === 'away',
    returns: ({ event }) => 'message' in event && presenceIn(event.message.content) === 'here',
    returnsToWork: ({ context, event }) =>
      'message' in event && presenceIn(event.message.content) === 'here' && context.tasks.length > 0,
  },
});

const accept = { type: 'reply', params: { accepted: true } } as const;
const ended = [
  { guard: 'isLastTask', target: 'idle', actions: 'dropTask' },
  { actions: 'dropTask' },
] as const;
const hear = ['hear', accept] as const;

const machine = kit.createMachine({
  id: 'session',
  version: '1',
  context: ({ input }) => ({
    ...sessionInputSchema.parse(input),
    tasks: [],
    completed: 0,
    failed: 0,
    helpWanted: [],
    escalations: [],
    heard: 0,
    lastHeardAt: null,
  }),
  initial: 'idle',
  on: { 'if.*': { actions: hear } },
  states: {
    idle: {
      on: {
        'if.*': [{ guard: 'leaves', target: 'away', actions: hear }, { actions: hear }],
        'task.claimed': { target: 'working', actions: 'takeTask' },
      },
    },
    working: {
      on: {
        'if.*': [{ guard: 'leaves', target: 'away', actions: hear }, { actions: hear }],
        'task.claimed': { actions: 'takeTask' },
        'task.released': ended,
        'task.completed': ended,
        'task.failed': ended,
        'task.cancelled': ended,
      },
    },
    away: {
      on: {
        'if.*': [
          { guard: 'returnsToWork', target: 'working', actions: hear },
          { guard: 'returns', target: 'idle', actions: hear },
          { actions: hear },
        ],
        'task.claimed': { target: 'working', actions: 'takeTask' },
        'task.released': { actions: 'dropTask' },
        'task.completed': { actions: 'dropTask' },
        'task.failed': { actions: 'dropTask' },
        'task.cancelled': { actions: 'dropTask' },
      },
    },
  },
});

export const session = { name: 'session', version: 1, machine };

function kept(list: readonly Question[], question: Question): readonly Question[] {
  return [...list, question].slice(-KEPT_MAX);
}

function actionIn(content: unknown): unknown {
  return typeof content === 'object' && content !== null && 'action' in content ? content.action : undefined;
}

function presenceIn(content: unknown): unknown {
  const isPresence = actionIn(content) === 'presence';
  return isPresence && typeof content === 'object' && content !== null && 'status' in content
    ? content.status
    : undefined;
}
