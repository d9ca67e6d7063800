/**
 * A board: which tasks there are and what they depend on. It lets no cycle in, and gives each task to its actor; what
 * becomes of the task is the task's own business.
 *
 * B1  All tasks of a message or none.
 * B2  The graph has no cycle at any time, whatever order tasks come in: a dependency may be added later.
 * B3  A task that is there hears nothing new when it is added again; one whose word was lost comes to life then.
 */
import type { AnyEventObject } from 'xstate';
import { BOARD_TASKS_MAX, type BoardReply, boardActionSchema } from '#schemas/board';
import type { TaskSpec } from '#schemas/task';
import { graphOf, type Pages, withRows } from './board-pages.ts';
import { decidedMachine, type Heard, type Outcome } from './decided.ts';
import { findCycle } from './graph.ts';

export interface BoardContext {
  readonly status: 'open';
  readonly pages: Pages;
}

export const board = {
  name: 'board',
  version: 1,
  machine: decidedMachine<BoardContext>({
    id: 'board',
    version: '1',
    statuses: ['open'],
    hears: ['board.*'],
    drivers: [],
    context: () => ({ status: 'open', pages: [] }),
    decide,
  }),
};

function decide(context: BoardContext, { event, from }: Heard): Outcome<BoardContext> {
  const parsed = boardActionSchema.safeParse(actionOf(event));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const reason = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'no action of a board'}`;
    return { reply: refusal('bad_action', reason) };
  }
  if (parsed.data.action === 'get') return { reply: { deps: Object.fromEntries(graphOf(context.pages)) } };
  return add(context, parsed.data.tasks, from ?? '');
}

function add({ pages }: BoardContext, tasks: readonly TaskSpec[], by: string): Outcome<BoardContext> {
  const graph = graphOf(pages);
  const fresh = tasks.filter(({ id }) => !graph.has(id));
  const known = tasks.filter(({ id }) => graph.has(id));
  const twice = tasks.find(({ id }, n) => tasks.findIndex((other) => other.id === id) !== n);
  if (twice !== undefined) return { reply: refusal('task_exists', `${twice.id} is in it twice`) };
  const other = known.find(({ id, deps }) => !isSame(graph.get(id) ?? [], deps));
  if (other !== undefined)
    return { reply: refusal('task_exists', `${other.id} is there, with other dependencies`) };
  const size = graph.size + fresh.length;
  if (size > BOARD_TASKS_MAX) {
    return { reply: refusal('board_full', `${size} tasks; a board has ${BOARD_TASKS_MAX} at most`) };
  }
  const added = new Map(fresh.map(({ id, deps }) => [id, deps]));
  const depsOf = (id: string) => added.get(id) ?? graph.get(id);
  // B2.
  const cycle = findCycle(added.keys(), (id) => depsOf(id) ?? []);
  if (cycle !== undefined) {
    return { reply: { ...refusal('cycle', `These wait for one another: ${cycle.join(' → ')}`), cycle } };
  }
  const missing = new Set(fresh.flatMap((task) => task.deps).filter((id) => depsOf(id) === undefined));
  const reply: BoardReply = {
    accepted: true,
    added: fresh.map(({ id }) => id),
    known: known.map(({ id }) => id),
    missing: [...missing],
  };
  return {
    // B3.
    mail: tasks.map((spec) => ({ to: `task/${spec.id}`, event: { type: 'task.add', spec, addedBy: by } })),
    ...(fresh.length > 0 && {
      patch: { pages: withRows(pages, fresh) },
      tell: [{ type: 'board.added', tasks: reply.added }],
    }),
    reply,
  };
}

function actionOf({ type, ...rest }: AnyEventObject): unknown {
  return { ...rest, action: type.slice('board.'.length) };
}

function refusal(code: Extract<BoardReply, { accepted: false }>['code'], reason: string) {
  return { accepted: false as const, code, reason };
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id, n) => id === b[n]);
}
