/**
 * The body of a function as stretches: instructions of which all run when the first of them does, unless one traps.
 *
 * S1  A stretch ends where code may be left or entered otherwise: at branches, and at the end of what a branch leaves
 *     or enters. It goes on after a block, an `if` or a loop that nothing inside of it leaves further out.
 * S2  What follows a branch that is always taken never runs, up to the end of its block, and costs nothing.
 * S3  The entry makes the locals zero, whatever becomes of it.
 */
import { gateErrors } from '../errors.ts';
import type { Reader } from '../reader.ts';
import { type Instruction, readInstruction } from './instruction.ts';
import { CALLEE_UNITS_MAX, costOf, isPaidByCount, Op } from './opcodes.ts';
import { valueType } from './value-types.ts';

/** Of one function. */
const LOCALS_MAX = 10_000;
/** Locals that are made zero at the cost of one instruction: 2². */
const LOCALS_PER_UNIT_LOG2 = 2;

/** When a stretch runs: whenever the function does, every turn of a loop, or at times after another one. */
export type StretchKind = 'entry' | 'turn' | 'maybe';

export interface Stretch {
  /** The byte that it begins with. */
  readonly at: number;
  readonly kind: StretchKind;
  /** What always runs before it; undefined for an entry and a turn. */
  readonly after: Stretch | undefined;
  /** Of a branch with `else`: what runs if this one does not. The first of the two knows the other. */
  instead: Stretch | undefined;
  /** It is what runs instead of another. */
  isInstead: boolean;
  /** What its instructions cost, without the entries of the functions that they call. */
  units: number;
  /** Functions of the module that it calls. */
  callees: number[];
  /** It calls what is not known here. */
  callsOthers: boolean;
}

/** What is to be known of a body to write it again. */
export interface BodyShape {
  readonly localGroups: number;
  readonly locals: number;
  /** Where its instructions begin. */
  readonly codeAt: number;
  readonly hasLoop: boolean;
  /** It fills, copies or grows something. */
  readonly paysByCount: boolean;
  readonly instructions: number;
}

export interface FunctionBody {
  readonly shape: BodyShape;
  /** In the order of the source, the entry first. */
  readonly stretches: readonly Stretch[];
}

/** Reads it to its last byte. */
export function readStretches(body: Reader, importedFunctions: number): FunctionBody {
  return new StretchReader(body, importedFunctions).read();
}

/** A block, `if`, loop or the function itself, while it is open. */
interface Frame {
  readonly before: Stretch;
  /** Of an `if`. */
  readonly then: Stretch | undefined;
  /** The outermost frame that a branch within leads to. */
  leadsTo: number;
}

class StretchReader {
  readonly #body: Reader;
  readonly #importedFunctions: number;
  readonly #stretches: Stretch[] = [];
  readonly #frames: Frame[] = [];
  /** S2. */
  readonly #dead: Stretch = stretch(-1, 'maybe');
  #now: Stretch;
  #instructions = 0;
  #hasLoop = false;
  #paysByCount = false;

  constructor(body: Reader, importedFunctions: number) {
    this.#body = body;
    this.#importedFunctions = importedFunctions;
    this.#now = this.#dead;
  }

