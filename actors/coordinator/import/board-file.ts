/** A board as data: `sessions`, `tasks` and `fillers` in YAML. */
import { z } from 'zod';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { profileSchema } from '#schemas/session';
import type { Facts, SessionFact, TaskFact } from './facts.ts';
import { sessionIdOf } from './names.ts';
import type { YamlReading } from './status-file.ts';

const id = z.union([z.string(), z.number()]).transform(String);
const capabilities = z.array(z.string().max(200)).max(200);

const taskSchema = z.strictObject({
  id,
  title: z.string().max(500).optional(),
  kind: z.string().optional(),
  owner: z.string().optional(),
  requires: capabilities.optional(),
  deps: z.array(id).max(1_000).optional(),
  priority: z.number().optional(),
  estimate: z
    .strictObject({ hours: z.number().min(0).optional(), cost: z.number().min(0).optional() })
    .optional(),
  model: z.string().optional(),
  deliverable: z.string().optional(),
  deliverables: z.array(z.string()).optional(),
  filler: z.boolean().optional(),
});

const schema = z.strictObject({
  realm: z.string().optional(),
  sessions: z
    .array(z.strictObject({ id, capabilities: capabilities.optional(), profile: profileSchema.optional() }))
    .optional(),
  tasks: z.array(taskSchema).optional(),
  fillers: z
    .array(
      z.strictObject({
        id,
        title: z.string().max(500).optional(),
        for: z.string().optional(),
        requires: capabilities.optional(),
      }),
    )
    .optional(),
});

export function isBoardFile(data: object): boolean {
  return 'tasks' in data || 'fillers' in data || ('sessions' in data && Array.isArray(data.sessions));
}

export function readBoardFile(data: object, { places, problems }: YamlReading): Facts {
  const board = checkSchema(schema, data, places, problems);
  if (board === undefined) return { tasks: [], sessions: [], states: [] };
  const sessions = (board.sessions ?? []).map(
    (session, n): SessionFact => ({
      place: places.at(data, ['sessions', n, 'id']).place,
      id: session.id,
      ...(session.capabilities !== undefined && { capabilities: session.capabilities }),
      ...(session.profile !== undefined && { profile: session.profile }),
    }),
  );
  const tasks = (board.tasks ?? []).map((task, n): TaskFact => {
    const { estimate, deliverable, deliverables, owner: named, ...rest } = task;
    const owner = sessionIdOf(named ?? '');
    const made = deliverables ?? (deliverable === undefined ? undefined : [deliverable]);
    return {
      place: places.at(data, ['tasks', n, 'id']).place,
      ...present(rest),
      id: task.id,
      ...(owner !== undefined && { owner }),
      ...(made !== undefined && { deliverables: made }),
      ...(estimate?.hours !== undefined && { hours: estimate.hours }),
      ...(estimate?.cost !== undefined && { cost: estimate.cost }),
    };
  });
  const fillers = (board.fillers ?? []).map((filler, n): TaskFact => {
    const owner = sessionIdOf(filler.for ?? '');
    return {
      place: places.at(data, ['fillers', n, 'id']).place,
      id: filler.id,
      filler: true,
      ...(filler.title !== undefined && { title: filler.title }),
      ...(filler.requires !== undefined && { requires: filler.requires }),
      ...(owner !== undefined && { owner }),
    };
  });
  return { sessions, tasks: [...tasks, ...fillers], states: [] };
}

/** Without what is undefined. */
function present<T extends object>(data: T): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined)) as {
    readonly [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
