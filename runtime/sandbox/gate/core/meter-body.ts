/**
 * Fuel in the body of one function.
 *
 * B1  The same run takes the same fuel on every machine and at every level of optimisation: what is charged follows
 *     from the instructions alone, never from time or from how the engine runs them.
 * B2  Instructions are charged by stretches, before the first of them (stretches.ts, payments.ts).
 * B3  The fuel is compared with zero on every way that leads back to itself, so that no code runs longer than through
 *     its own length without having paid.
 * B4  What grows with a number at run time (filling, copying, growing) is paid by that number before it is done.
 * B5  In a function with a loop the fuel is in a local, for speed; it is in the global whenever other code can look: at
 *     calls of what is not silent, at the ends, and at every comparison, so that a trap forgets a stretch at most.
 *     Without a loop there is nothing to gain, and it stays in the global.
 * B6  The guest cannot name the meter's globals and locals: its globals are counted around them, and a local beyond
 *     its own is refused.
 * B7  Memories grow as long as the run has pages left, whatever each of them may have by itself.
 */
import { Reader } from '../reader.ts';
import type { GateLimits } from '../types.ts';
import { Writer } from '../writer.ts';
import { type Instruction, readInstruction } from './instruction.ts';
import { Op } from './opcodes.ts';
import type { Payment } from './payments.ts';
import type { BodyShape } from './stretches.ts';
import { EMPTY, I32, I64 } from './value-types.ts';

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
  /** Whether that function never looks at the fuel. */
  readonly isSilent: (callee: number) => boolean;
}

/** A function as it was read, and what is to be paid in it. */
export interface PlannedBody {
  readonly parameters: number;
  readonly shape: BodyShape;
  readonly payments: readonly Payment[];
}

/** Writes a body, its locals included. */
export function meterBody(source: Reader, planned: PlannedBody, context: BodyContext): Uint8Array {
  return new BodyMeter(source, planned, context).write();
}

class BodyMeter {
  readonly #body: Reader;
  readonly #planned: PlannedBody;
  readonly #context: BodyContext;
  /** The first local of the meter: the fuel. */
  readonly #fuel: number;
  /** Two more, for operands of what grows. */
  readonly #count: number;
  readonly #grown: number;
  /** B5. */
  readonly #isInLocal: boolean;
  #usesFuel: boolean;
  #usesCounts = false;
  readonly #out: Writer;
  /** From here on the output is as the source. */
  #copiedTo: number;
  #depth = 0;

  constructor(source: Reader, planned: PlannedBody, context: BodyContext) {
    this.#body = source;
    this.#planned = planned;
    this.#context = context;
    this.#out = new Writer((source.end - source.at) * 2 + 64);
    this.#fuel = planned.parameters + planned.shape.locals;
    this.#count = this.#fuel + 1;
    this.#grown = this.#fuel + 2;
    this.#isInLocal = planned.shape.hasLoop;
    this.#usesFuel = this.#isInLocal;
    this.#copiedTo = planned.shape.codeAt;
  }

