/** The types of values: numbers, v128, and references to functions and to the host's things. */
import { gateErrors } from '../errors.ts';
import type { Reader } from '../reader.ts';

export const I32 = 0x7f;
export const I64 = 0x7e;
const FUNCTION_REFERENCE = 0x70;
const HOST_REFERENCE = 0x6f;
const VALUES = new Set([I32, I64, 0x7d, 0x7c, 0x7b, FUNCTION_REFERENCE, HOST_REFERENCE]);
/** A block without parameters and results. */
export const EMPTY = 0x40;

export function valueType(reader: Reader): number {
  const { at } = reader;
  const type = reader.u8();
  if (VALUES.has(type)) return type;
  throw reader.refuse(
    gateErrors.component_feature,
    `The value type 0x${type.toString(16)} is not allowed`,
    at,
  );
}

export function referenceType(reader: Reader): void {
  const { at } = reader;
  const type = reader.u8();
  if (type === FUNCTION_REFERENCE || type === HOST_REFERENCE) return;
  throw reader.refuse(
    gateErrors.component_feature,
    `The reference type 0x${type.toString(16)} is not allowed`,
    at,
  );
}

/** Nothing, the type of one result, or the index of a function type. */
export function blockType(reader: Reader): void {
  const first = reader.peek();
  if (first === EMPTY) reader.skip(1);
  // One byte with the sign bit of a 33-bit number: a type, not an index.
  else if (first > EMPTY && first < 0x80) valueType(reader);
  else reader.skipSigned(33);
}
