/** Finds the first part of a value that would not come back from storage as it went in; undefined where all is safe. */
export function unsafeData(
  value: unknown,
  path = '',
  above: readonly object[] = [],
): { readonly path: string; readonly what: string } | undefined {
  if (typeof value === 'function' || typeof value === 'symbol') return { path, what: `a ${typeof value}` };
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined;
  if (above.includes(value)) return { path, what: 'a cycle' };
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && !Array.isArray(value)) {
    return { path, what: `a ${value.constructor?.name ?? 'class instance'}` };
  }
  for (const [key, part] of Object.entries(value)) {
    const found = unsafeData(part, `${path}.${key}`, [...above, value]);
    if (found !== undefined) return found;
  }
  return undefined;
}