  write(): Uint8Array {
    const { bytes, at: groupsAt } = this.#body;
    const groups = new Reader(bytes, groupsAt, this.#planned.shape.codeAt);
    groups.u32();
    this.#body.skip(this.#planned.shape.codeAt - groupsAt);
    this.#takeFuel();
    this.#rewrite();
    const whole = new Writer(this.#out.length + 64);
    whole.u32(this.#planned.shape.localGroups + (this.#usesCounts ? 2 : this.#usesFuel ? 1 : 0));
    whole.raw(bytes.subarray(groups.at, groups.end));
    if (this.#usesFuel || this.#usesCounts) whole.raw([1, I64]);
    if (this.#usesCounts) whole.raw([2, I32]);
    whole.raw(this.#out.written);
    return whole.written;
  }

  #rewrite(): void {
    const body = this.#body;
    const instruction: Instruction = { at: 0, code: 0, index: 0 };
    const { payments } = this.#planned;
    let paid = 0;
    while (!body.isDone) {
      const payment = payments[paid];
      if (payment?.at === body.at) {
        this.#pay(payment);
        paid += 1;
      }
      readInstruction(body, instruction);
      this.#write(instruction);
    }
    this.#copyTo(body.end);
  }

  #write({ code, index, at }: Instruction): void {
    switch (code) {
      case Op.block:
      case Op.loop:
      case Op.if:
        this.#depth += 1;
        return;
      case Op.end:
        if (this.#depth === 0) this.#giveFuelBefore(at);
        this.#depth -= 1;
        return;
      case Op.br:
      case Op.brIf:
      case Op.brTable:
        if (index >= this.#depth) this.#giveFuelBefore(at);
        return;
      case Op.return:
      case Op.returnCall:
      case Op.returnCallIndirect:
        this.#giveFuelBefore(at);
        return;
      case Op.call:
        if (!this.#context.isSilent(index)) this.#aroundCall(at);
        return;
      case Op.callIndirect:
        this.#aroundCall(at);
        return;
      case Op.localGet:
      case Op.localSet:
      case Op.localTee:
        if (index >= this.#fuel) throw this.#body.malformed('There is no such local', at); // B6
        return;
      case Op.globalGet:
      case Op.globalSet:
        this.#copyTo(at);
        this.#out.u8(code);
        this.#out.u32(this.#context.globalAt(index)); // B6
        this.#copiedTo = this.#body.at;
        return;
      case Op.memoryGrow:
        this.#growMemory(at);
        return;
      case Op.memoryInit:
      case Op.memoryCopy:
      case Op.memoryFill:
        this.#payByCount(at, BYTES_PER_UNIT_LOG2);
        return;
      case Op.tableInit:
      case Op.tableCopy:
      case Op.tableFill:
        this.#payByCount(at, 0);
        return;
      case Op.tableGrow:
        this.#payAtMost(at, this.#context.limits.tableElementsMax);
        return;
    }
  }

  /** B2. */
  #pay({ at, units, isChecked }: Payment): void {
    this.#copyTo(at);
    this.#readFuel();
    if (units > 0) {
      this.#out.u8(Op.i64Const);
      this.#out.s32(units);
      this.#out.u8(Op.i64Sub);
    }
    this.#keepFuel(isChecked);
  }

  /** The difference on the stack is the fuel now; compared with zero if so wanted (B3). */
  #keepFuel(isChecked: boolean): void {
    const out = this.#out;
    if (!isChecked) {
      out.u8(this.#isInLocal ? Op.localSet : Op.globalSet);
      out.u32(this.#isInLocal ? this.#fuel : this.#context.fuelGlobal);
      return;
    }
    this.#usesFuel = true;
    out.u8(Op.localTee);
    out.u32(this.#fuel);
    out.u8(Op.globalSet);
    out.u32(this.#context.fuelGlobal);
    out.u8(Op.localGet);
    out.u32(this.#fuel);
    out.raw([Op.i64Const, 0, Op.i64LtS, Op.if, EMPTY, Op.unreachable, Op.end]);
  }

  #readFuel(): void {
    this.#out.u8(this.#isInLocal ? Op.localGet : Op.globalGet);
    this.#out.u32(this.#isInLocal ? this.#fuel : this.#context.fuelGlobal);
  }

  /** B5: from the global. */
  #takeFuel(): void {
    if (!this.#isInLocal) return;
    const out = this.#out;
    out.u8(Op.globalGet);
    out.u32(this.#context.fuelGlobal);
    out.u8(Op.localSet);
    out.u32(this.#fuel);
  }

  /** B5: to the global, before the instruction at hand. */
  #giveFuelBefore(at: number): void {
    if (!this.#isInLocal) return;
    this.#copyTo(at);
    this.#out.u8(Op.localGet);
    this.#out.u32(this.#fuel);
    this.#out.u8(Op.globalSet);
    this.#out.u32(this.#context.fuelGlobal);
  }

  /** B5. */
  #aroundCall(at: number): void {
    this.#giveFuelBefore(at);
    this.#copyTo(this.#body.at);
    this.#takeFuel();
  }

  /** B4: the count is on top of the stack, and stays there. */
  #payByCount(at: number, perUnitLog2: number): void {
    this.#usesCounts = true;
    this.#copyTo(at);
    const out = this.#out;
    out.u8(Op.localTee);
    out.u32(this.#count);
    this.#readFuel();
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.raw([Op.i64ExtendI32U, Op.i64Const, perUnitLog2, Op.i64ShrU, Op.i64Sub]);
    this.#keepFuel(true);
  }

  /** B4: as {@link #payByCount}; beyond the maximum the instruction does nothing, and costs no more. */
  #payAtMost(at: number, max: number): void {
    this.#usesCounts = true;
    this.#copyTo(at);
    const out = this.#out;
    out.u8(Op.localTee);
    out.u32(this.#count);
    this.#readFuel();
    out.u8(Op.i32Const);
    out.s32(max);
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.u8(Op.i32Const);
    out.s32(max);
    out.raw([Op.i32GtU, Op.select, Op.i64ExtendI32U, Op.i64Sub]);
    this.#keepFuel(true);
  }

  /** B7: -1 beyond what is left; otherwise it is paid for (B4), and what grew is no longer left. */
  #growMemory(at: number): void {
    this.#usesCounts = true;
    this.#copyTo(at);
    const { pagesGlobal } = this.#context;
    const out = this.#out;
    out.u8(Op.localTee);
    out.u32(this.#count);
    out.u8(Op.globalGet);
    out.u32(pagesGlobal);
    out.raw([Op.i32GtU, Op.if, I32, Op.i32Const, MINUS_ONE, Op.else]);
    this.#readFuel();
    out.u8(Op.localGet);
    out.u32(this.#count);
    out.raw([Op.i64ExtendI32U, Op.i64Const, PAGE_LOG2, Op.i64Shl, Op.i64Sub]);
    this.#keepFuel(true);
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
    this.#out.raw(this.#body.bytes.subarray(this.#copiedTo, end));
    this.#copiedTo = end;
  }
}
