/**
 * Fuel in the body of one function.
 *
 * B1  The same run takes the same fuel on every machine and at every level of optimisation: what is charged follows
 *     from the instructions alone, never from time or from how the engine runs them.
 * B2  Instructions are charged by straight stretches: before the first of them for all of them. A stretch ends where
 *     code may leave it or be entered: labels, branches, returns.
 * B3  The fuel is compared with zero at the beginning of each function and of each turn of a loop, so that no code
 *     runs longer than through its own length without having paid.
 * B4  What grows with a number at run time (filling, copying, growing) is paid by that number before it is done.
 * B5  In a function with a loop the fuel is in a local, for speed; it is in the global whenever other code can look: at
 *     calls, at the ends, and at every comparison, so that a trap forgets a stretch at most. Without a loop there is
 *     nothing to gain, and it stays in the global.
 * B6  The guest cannot name the meter's globals and locals: its globals are counted around them, and a local beyond
 *     its own is refused.
 * B7  Memories grow as long as the run has pages left, whatever each of them may have by itself.
 */
import { gateErrors } from '../errors.ts';
import { Reader } from '../reader.ts';
import type { GateLimits } from '../types.ts';
import { Writer } from '../writer.ts';
import { type Instruction, readInstruction } from './instruction.ts';
import { costOf, Op } from './opcodes.ts';
import { EMPTY, I32, I64, valueType } from './value-types.ts';

/** Of one function. */
const LOCALS_MAX = 10_000;
/** Bytes of memory that count as one instruction when they are filled or copied: 2³. */
const BYTES_PER_UNIT_LOG2 = 3;
/** A page that is added costs as many instructions: 2¹⁰. */
const PAGE_LOG2 = 10;
/** As an operand of i32.const. */
const MINUS_ONE = 0x7f;

export interface BodyContext {
  readonly limits: GateLimits;
  readonly fuelGlobal: number;
  readonly pagesGlobal: number;
  /** Where a global of the guest is now (B6). */
  readonly globalAt: (index: number) => number;
}

export interface BodyStats {
  instructions: number;
  checks: number;
}

/** Writes the body of a function with so many parameters, its locals included. */
export function meterBody(
  body: Reader,
  parameters: number,
  context: BodyContext,
  stats: BodyStats,
): Uint8Array {
  return new BodyMeter(body, parameters, context, stats).write();
}

/** Whether a loop is in what is left of the body. */
function hasLoop(body: Reader): boolean {
  const instruction: Instruction = { at: 0, code: 0, index: 0 };
  while (!body.isDone) {
    readInstruction(body, instruction);
    if (instruction.code === Op.loop) return true;
  }
  return false;
}

class BodyMeter {
  readonly #body: Reader;
  readonly #context: BodyContext;
  readonly #stats: BodyStats;
  readonly #locals: Reader;
  readonly #localGroups: number;
  /** The first local of the meter: the fuel. */
  readonly #fuel: number;
  /** Two more, for operands of what grows. */
  readonly #count: number;
  readonly #grown: number;
  /** B5. */
  readonly #isInLocal: boolean;
  #usesCounts = false;
  readonly #out: Writer;
  /** The stretch at hand, as far as it was rewritten. */
  readonly #stretch = new Writer();
  /** From here on the stretch is as in the source. */
  #copiedTo: number;
  #cost = 0;
  #depth = 0;

  constructor(body: Reader, parameters: number, context: BodyContext, stats: BodyStats) {
    this.#body = body;
    this.#context = context;
    this.#stats = stats;
    this.#out = new Writer((body.end - body.at) * 2 + 64);
    this.#localGroups = body.count(LOCALS_MAX, 'groups of locals');
    const start = body.at;
    this.#fuel = parameters + this.#readLocals();
    this.#locals = new Reader(body.bytes, start, body.at);
    this.#count = this.#fuel + 1;
    this.#grown = this.#fuel + 2;
    this.#copiedTo = body.at;
    this.#isInLocal = hasLoop(new Reader(body.bytes, body.at, body.end));
  }

