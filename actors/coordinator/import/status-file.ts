/** `STATUS-*.yaml`: what one session wrote into the repository for the others to poll. */
import { z } from 'zod';
import type { Place, Problems } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import type { Places } from '#runtime/supervise/source';
import type { Facts, Remark, StateFact } from './facts.ts';
import { isNothing, milestoneOf, sessionIdOf } from './names.ts';

const name = z.union([z.string(), z.number()]).transform(String).nullish();
const words = z.union([z.string(), z.number()]).transform(String).nullish();

const schema = z.looseObject({
  session: z.string().min(1),
  /** One of these says what the session does. */
  claiming: name,
  current_task: name,
  completed: name,
  failed: name,
  milestone: words,
  timestamp: words,
  branch: z.string().nullish(),
  blocked_on: name,
  filler: name,
  help_wanted: z.union([z.boolean(), z.string()]).nullish(),
  next_action: words,
  reason: words,
  deliverable: z.string().nullish(),
  tests_pass: z.boolean().nullish(),
});

const KEYS = Object.keys(schema.shape);
/** Says what the session did in the old way, and nothing of a task. */
const OF_THE_OLD_WAY = new Set(['branch', 'last_commit', 'poll_interval', 'next_poll']);

export interface YamlReading {
  readonly places: Places;
  readonly problems: Problems;
  readonly remarks: Remark[];
}

export function isStatusFile(data: object): boolean {
  return 'session' in data;
}

export function readStatusFile(data: object, { places, problems, remarks }: YamlReading): Facts {
  const none = { tasks: [], sessions: [], states: [] };
  const status = checkSchema(schema, data, places, problems);
  if (status === undefined) return none;
  const place = (key: string): Place => places.at(data, [key]).place;
  for (const key of Object.keys(data)) {
    if (!KEYS.includes(key) && !OF_THE_OLD_WAY.has(key))
      remarks.push({
        ...places.at(data, [key], 'key').place,
        what: `"${key}" has no meaning on a board: left out`,
      });
  }
  const session = sessionIdOf(status.session);
  if (session === undefined) {
    problems.add(place('session'), `"${status.session}" names no session`);
    return none;
  }
  const at = momentOf(status.timestamp ?? undefined);
  if (status.timestamp !== undefined && status.timestamp !== null && at === undefined)
    problems.add(place('timestamp'), `"${status.timestamp}" is no time such as 2026-01-31T12:00:00Z`);
  const base = { session, ...(at !== undefined && { at }) };
  const states: StateFact[] = [];
  const put = (key: string, fact: Omit<StateFact, 'place' | 'task'>): void => {
    const task = (status as Record<string, unknown>)[key];
    if (typeof task === 'string' && !isNothing(task))
      states.push({ place: place(key), task, ...base, ...fact });
  };
  put('completed', {
    status: 'completed',
    ...given('deliverable', status.deliverable),
    ...given('testsPass', status.tests_pass),
  });
  put('failed', { status: 'failed', ...given('reason', status.reason) });
  put('claiming', { status: 'claimed' });
  put('current_task', current(status));
  put('filler', { status: 'claimed' });
  if (states.length === 0)
    problems.add(
      places.at(data, []).place,
      `no task is named: expected "claiming", "current_task", "completed" or "failed"`,
    );
  if (typeof status.milestone === 'string' && milestoneOf(status.milestone) === undefined)
    problems.add(place('milestone'), `"${status.milestone}" does not begin with 0 to 100 %`);
  return { tasks: [], sessions: [{ place: place('session'), id: session }], states };
}

/** Milliseconds since the epoch of what people write for a time; undefined where it is none. */
export function momentOf(text: string | undefined): number | undefined {
  const at = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

function current(status: z.output<typeof schema>): Omit<StateFact, 'place' | 'task'> {
  const { milestone, blocked_on: blockedOn, next_action: next, help_wanted: help } = status;
  const done = milestoneOf(milestone ?? '');
  const isBlocked = typeof blockedOn === 'string' && !isNothing(blockedOn);
  const note = [done?.note ?? '', isBlocked ? '' : (next ?? '')].filter((text) => text !== '').join('; ');
  return {
    status: isBlocked ? 'blocked' : 'in_progress',
    milestone: done?.milestone ?? 0,
    ...(note !== '' && { note }),
    ...(isBlocked && { blockedOn }),
    ...(isBlocked && given('reason', next)),
    ...(wantsHelp(help) && { helpWanted: true }),
  };
}

function wantsHelp(help: boolean | string | null | undefined): boolean {
  return typeof help === 'string' ? !/^(?:|no|false|none)$/i.test(help.trim()) : help === true;
}

function given<K extends string, V>(key: K, value: V | null | undefined): { readonly [P in K]?: V } {
  return value === null || value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}
