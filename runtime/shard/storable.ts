/**
 * What the log and a snapshot give back as it went in. A step that holds or puts out anything else would be folded to
 * another state than it was answered with.
 */

/** Deeper nesting is refused: a cycle, or data made to exhaust a stack. */
export const STORED_DEPTH_MAX = 128;
/** Values walked at most: shared parts count each time, as they do in the log. */
const VALUES_MAX = 4_000_000;

let left = 0;

/**
 * Why a value cannot be stored; undefined where it can. On the way a negative zero becomes zero, a hole undefined, and
 * half a character U+FFFD: in place, since a copy of each context would cost more than the step. Changes nothing else.
 */
export function storageProblem(value: unknown): string | undefined {
  left = VALUES_MAX;
  return problemOf(value, 0);
}

/** The same for a context: parts that it has in common with the one `before`, which was looked at, are passed over. */
export function contextProblem(context: unknown, before: unknown): string | undefined {
  left = VALUES_MAX;
  return problemOf(context, 0, before);
}

function problemOf(value: unknown, depth: number, before?: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'undefined':
      return undefined;
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? undefined : 'an integer above 64 bits';
    case 'object':
      return value === null || value === before ? undefined : containerProblem(value, depth, before);
    default:
      return `a ${typeof value}`;
  }
}

function containerProblem(value: object, depth: number, before: unknown): string | undefined {
  if (depth >= STORED_DEPTH_MAX) return `data nested deeper than ${STORED_DEPTH_MAX} levels, or a cycle`;
  left -= 1;
  if (Array.isArray(value)) {
    left -= value.length;
    if (left < 0) return `more than ${VALUES_MAX} values`;
    const was: readonly unknown[] = Array.isArray(before) ? before : [];
    for (let i = 0; i < value.length; i++) {
      // Most rows of a table that a step changes one of.
      const item: unknown = value[i];
      if (typeof item === 'object' && item !== null && item === was[i]) continue;
      const problem = fieldProblem(value as unknown as Record<number, unknown>, i, depth, before);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    // A subclass (a Node buffer) would come back as its base.
    return prototype === Uint8Array.prototype ? undefined : `a ${className(value)}`;
  }
  const holder = value as Readonly<Record<string, unknown>>;
  const was = typeof before === 'object' && before !== null ? (before as typeof holder) : undefined;
  for (const key in holder) {
    left -= 1;
    const isKnown = was !== undefined && isLookedAt(was[key], key);
    if (isKnown && Object.is(holder[key], was[key])) continue;
    const problem = (isKnown ? undefined : keyProblem(key)) ?? fieldProblem(holder, key, depth, before);
    if (problem !== undefined) return problem;
  }
  return left < 0 ? `more than ${VALUES_MAX} values` : undefined;
}

/**
 * What was there before was looked at, key and all: most fields of a row that a step writes anew. Only functions and the
 * prototype itself are found in an object that was never given them.
 */
function isLookedAt(was: unknown, key: string): boolean {
  return was !== undefined && typeof was !== 'function' && key !== '__proto__';
}

function keyProblem(key: string): string | undefined {
  // The decoder writes it as another.
  if (key === '__proto__') return 'a key that reaches a prototype';
  return key.isWellFormed() ? undefined : 'a key that is no Unicode';
}

function fieldProblem(
  holder: Record<string | number, unknown>,
  key: string | number,
  depth: number,
  before: unknown,
): string | undefined {
  const item = holder[key];
  if (typeof item === 'string') {
    if (item.isWellFormed()) return undefined;
    return Reflect.set(holder, key, item.toWellFormed()) ? undefined : 'frozen text that is no Unicode';
  }
  if (item === 0) {
    if (!Object.is(item, -0)) return undefined;
    return Reflect.set(holder, key, 0) ? undefined : 'a frozen negative zero';
  }
  if (item === undefined && !(key in holder)) {
    return Reflect.set(holder, key, undefined) ? undefined : 'a frozen array with a hole';
  }
  if (typeof item !== 'object' || item === null) return problemOf(item, depth);
  const was = typeof before === 'object' && before !== null ? (before as typeof holder)[key] : undefined;
  return problemOf(item, depth + 1, was);
}

function className(value: object): string {
  const made = (value as { constructor?: { name?: unknown } }).constructor;
  return typeof made?.name === 'string' && made.name !== '' ? made.name : 'class instance';
}
