/** Copies what a driver returned: only plain data of bounded size goes into the log. */
import { FabricError } from '#schemas/fabric-error';
import { effectErrors } from './errors.ts';

const DEPTH_MAX = 64;
/** Rough size of a number, a key's frame or an empty collection in the log; it makes shared parts count each time. */
const PART_BYTES = 2;

/**
 * A deep copy, so that nothing a driver does later reaches it. Undefined fields are left out, undefined items are
 * null, half characters U+FFFD, and a negative zero is zero. Throws `effect_output_too_big` past `bytesMax`,
 * `effect_output_not_plain` for anything else that storage would change.
 */
export function plainCopy(value: unknown, bytesMax: number): unknown {
  let left = bytesMax;
  const spend = (bytes: number): void => {
    left -= bytes;
    if (left >= 0) return;
    throw new FabricError(effectErrors.effect_output_too_big, `The output is above ${bytesMax} bytes`, {
      details: { bytesMax },
    });
  };
  const refuse = (path: string, what: string): never => {
    throw new FabricError(effectErrors.effect_output_not_plain, `output${path} is ${what}`);
  };
  const copy = (part: unknown, path: string, depth: number): unknown => {
    spend(PART_BYTES);
    if (typeof part === 'string') {
      spend(Buffer.byteLength(part));
      return part.toWellFormed();
    }
    // The log keeps no difference.
    if (part === 0) return 0;
    if (typeof part === 'function' || typeof part === 'symbol') return refuse(path, `a ${typeof part}`);
    if (typeof part === 'bigint' && BigInt.asIntN(64, part) !== part) return refuse(path, 'above 64 bits');
    if (typeof part !== 'object' || part === null) return part;
    if (depth === DEPTH_MAX) return refuse(path, 'nested too deep, or a cycle');
    if (part instanceof Uint8Array) {
      spend(part.byteLength);
      return Uint8Array.from(part);
    }
    if (Array.isArray(part)) {
      // A sparse array may claim four billion items: its length is paid for before any is read.
      spend(part.length);
      return Array.from(part, (item, n) => copy(item, `${path}[${n}]`, depth + 1) ?? null);
    }
    const prototype: unknown = Object.getPrototypeOf(part);
    if (prototype !== Object.prototype && prototype !== null) return refuse(path, 'a class instance');
    const fields: [string, unknown][] = [];
    for (const [key, field] of Object.entries(part)) {
      if (field === undefined) continue;
      spend(Buffer.byteLength(key));
      // The decoder writes it as another.
      if (key === '__proto__') return refuse(path, 'an object with a key that reaches a prototype');
      fields.push([key.toWellFormed(), copy(field, `${path}.${key}`, depth + 1)]);
    }
    return Object.fromEntries(fields);
  };
  try {
    return copy(value, '', 0);
  } catch (thrown) {
    if (thrown instanceof FabricError) throw thrown;
    // A getter or a proxy of the driver's own.
    throw new FabricError(effectErrors.effect_output_not_plain, 'The output cannot be read', {
      cause: thrown,
    });
  }
}