  read(): FunctionBody {
    const localGroups = this.#body.count(LOCALS_MAX, 'groups of locals');
    const locals = this.#readLocals(localGroups);
    const codeAt = this.#body.at;
    this.#now = this.#begin('entry', undefined);
    this.#now.units = locals >> LOCALS_PER_UNIT_LOG2; // S3
    this.#open();
    this.#readCode();
    this.#body.expectDone('a function');
    const [hasLoop, paysByCount, instructions] = [this.#hasLoop, this.#paysByCount, this.#instructions];
    return {
      shape: { localGroups, locals, codeAt, hasLoop, paysByCount, instructions },
      stretches: this.#stretches,
    };
  }

  #readLocals(groups: number): number {
    let locals = 0;
    for (let left = groups; left > 0; left -= 1) {
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

  #readCode(): void {
    const body = this.#body;
    const instruction: Instruction = { at: 0, code: 0, index: 0 };
    while (!body.isDone) {
      readInstruction(body, instruction);
      this.#instructions += 1;
      this.#now.units += costOf(instruction.code);
      this.#follow(instruction);
      if (this.#frames.length === 0) return;
    }
    throw body.malformed('A function has no end');
  }

  #follow({ code, index, at }: Instruction): void {
    switch (code) {
      case Op.block:
        this.#open();
        return;
      case Op.loop:
        this.#hasLoop = true;
        this.#open();
        this.#now = this.#begin('turn', this.#now);
        this.#now.units = 1;
        return;
      case Op.if:
        this.#openIf();
        return;
      case Op.else:
        this.#else(at);
        return;
      case Op.end:
        this.#close();
        return;
      case Op.brIf:
        this.#leadTo(index);
        this.#now = this.#begin('maybe', this.#now);
        return;
      case Op.br:
      case Op.brTable:
        this.#leadTo(index);
        this.#now = this.#dead; // S2
        return;
      case Op.return:
        this.#leadTo(this.#frames.length);
        this.#now = this.#dead;
        return;
      case Op.unreachable:
        this.#now = this.#dead;
        return;
      case Op.call:
      case Op.returnCall:
      case Op.callIndirect:
      case Op.returnCallIndirect:
        this.#call(code, index);
        return;
      default:
        if (isPaidByCount(code)) this.#paysByCount = true;
    }
  }

  #call(code: number, index: number): void {
    const isKnown = (code === Op.call || code === Op.returnCall) && index >= this.#importedFunctions;
    if (isKnown && this.#now.callees === NOBODY) this.#now.callees = [index];
    else if (isKnown) this.#now.callees.push(index);
    else {
      this.#now.callsOthers = true;
      this.#now.units += CALLEE_UNITS_MAX;
    }
    if (code === Op.call || code === Op.callIndirect) return;
    this.#leadTo(this.#frames.length);
    this.#now = this.#dead;
  }

  #open(then?: Stretch, before = this.#now): void {
    this.#frames.push({ before, then, leadsTo: this.#frames.length });
  }

  #openIf(): void {
    const before = this.#now;
    this.#now = this.#begin('maybe', before);
    this.#open(this.#now, before);
  }

  #else(at: number): void {
    const { before, then } = this.#frames.at(-1) ?? {};
    if (before === undefined || then === undefined) throw this.#body.malformed('An else without an if', at);
    this.#now = this.#begin('maybe', before);
    then.instead = this.#now;
    this.#now.isInstead = true;
  }

  /** S1. */
  #close(): void {
    const closed = this.#frames.pop();
    if (closed === undefined) return;
    const depth = this.#frames.length;
    const outer = this.#frames.at(-1);
    if (outer === undefined || closed.leadsTo >= depth) {
      this.#now = closed.before;
      return;
    }
    outer.leadsTo = Math.min(outer.leadsTo, closed.leadsTo);
    this.#now = this.#begin('maybe', closed.before);
  }

  /** By a label: 0 is the innermost. */
  #leadTo(label: number): void {
    const innermost = this.#frames.length - 1;
    const frame = this.#frames[innermost];
    if (frame !== undefined) frame.leadsTo = Math.min(frame.leadsTo, Math.max(0, innermost - label));
  }

  /** S2: after what never runs nothing does. */
  #begin(kind: StretchKind, after: Stretch | undefined): Stretch {
    if (after === this.#dead) return this.#dead;
    const begun = stretch(this.#body.at, kind, kind === 'maybe' ? after : undefined);
    this.#stretches.push(begun);
    return begun;
  }
}

/** Of most stretches: there are millions. */
const NOBODY: number[] = [];

function stretch(at: number, kind: StretchKind, after?: Stretch): Stretch {
  return {
    at,
    kind,
    after,
    instead: undefined,
    isInstead: false,
    units: 0,
    callees: NOBODY,
    callsOthers: false,
  };
}
