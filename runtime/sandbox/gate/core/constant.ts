/** Constant expressions: what a global, a segment of data or of a table begins with. */
import { gateErrors } from '../errors.ts';
import type { Reader } from '../reader.ts';
import type { Writer } from '../writer.ts';
import { type Instruction, readInstruction } from './instruction.ts';
import { Op } from './opcodes.ts';

/** With the arithmetic that linkers use for position-independent code. */
const ALLOWED = new Set<number>([
  Op.i32Const,
  Op.i64Const,
  Op.f32Const,
  Op.f64Const,
  Op.v128Const,
  Op.refNull,
  Op.refFunc,
  Op.globalGet,
  0x6a,
  0x6b,
  0x6c,
  0x7c,
  0x7d,
  0x7e,
  Op.end,
]);

/** Copies one, with the globals at their new places. */
export function copyConstant(reader: Reader, out: Writer, globalAt: (index: number) => number): void {
  const instruction: Instruction = { at: 0, code: 0, index: 0 };
  do {
    readInstruction(reader, instruction);
    if (!ALLOWED.has(instruction.code)) {
      const code = instruction.code.toString(16);
      throw reader.refuse(
        gateErrors.component_feature,
        `0x${code} in a constant is not allowed`,
        instruction.at,
      );
    }
    if (instruction.code === Op.globalGet) {
      out.u8(Op.globalGet);
      out.u32(globalAt(instruction.index));
    } else out.raw(reader.since(instruction.at));
  } while (instruction.code !== Op.end);
}
