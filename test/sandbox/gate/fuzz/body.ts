/**
 * Random bodies of functions: valid by construction, and sure to end.
 *
 * Y1  Each function and each turn of a loop takes one of the module's turns first; without any left it traps.
 * Y2  A NaN that arithmetic made has one pattern of bits before anything can look at them: which one it would have is
 *     the machine's choice, and no difference between two runs that counts.
 */
import { Writer } from '#runtime/sandbox/gate/writer';
import type { Choices } from './choices.ts';
import { LOADS, OPERATORS, STORES, Types, type ValueType } from './operators.ts';

const { i32, i64, f32, f64, v128 } = Types;
const EMPTY = 0x40;
const DEPTH_MAX = 4;
/** Statements of a body, blocks within included. */
const STATEMENTS_MAX = 24;

/** What a body may name. */
export interface Surroundings {
  readonly functionTypes: readonly FunctionType[];
  /** By function: the index of its type. */
  readonly functions: readonly number[];
  /** Of the module's globals that are mutable: index and type. */
  readonly globals: readonly (readonly [index: number, type: ValueType])[];
  /** The global that holds the turns left. */
  readonly turns: number;
  readonly dataSegments: number;
  readonly elementSegments: number;
}

export interface FunctionType {
  readonly takes: readonly ValueType[];
  readonly gives: readonly ValueType[];
}

const LOCALS: readonly ValueType[] = [i32, i32, i64, f32, f64, v128];

/** The bytes of a function's body, its locals included; some compute a value and nothing else. */
export function randomBody(choices: Choices, own: FunctionType, around: Surroundings): Uint8Array {
  const maker = new BodyMaker(choices, own, around);
  return choices.oneIn(4) ? maker.makeSmall() : maker.make();
}

class BodyMaker {
  readonly #choices: Choices;
  readonly #own: FunctionType;
  readonly #around: Surroundings;
  readonly #locals: readonly ValueType[];
  readonly #out = new Writer();
  /** What a branch to each label carries, the outermost first; undefined for a loop. */
  readonly #labels: ('block' | 'loop')[] = [];
  #statements = STATEMENTS_MAX;

  constructor(choices: Choices, own: FunctionType, around: Surroundings) {
    this.#choices = choices;
    this.#own = own;
    this.#around = around;
    this.#locals = [...own.takes, ...LOCALS];
  }

  make(): Uint8Array {
    const out = this.#out;
    out.u32(LOCALS.length);
    for (const type of LOCALS) out.raw([1, type]);
    this.#takeTurn(); // Y1
    this.#block();
    for (const type of this.#own.gives) this.#value(type, 0);
    out.u8(0x0b);
    return out.written.slice();
  }

  /** Without calls and loops it needs no turn (Y1). */
  makeSmall(): Uint8Array {
    const out = this.#out;
    out.u32(LOCALS.length);
    for (const type of LOCALS) out.raw([1, type]);
    for (const type of this.#own.gives) this.#value(type, 1 + this.#choices.below(DEPTH_MAX));
    out.u8(0x0b);
    return out.written.slice();
  }

  #block(): void {
    for (let left = 1 + this.#choices.below(5); left > 0 && this.#statements > 0; left -= 1)
      this.#statement();
  }

  #statement(): void {
    this.#statements -= 1;
    const out = this.#out;
    const choices = this.#choices;
    switch (choices.below(20)) {
      case 0:
      case 1:
      case 2:
        this.#setLocal();
        return;
      case 3:
        this.#setGlobal();
        return;
      case 4:
      case 5:
        this.#store();
        return;
      case 6:
        this.#within('block', [0x02, EMPTY]);
        return;
      case 7:
      case 8:
        this.#loop();
        return;
      case 9:
        this.#value(i32, 1);
        this.#ifElse();
        return;
      case 10:
        this.#branch();
        return;
      case 11:
        this.#table();
        return;
      case 12:
      case 13:
        this.#call();
        return;
      case 14:
        this.#memory();
        return;
      case 15:
        this.#tableOperation();
        return;
      case 16:
        this.#value(choices.of([i32, i64, f32, f64, v128]), 0);
        out.u8(0x1a);
        return;
      case 17:
        this.#leave();
        return;
      case 18:
        out.u8(0x01);
        return;
      default:
        if (choices.oneIn(20)) out.u8(0x00);
        else this.#setLocal();
    }
  }

  #takeTurn(): void {
    const out = this.#out;
    const { turns } = this.#around;
    out.u8(0x23);
    out.u32(turns);
    out.raw([0x45, 0x04, EMPTY, 0x00, 0x0b]);
    out.u8(0x23);
    out.u32(turns);
    out.raw([0x41, 1, 0x6b, 0x24]);
    out.u32(turns);
  }

