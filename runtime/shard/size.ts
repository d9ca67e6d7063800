/** An upper bound of a value's msgpack size, far cheaper than encoding it. */
import { STORED_DEPTH_MAX } from './storable.ts';

const NUMBER_BYTES = 9;
const HEADER_BYTES = 5;
/** Deeper values are refused; the estimate stops there. */
const DEPTH_MAX = STORED_DEPTH_MAX;
/** The estimate stops counting here: beyond every limit, and a bound on its own time. */
const BYTES_MAX = 64 * 1024 * 1024;

export function estimateBytes(value: unknown, depth = 0): number {
  switch (typeof value) {
    case 'string':
      // UTF-16 code units are at most three UTF-8 bytes each.
      return HEADER_BYTES + value.length * 3;
    case 'number':
    case 'bigint':
      return NUMBER_BYTES;
    case 'object': {
      if (value === null || depth > DEPTH_MAX) return 1;
      if (value instanceof Uint8Array) return HEADER_BYTES + value.byteLength;
      let bytes = HEADER_BYTES;
      if (Array.isArray(value)) {
        for (const item of value) {
          bytes += estimateBytes(item, depth + 1);
          if (bytes > BYTES_MAX) break;
        }
        return bytes;
      }
      for (const key in value) {
        bytes +=
          HEADER_BYTES + key.length * 3 + estimateBytes((value as Record<string, unknown>)[key], depth + 1);
        if (bytes > BYTES_MAX) break;
      }
      return bytes;
    }
    default:
      return 2;
  }
}
