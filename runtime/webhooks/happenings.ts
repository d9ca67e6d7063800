/** Which entries of the log are events for the outside: an actor entered a state it was not in. */
import type { Commit } from '#schemas/commit';

/** An actor entered a state. */
export interface Happening {
  /** The same at every delivery, over restarts and nodes: the place of the entry in the log. */
  readonly id: string;
  /** `<type of the actor>.<state>`. */
  readonly type: string;
  /** ms since the epoch, of the commit. */
  readonly at: number;
  readonly actor: string;
  readonly state: string;
  /** The state before; null where the actor began. */
  readonly before: string | null;
  /** Who caused it, where somebody is known. */
  readonly by: string | null;
}

export function happeningsOf({ shard, index, at, entries }: Commit): Happening[] {
  return entries.flatMap((entry, n) => {
    const { actor, after, before, cause } = entry;
    const state = stateName(after);
    const last = stateName(before);
    if (state === undefined || state === last) return [];
    const type = `${actor.slice(0, actor.indexOf('/'))}.${state}`;
    const by = 'from' in cause ? (cause.from ?? null) : 'by' in cause ? cause.by : null;
    return [{ id: `${shard}.${index}.${n}`, type, at, actor, state, before: last ?? null, by }];
  });
}

/** Whether a pattern of the config, `task.completed`, `task.*` or `*.failed`, means this type of event. */
export function isWanted(type: string, patterns: readonly string[]): boolean {
  const dot = type.indexOf('.');
  return patterns.some((pattern) => {
    const split = pattern.indexOf('.');
    const [kind, state] = [pattern.slice(0, split), pattern.slice(split + 1)];
    return (kind === '*' || kind === type.slice(0, dot)) && (state === '*' || state === type.slice(dot + 1));
  });
}

/** `working`, and `working.hard` of `{working: 'hard'}`; undefined where a machine has no states. */
function stateName(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return undefined;
  const [only, ...more] = Object.entries(value);
  if (only === undefined) return undefined;
  if (more.length > 0) return Object.keys(value).sort().join('+');
  const below = stateName(only[1]);
  return below === undefined ? only[0] : `${only[0]}.${below}`;
}
