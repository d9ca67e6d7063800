/** What changes between two versions of one supervisor: decided once, used by the supervisor and by plans. */
import type { ChildSpec, SupervisorSpec } from './supervisor.ts';

export type Change = 'start' | 'stop' | 'restart' | 'migrate' | 'update' | 'nested' | 'unchanged';

export interface ChildChange {
  readonly change: Change;
  /** In words: `input changed`. */
  readonly why: string;
  readonly before?: ChildSpec;
  readonly after?: ChildSpec;
}

/**
 * How each child fares. Removed children come first, in reverse of their start order; the rest follow in the new order.
 * A nested supervisor whose tree differs is `nested`: it diffs its own children.
 */
export function diffChildren(before: SupervisorSpec, after: SupervisorSpec): readonly ChildChange[] {
  const old = new Map(before.children.map((child) => [child.id, child]));
  const kept = new Set(after.children.map((child) => child.id));
  const removed = before.children.filter((child) => !kept.has(child.id)).toReversed();
  return [
    ...removed.map(
      (child): ChildChange => ({ change: 'stop', why: 'no longer in the config', before: child }),
    ),
    ...after.children.map((child) => changeOf(old.get(child.id), child)),
  ];
}

/** Words for changed rules of a supervisor; empty when they are the same. */
export function ruleChanges(before: SupervisorSpec, after: SupervisorSpec): string {
  const changed: string[] = [];
  if (before.strategy !== after.strategy) changed.push(`strategy ${before.strategy} → ${after.strategy}`);
  if (before.intensity !== after.intensity)
    changed.push(`intensity ${before.intensity} → ${after.intensity}`);
  if (before.periodMs !== after.periodMs) changed.push(`period ${before.periodMs} ms → ${after.periodMs} ms`);
  if (before.budget !== after.budget)
    changed.push(`budget ${before.budget ?? 'none'} → ${after.budget ?? 'none'}`);
  return changed.join(', ');
}

function changeOf(before: ChildSpec | undefined, after: ChildSpec): ChildChange {
  if (before === undefined) return { change: 'start', why: 'new in the config', after };
  const both = { before, after };
  if (before.address !== after.address) return { change: 'restart', why: `was ${before.address}`, ...both };
  if (machineName(before) !== machineName(after))
    return { change: 'restart', why: 'another machine', ...both };
  if (after.supervisor !== undefined && before.supervisor !== undefined) {
    if (!sameData(before.supervisor, after.supervisor))
      return { change: 'nested', why: 'its tree changed', ...both };
  } else if (!sameData(before.input, after.input)) {
    return { change: 'restart', why: 'input changed: it begins anew', ...both };
  }
  if (before.machine !== after.machine)
    return { change: 'migrate', why: 'another version of its machine', ...both };
  if (before.restart !== after.restart) {
    return { change: 'update', why: `restart ${before.restart} → ${after.restart}`, ...both };
  }
  return { change: 'unchanged', why: '', ...both };
}

function machineName(child: ChildSpec): string {
  return child.machine.slice(0, child.machine.lastIndexOf('@'));
}

/** Equality of plain data; the order of keys means nothing, and an absent key is an undefined one. */
export function sameData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const left = a as Readonly<Record<string, unknown>>;
  const right = b as Readonly<Record<string, unknown>>;
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  for (const key of keys) if (!sameData(left[key], right[key])) return false;
  return true;
}
