/**
 * Looks over msgpack from outside before it is decoded. A decoder believes what the bytes say of themselves: a few of
 * them announce arrays of gigabytes, depths that end a stack, or references that unfold into billions of values.
 */

import { BODY_DEPTH_MAX } from './plain-data.ts';

/** Extension 0, by which msgpackr writes `undefined`: the only one a body may hold. */
const UNDEFINED_EXTENSION = 0;

/** What is wrong with the bytes as one plain value; undefined where nothing is. Takes linear time and little memory. */
export function msgpackProblem(bytes: Uint8Array, depthMax = BODY_DEPTH_MAX): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.byteLength;
  /** Values still due in each open container; those of maps alternate between keys and values. */
  const due: number[] = [1];
  const isMap: boolean[] = [false];
  let at = 0;
  for (let level = 0; level >= 0; ) {
    const left = due[level] ?? 0;
    if (left === 0) {
      due.pop();
      isMap.pop();
      level -= 1;
      continue;
    }
    due[level] = left - 1;
    if (at >= end) return 'ends too early';
    const token = bytes[at] ?? 0;
    const isKey = isMap[level] === true && left % 2 === 0;
    if (isKey && !isText(token)) return 'has a key that is no text';
    const shape = SHAPES[token] ?? FORBIDDEN;
    if (shape === FORBIDDEN) return 'holds an extension';
    at += 1;
    if (at + shape.lengthBytes > end) return 'ends too early';
    const length = shape.fixed ?? readLength(view, at, shape.lengthBytes);
    at += shape.lengthBytes;
    if (shape.kind === 'bytes') {
      at += length;
      if (at > end) return 'ends too early';
    } else if (shape.kind === 'undefined') {
      if (at + 2 > end) return 'ends too early';
      if (bytes[at] !== UNDEFINED_EXTENSION) return 'holds an extension';
      at += 2;
    } else {
      const items = shape.kind === 'map' ? length * 2 : length;
      // Every value takes a byte at least.
      if (items > end - at) return 'announces more than it holds';
      level += 1;
      if (level > depthMax) return `is nested deeper than ${depthMax} levels`;
      due.push(items);
      isMap.push(shape.kind === 'map');
    }
  }
  return at === end ? undefined : 'goes on behind its end';
}

interface Shape {
  readonly kind: 'bytes' | 'array' | 'map' | 'undefined';
  /** Bytes of the length that follows the token. */
  readonly lengthBytes: number;
  /** Length where the token tells it. */
  readonly fixed: number | undefined;
}

const FORBIDDEN: Shape = { kind: 'bytes', lengthBytes: 0, fixed: 0 };
const SHAPES: readonly Shape[] = Array.from({ length: 256 }, (_, token) => shapeOf(token));

function shapeOf(token: number): Shape {
  if (token <= 0x7f || token >= 0xe0) return fixed('bytes', 0);
  if (token <= 0x8f) return fixed('map', token & 0x0f);
  if (token <= 0x9f) return fixed('array', token & 0x0f);
  if (token <= 0xbf) return fixed('bytes', token & 0x1f);
  switch (token) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return fixed('bytes', 0);
    case 0xcc:
    case 0xd0:
      return fixed('bytes', 1);
    case 0xcd:
    case 0xd1:
      return fixed('bytes', 2);
    case 0xca:
    case 0xce:
    case 0xd2:
      return fixed('bytes', 4);
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return fixed('bytes', 8);
    case 0xc4:
    case 0xd9:
      return { kind: 'bytes', lengthBytes: 1, fixed: undefined };
    case 0xc5:
    case 0xda:
      return { kind: 'bytes', lengthBytes: 2, fixed: undefined };
    case 0xc6:
    case 0xdb:
      return { kind: 'bytes', lengthBytes: 4, fixed: undefined };
    case 0xdc:
      return { kind: 'array', lengthBytes: 2, fixed: undefined };
    case 0xdd:
      return { kind: 'array', lengthBytes: 4, fixed: undefined };
    case 0xde:
      return { kind: 'map', lengthBytes: 2, fixed: undefined };
    case 0xdf:
      return { kind: 'map', lengthBytes: 4, fixed: undefined };
    case 0xd4:
      return fixed('undefined', 0);
    default:
      return FORBIDDEN;
  }
}

function fixed(kind: Shape['kind'], length: number): Shape {
  return { kind, lengthBytes: 0, fixed: length };
}

function readLength(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at);
  return bytes === 2 ? view.getUint16(at) : view.getUint32(at);
}

function isText(token: number): boolean {
  return (token >= 0xa0 && token <= 0xbf) || (token >= 0xd9 && token <= 0xdb);
}
