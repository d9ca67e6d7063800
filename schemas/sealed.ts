/**
 * A sealed value: what stands in events, states, replies and the log in place of a personal one. Its plaintext needs
 * the data key of its subject; without it the value is as opaque as after the key's destruction.
 */

/** The only key of a sealed value. */
export const SEALED = '$sealed';

export interface Sealed {
  readonly [SEALED]: {
    readonly v: 1;
    /** Whose data it is. */
    readonly subject: string;
    /** JSON Pointer of the field in the event it came with. */
    readonly path: string;
    /** Data key that it was sealed with. */
    readonly kid: string;
    /** 96 bits, base64url. */
    readonly iv: string;
    /** AES-256-GCM ciphertext and tag, base64url. */
    readonly ct: string;
  };
}

const FIELDS = ['subject', 'path', 'kid', 'iv', 'ct'] as const;

/** True for a well-formed sealed value; says nothing of whether it opens. */
export function isSealed(value: unknown): value is Sealed {
  if (!looksSealed(value) || Object.keys(value).length !== 1) return false;
  const inner = value[SEALED] as Record<string, unknown> | null;
  return (
    typeof inner === 'object' &&
    inner !== null &&
    inner['v'] === 1 &&
    Object.keys(inner).length === FIELDS.length + 1 &&
    FIELDS.every((field) => typeof inner[field] === 'string')
  );
}

/** True for anything that could pass for a sealed value, well-formed or not. */
export function looksSealed(value: unknown): value is Record<typeof SEALED, unknown> {
  return typeof value === 'object' && value !== null && SEALED in value;
}

/** Every sealed value in plain data, in its order. */
export function* sealedIn(value: unknown): Generator<Sealed, void, undefined> {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  if (isSealed(value)) {
    yield value;
    return;
  }
  for (const item of Array.isArray(value) ? value : Object.values(value)) yield* sealedIn(item);
}

/** The value with every sealed value in it replaced; the value itself where there is none. */
export function replaceSealed(value: unknown, replace: (sealed: Sealed) => unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (isSealed(value)) return replace(value);
  let isChanged = false;
  const mapped = (item: unknown): unknown => {
    const next = replaceSealed(item, replace);
    isChanged ||= next !== item;
    return next;
  };
  const copy = Array.isArray(value)
    ? value.map(mapped)
    : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapped(item)]));
  return isChanged ? copy : value;
}
