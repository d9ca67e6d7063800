/** Whether two machine objects say the same: a file that is read again gives new objects for old versions. */
import type { AnyStateMachine } from 'xstate';

/** Compares configs and implementations by their data and the source text of their functions. */
export function isSameMachine(a: AnyStateMachine, b: AnyStateMachine): boolean {
  return a === b || textOf(a) === textOf(b);
}

function textOf(machine: AnyStateMachine): string {
  const seen = new WeakSet<object>();
  return JSON.stringify([machine.config, machine.implementations], (_key, value: unknown) => {
    if (typeof value === 'function') return `function ${value.toString()} ${JSON.stringify({ ...value })}`;
    if (typeof value !== 'object' || value === null) return value;
    if (seen.has(value)) return '(seen)';
    seen.add(value);
    const { config } = value as { config?: unknown };
    return config !== undefined && 'implementations' in value
      ? [config, (value as AnyStateMachine).implementations]
      : value;
  });
}
