/**
 * `progress.yaml`: how the workstream of each session stands. A workstream becomes a task under the name that the file
 * gives it, meant for its session, behind the workstreams it was blocked by. An entry with `tasks`, as an export
 * writes it, sums up tasks that are named elsewhere, and is none itself.
 */
import { z } from 'zod';
import { suggest } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import type { Facts, SessionFact, StateFact, TaskFact } from './facts.ts';
import { sessionIdOf, statusOf } from './names.ts';
import { momentOf, type YamlReading } from './status-file.ts';

const time = z.string().nullish();

const schema = z.looseObject({
  sessions: z.record(
    z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._@+=:-]*$/, { error: 'expected letters, digits and . _ @ + = : -' }),
    z.strictObject({
      status: z.string(),
      branch: z.string().nullish(),
      started: time,
      completed: time,
      cost_actual: z.number().min(0).nullish(),
      blocked_by: z.array(z.string()).nullish(),
      tasks: z.array(z.string()).nullish(),
    }),
  ),
});

export function isProgressFile(data: object): boolean {
  return 'sessions' in data && !Array.isArray(data.sessions) && !('tasks' in data);
}

export function readProgressFile(data: object, { places, problems }: YamlReading): Facts {
  const none = { tasks: [], sessions: [], states: [] };
  const progress = checkSchema(schema, data, places, problems);
  if (progress === undefined) return none;
  const tasks: TaskFact[] = [];
  const sessions: SessionFact[] = [];
  const states: StateFact[] = [];
  const known = Object.keys(progress.sessions);
  for (const [
    id,
    { status, branch, started, completed, cost_actual: cost, blocked_by: blockedBy, tasks: sumsUp },
  ] of Object.entries(progress.sessions)) {
    const path = ['sessions', id];
    const place = places.at(data, path, 'key').place;
    const session = sessionIdOf(id) ?? id;
    const word = statusOf(status);
    if (word === undefined)
      problems.add(
        places.at(data, [...path, 'status']).place,
        `"${status}" is no state${suggest(status, ['not_started', 'in_progress', 'blocked', 'completed', 'failed'])}`,
      );
    for (const [n, other] of (blockedBy ?? []).entries()) {
      if (!known.includes(other))
        problems.add(
          places.at(data, [...path, 'blocked_by', n]).place,
          `"${other}" is no session of this file${suggest(other, known)}`,
        );
    }
    if (sumsUp !== null && sumsUp !== undefined) continue;
    sessions.push({ place, id: session });
    tasks.push({
      place,
      id,
      title: `Workstream of ${session}`,
      kind: 'workstream',
      owner: session,
      deps: blockedBy ?? [],
      ...(typeof branch === 'string' && { deliverables: [`branch ${branch}`] }),
    });
    if (word === undefined || word === 'waiting') continue;
    const at = momentOf(completed ?? started ?? undefined);
    states.push({
      place: places.at(data, [...path, 'status']).place,
      task: id,
      // Blocked by whole workstreams is what dependencies say already.
      status: word === 'blocked' ? 'claimed' : word,
      session,
      ...(typeof cost === 'number' && { cost }),
      ...(at !== undefined && { at }),
    });
  }
  return { tasks, sessions, states };
}