  write(): Uint8Array {
    this.#takeFuel(this.#out);
    this.#rewrite();
    const whole = new Writer(this.#out.length + 64);
    whole.u32(this.#localGroups + (this.#usesCounts ? 2 : 1));
    whole.raw(this.#locals.bytes.subarray(this.#locals.at, this.#locals.end));
    whole.raw([1, I64]);
    if (this.#usesCounts) whole.raw([2, I32]);
    whole.raw(this.#out.written);
    return whole.written;
  }

  #readLocals(): number {
    let locals = 0;
    for (let left = this.#localGroups; left > 0; left -= 1) {
      const { at } = this.#body;
      locals += this.#body.u32();
      if (locals > LOCALS_MAX) {
        throw this.#body.refuse(
          gateErrors.component_too_large,
          `A function has more than ${LOCALS_MAX} locals`,
          at,
        );
      }
      valueType(this.#body);
    }
    return locals;
  }

  #rewrite(): void {
    const body = this.#body;
    const instruction: Instruction = { at: 0, code: 0, index: 0 };
    let isChecked = true; // B3
    const endStretch = () => {
      this.#endStretch(isChecked);
      isChecked = false;
    };
    while (!body.isDone) {
      readInstruction(body, instruction);
      const { code, index, at } = instruction;
      this.#stats.instructions += 1;
      this.#cost += costOf(code);
      switch (code) {
        case Op.block:
          this.#depth += 1;
          break;
        case Op.loop:
          this.#depth += 1;
          endStretch();
          isChecked = true; // B3
          this.#cost = 1;
          break;
        case Op.if:
          this.#depth += 1;
          endStretch();
          break;
        case Op.else:
        case Op.unreachable:
          endStretch();
          break;
        case Op.end:
          if (this.#depth === 0) this.#giveFuelBefore(at);
          endStretch();
          if (this.#depth === 0) {
            body.expectDone('a function');
            return;
          }
          this.#depth -= 1;
          break;
        case Op.br:
        case Op.brIf:
        case Op.brTable:
          if (index >= this.#depth) this.#giveFuelBefore(at);
          endStretch();
          break;
        case Op.return:
        case Op.returnCall:
        case Op.returnCallIndirect:
          this.#giveFuelBefore(at);
          endStretch();
          break;
        case Op.call:
        case Op.callIndirect:
          this.#giveFuelBefore(at);
          this.#copyTo(body.at);
          this.#takeFuel(this.#stretch);
          break;
        case Op.localGet:
        case Op.localSet:
        case Op.localTee:
          if (index >= this.#fuel) throw body.malformed('There is no such local', at); // B6
          break;
        case Op.globalGet:
        case Op.globalSet:
          this.#copyTo(at);
          this.#stretch.u8(code);
          this.#stretch.u32(this.#context.globalAt(index)); // B6
          this.#copiedTo = body.at;
          break;
        case Op.memoryGrow:
          this.#growMemory(at);
          break;
        case Op.memoryInit:
        case Op.memoryCopy:
        case Op.memoryFill:
          this.#payByCount(at, BYTES_PER_UNIT_LOG2);
          break;
        case Op.tableInit:
        case Op.tableCopy:
        case Op.tableFill:
          this.#payByCount(at, 0);
          break;
        case Op.tableGrow:
          this.#payAtMost(at, this.#context.limits.tableElementsMax);
          break;
      }
    }
    throw body.malformed('A function has no end');
  }

  /** B2: what the stretch costs, then the stretch. */
  #endStretch(isChecked: boolean): void {
    this.#copyTo(this.#body.at);
    const out = this.#out;
    if (this.#cost > 0 || isChecked) {
      this.#readFuel(out);
      out.u8(Op.i64Const);
      out.s32(this.#cost);
      out.u8(Op.i64Sub);
      this.#keepFuel(out, isChecked);
    }
    out.raw(this.#stretch.written);
    this.#stretch.clear();
    this.#cost = 0;
  }

  /** The difference on the stack is the fuel now; compared with zero if so wanted (B3). */
  #keepFuel(out: Writer, isChecked: boolean): void {
    if (!isChecked) {
      out.u8(this.#isInLocal ? Op.localSet : Op.globalSet);
      out.u32(this.#isInLocal ? this.#fuel : this.#context.fuelGlobal);
      return;
    }
    this.#stats.checks += 1;
    out.u8(Op.localTee);
    out.u32(this.#fuel);
    out.u8(Op.globalSet);
    out.u32(this.#context.fuelGlobal);
    out.u8(Op.localGet);
    out.u32(this.#fuel);
    out.raw([Op.i64Const, 0, Op.i64LtS, Op.if, EMPTY, Op.unreachable, Op.end]);
  }

  #readFuel(out: Writer): void {
    out.u8(this.#isInLocal ? Op.localGet : Op.globalGet);
    out.u32(this.#isInLocal ? this.#fuel : this.#context.fuelGlobal);
  }

  /** B5: from the global. */
  #takeFuel(out: Writer): void {
    if (!this.#isInLocal) return;
    out.u8(Op.globalGet);
    out.u32(this.#context.fuelGlobal);
    out.u8(Op.localSet);
    out.u32(this.#fuel);
  }

  /** B5: to the global, before the instruction at hand. */
  #giveFuelBefore(at: number): void {
    if (!this.#isInLocal) return;
    this.#copyTo(at);
    this.#stretch.u8(Op.localGet);
    this.#stretch.u32(this.#fuel);
    this.#stretch.u8(Op.globalSet);
    this.#stretch.u32(this.#context.fuelGlobal);
  }

  /** B4: the count is on top of the stack, and stays there. */
  #payByCount(at: number, perUnitLog2: number): void {
    this.#usesCounts = true;
    this.#copyTo(at);
    const out = this.#stretch;
    out.u8(Op.localTee);
    out.u32(this.#count);
    this.#readFuel(out);
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.raw([Op.i64ExtendI32U, Op.i64Const, perUnitLog2, Op.i64ShrU, Op.i64Sub]);
    this.#keepFuel(out, true);
  }

  /** B4: as {@link #payByCount}; beyond the maximum the instruction does nothing, and costs no more. */
  #payAtMost(at: number, max: number): void {
    this.#usesCounts = true;
    this.#copyTo(at);
    const out = this.#stretch;
    out.u8(Op.localTee);
    out.u32(this.#count);
    this.#readFuel(out);
    out.u8(Op.i32Const);
    out.s32(max);
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.u8(Op.i32Const);
    out.s32(max);
    out.raw([Op.i32GtU, Op.select, Op.i64ExtendI32U, Op.i64Sub]);
    this.#keepFuel(out, true);
  }

  /** B7: -1 beyond what is left; otherwise it is paid for (B4), and what grew is no longer left. */
  #growMemory(at: number): void {
    this.#usesCounts = true;
    this.#copyTo(at);
    const { pagesGlobal } = this.#context;
    const out = this.#stretch;
    out.u8(Op.localTee);
    out.u32(this.#count);
    out.u8(Op.globalGet);
    out.u32(pagesGlobal);
    out.raw([Op.i32GtU, Op.if, I32, Op.i32Const, MINUS_ONE, Op.else]);
    this.#readFuel(out);
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.raw([Op.i64ExtendI32U, Op.i64Const, PAGE_LOG2, Op.i64Shl, Op.i64Sub]);
    this.#keepFuel(out, true);
    out.u8(Op.localGet);
    out.u32(this.#count);
    this.#copyTo(this.#body.at);
    out.u8(Op.localTee);
    out.u32(this.#grown);
    out.raw([Op.i32Const, MINUS_ONE, Op.i32Ne, Op.if, EMPTY]);
    out.u8(Op.globalGet);
    out.u32(pagesGlobal);
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.u8(Op.i32Sub);
    out.u8(Op.globalSet);
    out.u32(pagesGlobal);
    out.u8(Op.end);
    out.u8(Op.localGet);
    out.u32(this.#grown);
    out.u8(Op.end);
  }

  /** The source up to there, as it is. */
  #copyTo(end: number): void {
    this.#stretch.raw(this.#body.bytes.subarray(this.#copiedTo, end));
    this.#copiedTo = end;
  }
}
