/** Outcomes of steps, and what differs between two values. */
import { isDeepStrictEqual } from 'node:util';
import type { Entry } from '#schemas/commit';

/** What a commit records of a step's outcome. */
const OUTCOME = ['op', 'machine', 'after', 'reply', 'error', 'log', 'failed'] as const;

export function outcomeOf(entry: Entry): Readonly<Record<string, unknown>> {
  return Object.fromEntries(OUTCOME.flatMap((key) => (entry[key] === undefined ? [] : [[key, entry[key]]])));
}

/** One thing that differs, by its path. */
export interface Change {
  readonly path: string;
  readonly was: unknown;
  readonly is: unknown;
}

/** Differences listed at most: a screen shows no more. */
const CHANGES_MAX = 200;

/** What changed between two values, leaf by leaf, in the order of the first. */
export function changesOf(was: unknown, is: unknown, path = ''): Change[] {
  if (isDeepStrictEqual(was, is)) return [];
  if (!isHolder(was) || !isHolder(is) || Array.isArray(was) !== Array.isArray(is)) return [{ path, was, is }];
  const keys = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  return keys
    .flatMap((key) => changesOf(was[key], is[key], path === '' ? key : `${path}.${key}`))
    .slice(0, CHANGES_MAX);
}

function isHolder(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}
