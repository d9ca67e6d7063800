/**
 * The instructions that are let in, and what follows each opcode.
 *
 * O1  What is not listed is refused: exceptions, threads, GC, typed function references, relaxed SIMD, wide arithmetic.
 *     Relaxed SIMD gives other results on other machines.
 */

/** What follows an opcode. */
export const Immediates = {
  refused: 0,
  none: 1,
  blockType: 2,
  label: 3,
  labels: 4,
  index: 5,
  twoIndices: 6,
  memory: 7,
  s32: 8,
  s64: 9,
  bytes4: 10,
  bytes8: 11,
  bytes16: 12,
  types: 13,
  reference: 14,
  /** The index of a memory, which is 0. */
  zero: 15,
  twoZeros: 16,
  indexZero: 17,
  lane: 18,
  memoryLane: 19,
  local: 20,
  global: 21,
} as const;
export type Immediate = (typeof Immediates)[keyof typeof Immediates];

/** Opcodes that the meter treats apart. Prefixed ones are prefix << 8 | number. */
export const Op = {
  unreachable: 0x00,
  nop: 0x01,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  f32Const: 0x43,
  f64Const: 0x44,
  i32Ne: 0x47,
  i32GtU: 0x4b,
  i32Sub: 0x6b,
  i64LtS: 0x53,
  i64Sub: 0x7d,
  i64Shl: 0x86,
  i64ShrU: 0x88,
  i64ExtendI32U: 0xad,
  refNull: 0xd0,
  refFunc: 0xd2,
  memoryInit: 0xfc08,
  memoryCopy: 0xfc0a,
  memoryFill: 0xfc0b,
  tableInit: 0xfc0c,
  tableCopy: 0xfc0e,
  tableGrow: 0xfc0f,
  tableFill: 0xfc11,
  v128Const: 0xfd0c,
} as const;

export const PREFIX_MISC = 0xfc;
export const PREFIX_SIMD = 0xfd;

const plain = new Uint8Array(256);
const misc = new Uint8Array(18);
const simd = new Uint8Array(256);

function allow(
  table: Uint8Array,
  immediate: Immediate,
  ...ranges: readonly (readonly [number, number])[]
): void {
  for (const [first, last] of ranges) table.fill(immediate, first, last + 1);
}

allow(
  plain,
  Immediates.none,
  [0x00, 0x01],
  [0x05, 0x05],
  [0x0b, 0x0b],
  [0x0f, 0x0f],
  [0x1a, 0x1b],
  [0x45, 0xc4],
);
allow(plain, Immediates.none, [0xd1, 0xd1]);
allow(plain, Immediates.blockType, [0x02, 0x04]);
allow(plain, Immediates.label, [0x0c, 0x0d]);
allow(plain, Immediates.labels, [0x0e, 0x0e]);
allow(plain, Immediates.index, [0x10, 0x10], [0x12, 0x12], [0x25, 0x26], [0xd2, 0xd2]);
allow(plain, Immediates.twoIndices, [0x11, 0x11], [0x13, 0x13]);
allow(plain, Immediates.types, [0x1c, 0x1c]);
allow(plain, Immediates.local, [0x20, 0x22]);
allow(plain, Immediates.global, [0x23, 0x24]);
allow(plain, Immediates.memory, [0x28, 0x3e]);
allow(plain, Immediates.zero, [0x3f, 0x40]);
allow(plain, Immediates.s32, [0x41, 0x41]);
allow(plain, Immediates.s64, [0x42, 0x42]);
allow(plain, Immediates.bytes4, [0x43, 0x43]);
allow(plain, Immediates.bytes8, [0x44, 0x44]);
allow(plain, Immediates.reference, [0xd0, 0xd0]);

allow(misc, Immediates.none, [0, 7]);
allow(misc, Immediates.indexZero, [8, 8]);
allow(misc, Immediates.index, [9, 9], [13, 13], [15, 17]);
allow(misc, Immediates.twoZeros, [10, 10]);
allow(misc, Immediates.zero, [11, 11]);
allow(misc, Immediates.twoIndices, [12, 12], [14, 14]);

allow(simd, Immediates.memory, [0x00, 0x0b], [0x5c, 0x5d]);
allow(simd, Immediates.bytes16, [0x0c, 0x0d]);
allow(simd, Immediates.none, [0x0e, 0x14], [0x23, 0x53], [0x5e, 0xff]);
allow(simd, Immediates.lane, [0x15, 0x22]);
allow(simd, Immediates.memoryLane, [0x54, 0x5b]);
// Numbers in between that no instruction has.
const GAPS = [
  0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4,
  0xe2, 0xee,
];
for (const gap of GAPS) simd[gap] = Immediates.refused;

/** O1. The opcode is one byte, or prefix << 8 | number. */
export function immediateOf(code: number): Immediate {
  const table = code < 0x100 ? plain : code >> 8 === PREFIX_MISC ? misc : simd;
  return (table[code < 0x100 ? code : code & 0xff] ?? Immediates.refused) as Immediate;
}

const FREE = new Set<number>([
  Op.nop,
  Op.block,
  Op.loop,
  Op.else,
  Op.end,
  Op.unreachable,
  Op.return,
  Op.drop,
]);
/** Calls look up, check and keep: more than one instruction's work. */
const CALL = 4;
const CALL_INDIRECT = 8;
/** The most of a function's entry that is paid by those who call it, known or not. */
export const CALLEE_UNITS_MAX = 8;

const BY_COUNT = new Set<number>([
  Op.memoryGrow,
  Op.memoryInit,
  Op.memoryCopy,
  Op.memoryFill,
  Op.tableInit,
  Op.tableCopy,
  Op.tableFill,
  Op.tableGrow,
]);

/** What an instruction takes of the fuel, beside what it does by size. */
export function costOf(code: number): number {
  if (code === Op.call || code === Op.returnCall) return CALL;
  if (code === Op.callIndirect || code === Op.returnCallIndirect) return CALL_INDIRECT;
  return FREE.has(code) ? 0 : 1;
}

/** What costs more the more it is given to do. */
export function isPaidByCount(code: number): boolean {
  return (code === Op.memoryGrow || code > 0xff) && BY_COUNT.has(code);
}
