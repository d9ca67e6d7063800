/** What of a decoded value the fabric takes: data that the log gives back as it came. */

/** Deepest nesting of a body: deeper ones exist only to exhaust a stack. */
export const BODY_DEPTH_MAX = 64;

/**
 * Why a value is no plain data; undefined where it is. A negative zero becomes zero on the way: the log keeps no
 * difference, so no machine may see one.
 */
export function plainDataProblem(value: unknown, depth = 0): string | undefined {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? undefined : 'holds a number that is not finite';
    case 'string':
      return value.isWellFormed() ? undefined : 'holds text that is no Unicode';
    case 'boolean':
    case 'undefined':
      return undefined;
    case 'bigint':
      return 'holds an integer beyond 2^53';
    case 'object':
      return value === null ? undefined : containerProblem(value, depth);
    default:
      return 'holds no plain data';
  }
}

function containerProblem(value: object, depth: number): string | undefined {
  if (depth >= BODY_DEPTH_MAX) return `is nested deeper than ${BODY_DEPTH_MAX} levels`;
  if (value instanceof Uint8Array) return undefined;
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      if (item === 0) value[i] = 0;
      const problem = plainDataProblem(item, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return 'holds a value that is no plain data';
  const fields = value as Record<string, unknown>;
  for (const key of Object.keys(fields)) {
    // The msgpack decoder writes the one as the other.
    if (key === '__proto__' || key === '__proto_') return 'has a key that reaches a prototype';
    if (!key.isWellFormed()) return 'holds text that is no Unicode';
    const item = fields[key];
    if (item === 0) fields[key] = 0;
    const problem = plainDataProblem(item, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
