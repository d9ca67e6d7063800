/** JSON Pointers (RFC 6901) with `*` for any item or key. Pure; nothing given is changed. */
import { isSealed } from '#schemas/sealed';

export type Pointer = readonly string[];

const ANY = '*';

export function parsePointer(text: string): Pointer {
  return text
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

export function pointerText(tokens: Pointer): string {
  return tokens.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** The value at a pointer without wildcards; undefined where there is none. */
export function valueAt(value: unknown, pointer: Pointer): unknown {
  let at = value;
  for (const token of pointer) {
    if (!isContainer(at) || !Object.hasOwn(at, token)) return undefined;
    at = (at as Record<string, unknown>)[token];
  }
  return at;
}

/**
 * A copy with every value that a pointer leads to replaced; the value itself where none leads anywhere. What lies
 * inside a value that was replaced, or is sealed, is not looked at again.
 */
export function mapAt(
  value: unknown,
  pointers: readonly Pointer[],
  replace: (value: unknown, path: string) => unknown,
): unknown {
  let mapped = value;
  for (const pointer of [...pointers].sort((a, b) => a.length - b.length)) {
    mapped = mapOne(mapped, pointer, 0, [], replace);
  }
  return mapped;
}

/** The paths of all values that pointers lead to. */
export function pathsAt(value: unknown, pointers: readonly Pointer[]): string[] {
  const paths: string[] = [];
  mapAt(value, pointers, (found, path) => {
    paths.push(path);
    return found;
  });
  return paths;
}

function mapOne(
  value: unknown,
  pointer: Pointer,
  depth: number,
  path: readonly string[],
  replace: (value: unknown, path: string) => unknown,
): unknown {
  const token = pointer[depth];
  if (token === undefined) return value === undefined ? value : replace(value, pointerText(path));
  if (!isContainer(value) || isSealed(value)) return value;
  const keys = token === ANY ? Object.keys(value) : Object.hasOwn(value, token) ? [token] : [];
  let copy: Record<string, unknown> | undefined;
  for (const key of keys) {
    const item = (value as Record<string, unknown>)[key];
    const next = mapOne(item, pointer, depth + 1, [...path, key], replace);
    if (next === item) continue;
    copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
    copy[key] = next;
  }
  return copy ?? value;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
}