  #within(label: 'block' | 'loop', opening: readonly number[]): void {
    if (this.#labels.length >= DEPTH_MAX) return;
    this.#out.raw(opening);
    this.#labels.push(label);
    if (label === 'loop') this.#takeTurn(); // Y1
    this.#block();
    if (label === 'loop') {
      this.#value(i32, 1);
      this.#out.raw([0x0d, 0]);
    }
    this.#labels.pop();
    this.#out.u8(0x0b);
  }

  #loop(): void {
    this.#within('loop', [0x03, EMPTY]);
  }

  #ifElse(): void {
    const out = this.#out;
    out.raw([0x04, EMPTY]);
    this.#labels.push('block');
    this.#block();
    if (this.#choices.oneIn(2)) {
      out.u8(0x05);
      this.#block();
    }
    this.#labels.pop();
    out.u8(0x0b);
  }

  #branch(): void {
    if (this.#labels.length === 0) return;
    this.#value(i32, 1);
    this.#out.u8(0x0d);
    this.#out.u32(this.#choices.below(this.#labels.length));
  }

  /** A br_table in a block of its own, so that what follows can be reached. */
  #table(): void {
    const out = this.#out;
    out.raw([0x02, EMPTY]);
    this.#labels.push('block');
    this.#value(i32, 1);
    out.u8(0x0e);
    const targets = 1 + this.#choices.below(4);
    out.u32(targets);
    for (let left = targets + 1; left > 0; left -= 1) out.u32(this.#choices.below(this.#labels.length));
    this.#labels.pop();
    out.u8(0x0b);
  }

  #call(): void {
    const { functions, functionTypes } = this.#around;
    const out = this.#out;
    const isIndirect = this.#choices.oneIn(3);
    const callee = this.#choices.below(functions.length);
    const typeIndex = isIndirect ? this.#choices.below(functionTypes.length) : (functions[callee] ?? 0);
    const type = functionTypes[typeIndex];
    if (type === undefined) throw new Error('no such type');
    for (const taken of type.takes) this.#value(taken, 1);
    if (isIndirect) {
      this.#index();
      out.u8(0x11);
      out.u32(typeIndex);
      out.u8(0);
    } else {
      out.u8(0x10);
      out.u32(callee);
    }
    for (const _ of type.gives) out.u8(0x1a);
  }

  /** Return or tail call, where a condition holds. */
  #leave(): void {
    const out = this.#out;
    this.#value(i32, 1);
    out.raw([0x04, EMPTY]);
    const { functions, functionTypes } = this.#around;
    const alike = functions.flatMap((type, index) => {
      const callee = functionTypes[type];
      return callee !== undefined && String(callee.gives) === String(this.#own.gives)
        ? [{ index, callee }]
        : [];
    });
    if (alike.length > 0 && this.#choices.oneIn(2)) {
      const { index, callee } = this.#choices.of(alike);
      for (const type of callee.takes) this.#value(type, 2);
      out.u8(0x12);
      out.u32(index);
    } else {
      for (const type of this.#own.gives) this.#value(type, 2);
      out.u8(0x0f);
    }
    out.u8(0x0b);
  }

  #setLocal(): void {
    const index = this.#choices.below(this.#locals.length);
    this.#value(this.#locals[index] ?? i32, 0);
    this.#out.u8(0x21);
    this.#out.u32(index);
  }

  #setGlobal(): void {
    const [index, type] = this.#choices.of(this.#around.globals);
    this.#value(type, 0);
    this.#out.u8(0x24);
    this.#out.u32(index);
  }

  #store(): void {
    const type = this.#choices.of([i32, i64, f32, f64, v128]);
    const [code, align] = this.#choices.of(STORES[type]);
    this.#address();
    this.#value(type, 1);
    this.#access(code, align);
  }

  #memory(): void {
    const out = this.#out;
    const { dataSegments } = this.#around;
    switch (this.#choices.below(5)) {
      case 0:
        this.#value(i32, 2);
        out.raw([0x40, 0, 0x1a]);
        return;
      case 1:
        this.#address();
        this.#value(i32, 2);
        this.#size();
        out.raw([0xfc, 11, 0]);
        return;
      case 2:
        this.#address();
        this.#address();
        this.#size();
        out.raw([0xfc, 10, 0, 0]);
        return;
      case 3:
        this.#address();
        this.#index();
        this.#index();
        out.raw([0xfc, 8, this.#choices.below(dataSegments), 0]);
        return;
      default:
        if (this.#choices.oneIn(4)) out.raw([0xfc, 9, this.#choices.below(dataSegments)]);
    }
  }

  #tableOperation(): void {
    const out = this.#out;
    switch (this.#choices.below(6)) {
      case 0:
        this.#index();
        this.#reference();
        out.raw([0x26, 0]);
        return;
      case 1:
        this.#reference();
        this.#index();
        out.raw([0xfc, 15, 0, 0x1a]);
        return;
      case 2:
        this.#index();
        this.#reference();
        this.#index();
        out.raw([0xfc, 17, 0]);
        return;
      case 3:
        this.#index();
        this.#index();
        this.#index();
        out.raw([0xfc, 14, 0, 0]);
        return;
      case 4:
        this.#index();
        this.#index();
        this.#index();
        out.raw([0xfc, 12, this.#choices.below(this.#around.elementSegments), 0]);
        return;
      default:
        out.raw([0xfc, 16, 0, 0x1a]);
        return;
    }
  }

  #reference(): void {
    if (this.#choices.oneIn(3)) {
      this.#out.raw([0xd0, 0x70]);
      return;
    }
    this.#out.u8(0xd2);
    this.#out.u32(this.#choices.below(this.#around.functions.length));
  }

  /** A small number: mostly within tables and segments. */
  #index(): void {
    this.#value(i32, 2);
    if (!this.#choices.oneIn(10)) this.#out.raw([0x41, 3, 0x71]);
  }

  #size(): void {
    this.#value(i32, 2);
    if (!this.#choices.oneIn(10)) this.#out.raw([0x41, 0xff, 0x3f, 0x71]);
  }

  /** Mostly within the first page. */
  #address(): void {
    this.#value(i32, 2);
    if (!this.#choices.oneIn(10)) this.#out.raw([0x41, 0xff, 0xff, 0x01, 0x71]);
  }

  #access(code: readonly number[], align: number): void {
    this.#out.raw(code);
    this.#out.u32(this.#choices.below(align + 1));
    this.#out.u32(this.#choices.below(100));
  }

  #value(type: ValueType, depth: number): void {
    const choices = this.#choices;
    if (depth >= DEPTH_MAX || choices.oneIn(3)) {
      this.#leaf(type);
      return;
    }
    switch (choices.below(8)) {
      case 0: {
        const [code, align] = choices.of(LOADS[type]);
        this.#address();
        this.#access(code, align);
        return;
      }
      case 1:
        this.#value(type, depth + 1);
        this.#value(type, depth + 1);
        this.#value(i32, depth + 1);
        this.#out.raw([0x1c, 1, type]);
        return;
      case 2:
        this.#value(i32, depth + 1);
        this.#out.raw([0x04, type]);
        this.#value(type, depth + 1);
        this.#out.u8(0x05);
        this.#value(type, depth + 1);
        this.#out.u8(0x0b);
        return;
      default:
        this.#operator(type, depth);
        return;
    }
  }

  #operator(type: ValueType, depth: number): void {
    const { code, takes, makesNan } = this.#choices.of(OPERATORS[type]);
    for (const taken of takes) this.#value(taken, depth + 1);
    this.#out.raw(code);
    if (makesNan === true) this.#oneNan(type); // Y2
  }

  /** Y2. */
  #oneNan(type: ValueType): void {
    const out = this.#out;
    const local = this.#own.takes.length + LOCALS.indexOf(type);
    out.u8(0x22);
    out.u32(local);
    out.raw(type === f32 ? [0x43, 0, 0, 0xc0, 0x7f] : [0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]);
    for (let twice = 0; twice < 2; twice += 1) {
      out.u8(0x20);
      out.u32(local);
    }
    out.raw([type === f32 ? 0x5b : 0x61, 0x1b]);
  }

  #leaf(type: ValueType): void {
    const out = this.#out;
    const choices = this.#choices;
    const same = this.#locals.flatMap((local, index) => (local === type ? [index] : []));
    const globals = this.#around.globals.filter(([, global]) => global === type);
    if (choices.oneIn(4) && globals.length > 0) {
      out.u8(0x23);
      out.u32(choices.of(globals)[0]);
      return;
    }
    if (choices.oneIn(2) && same.length > 0) {
      out.u8(0x20);
      out.u32(choices.of(same));
      return;
    }
    if (type === i32 && choices.oneIn(8)) {
      out.raw([0x3f, 0]);
      return;
    }
    this.#constant(type);
    return;
  }

  #constant(type: ValueType): void {
    const out = this.#out;
    const bits = () => {
      const word = this.#choices.i32();
      return [word, word >> 8, word >> 16, word >> 24].map((byte) => byte & 0xff);
    };
    if (type === i32 || type === i64) {
      out.u8(type === i32 ? 0x41 : 0x42);
      out.s32(this.#choices.i32());
      return;
    }
    if (type === f32) {
      out.raw([0x43, ...bits()]);
      return;
    }
    if (type === f64) {
      out.raw([0x44, ...bits(), ...bits()]);
      return;
    }
    out.raw([0xfd, 0x0c, ...bits(), ...bits(), ...bits(), ...bits()]);
    return;
  }
}
