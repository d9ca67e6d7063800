/** Instructions that take values and give one, by what they give. */

export const Types = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
export type ValueType = (typeof Types)[keyof typeof Types];

export interface Operator {
  readonly code: readonly number[];
  readonly takes: readonly ValueType[];
  /** The bits of a NaN that it makes are the machine's choice. */
  readonly makesNan?: boolean;
}

const { i32, i64, f32, f64, v128 } = Types;

function range(first: number, last: number, ...takes: readonly ValueType[]): Operator[] {
  return Array.from({ length: last - first + 1 }, (_, index) => ({ code: [first + index], takes }));
}

function misc(first: number, last: number, ...takes: readonly ValueType[]): Operator[] {
  return Array.from({ length: last - first + 1 }, (_, index) => ({ code: [0xfc, first + index], takes }));
}

function simd(codes: readonly number[], ...takes: readonly ValueType[]): Operator[] {
  return codes.map((code) => ({
    code: [0xfd, ...(code < 0x80 ? [code] : [(code & 0x7f) | 0x80, code >> 7])],
    takes,
  }));
}

const arithmetic = (operators: readonly Operator[]): Operator[] =>
  operators.map((operator) => ({ ...operator, makesNan: true }));

export const OPERATORS: Readonly<Record<ValueType, readonly Operator[]>> = {
  [i32]: [
    ...range(0x6a, 0x78, i32, i32),
    ...range(0x46, 0x4f, i32, i32),
    ...range(0x45, 0x45, i32),
    ...range(0x67, 0x69, i32),
    ...range(0xc0, 0xc1, i32),
    ...range(0x50, 0x50, i64),
    ...range(0x51, 0x5a, i64, i64),
    ...range(0x5b, 0x60, f32, f32),
    ...range(0x61, 0x66, f64, f64),
    ...range(0xa7, 0xa7, i64),
    ...range(0xa8, 0xa9, f32),
    ...range(0xaa, 0xab, f64),
    ...range(0xbc, 0xbc, f32),
    ...misc(0, 1, f32),
    ...misc(2, 3, f64),
    ...simd([0x53, 0x63, 0x64, 0xa3, 0xc4], v128),
  ],
  [i64]: [
    ...range(0x7c, 0x8a, i64, i64),
    ...range(0x79, 0x7b, i64),
    ...range(0xc2, 0xc4, i64),
    ...range(0xac, 0xad, i32),
    ...range(0xae, 0xaf, f32),
    ...range(0xb0, 0xb1, f64),
    ...range(0xbd, 0xbd, f64),
    ...misc(4, 5, f32),
    ...misc(6, 7, f64),
  ],
  [f32]: [
    ...range(0x8b, 0x8c, f32),
    ...arithmetic(range(0x8d, 0x91, f32)),
    ...arithmetic(range(0x92, 0x97, f32, f32)),
    ...range(0x98, 0x98, f32, f32),
    ...range(0xb2, 0xb3, i32),
    ...range(0xb4, 0xb5, i64),
    ...arithmetic(range(0xb6, 0xb6, f64)),
    ...range(0xbe, 0xbe, i32),
  ],
  [f64]: [
    ...range(0x99, 0x9a, f64),
    ...arithmetic(range(0x9b, 0x9f, f64)),
    ...arithmetic(range(0xa0, 0xa5, f64, f64)),
    ...range(0xa6, 0xa6, f64, f64),
    ...range(0xb7, 0xb8, i32),
    ...range(0xb9, 0xba, i64),
    ...arithmetic(range(0xbb, 0xbb, f32)),
    ...range(0xbf, 0xbf, i64),
  ],
  [v128]: [
    ...simd([0x0f, 0x10, 0x11], i32),
    ...simd([0x12], i64),
    ...simd([0x13], f32),
    ...simd([0x14], f64),
    ...simd(
      [
        0x0e, 0x23, 0x2d, 0x37, 0x4e, 0x50, 0x51, 0x65, 0x6e, 0x85, 0x8e, 0x95, 0xae, 0xb1, 0xb5, 0xba, 0xce,
        0xd1, 0xd5,
      ],
      v128,
      v128,
    ),
    ...simd([0x4d, 0x60, 0x61, 0x62, 0x80, 0x87, 0xa0, 0xa1, 0xa7, 0xc0, 0xc1], v128),
    ...simd([0x52], v128, v128, v128),
    ...simd([0x6b, 0x8b, 0xab, 0xcb], v128, i32),
  ],
};

/** Loads and stores of whole or partial values, with the widest alignment that each may claim. */
export const LOADS: Readonly<
  Record<ValueType, readonly (readonly [code: readonly number[], align: number])[]>
> = {
  [i32]: [
    [[0x28], 2],
    [[0x2c], 0],
    [[0x2d], 0],
    [[0x2e], 1],
    [[0x2f], 1],
  ],
  [i64]: [
    [[0x29], 3],
    [[0x30], 0],
    [[0x31], 0],
    [[0x32], 1],
    [[0x33], 1],
    [[0x34], 2],
    [[0x35], 2],
  ],
  [f32]: [[[0x2a], 2]],
  [f64]: [[[0x2b], 3]],
  [v128]: [
    [[0xfd, 0x00], 4],
    [[0xfd, 0x01], 3],
    [[0xfd, 0x07], 0],
    [[0xfd, 0x0a], 3],
    [[0xfd, 0x5c], 2],
  ],
};

export const STORES: typeof LOADS = {
  [i32]: [
    [[0x36], 2],
    [[0x3a], 0],
    [[0x3b], 1],
  ],
  [i64]: [
    [[0x37], 3],
    [[0x3c], 0],
    [[0x3d], 1],
    [[0x3e], 2],
  ],
  [f32]: [[[0x38], 2]],
  [f64]: [[[0x39], 3]],
  [v128]: [[[0xfd, 0x0b], 4]],
};
