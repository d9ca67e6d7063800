/** Which values survive JSON unchanged. Msgpack can carry more, and what JSON cannot say a signature cannot cover. */

/** Nesting that an envelope may have: deeper ones are an attack on whoever walks them. */
export const DEPTH_MAX = 64;

/** The path of the first value without a JSON form (`content.a.0`), or undefined where there is none. */
export function nonJsonPath(value: unknown, path = '', depth = 0): string | undefined {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? undefined : path;
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : path;
    case 'object':
      break;
    default:
      return path;
  }
  if (value === null) return undefined;
  if (depth >= DEPTH_MAX) return path;
  if (Array.isArray(value)) return firstBad(value.entries(), path, depth);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return path;
  return firstBad(Object.entries(value), path, depth);
}

function firstBad(
  entries: Iterable<[string | number, unknown]>,
  path: string,
  depth: number,
): string | undefined {
  for (const [key, value] of entries) {
    const here = path === '' ? String(key) : `${path}.${key}`;
    if (typeof key === 'string' && (key === '__proto__' || !key.isWellFormed())) return here;
    // An own toJSON would let a value show one face to the signature and another to the machine.
    if (key === 'toJSON' && typeof value === 'function') return here;
    const bad = nonJsonPath(value, here, depth + 1);
    if (bad !== undefined) return bad;
  }
  return undefined;
}
