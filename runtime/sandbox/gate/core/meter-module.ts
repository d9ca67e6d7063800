/**
 * A core module that counts its fuel and its pages, and is otherwise what it was.
 *
 * M1  Two imported globals are added after all of the guest's imports (world/meter.ts); the guest's own globals move up
 *     by two, wherever they are named.
 * M2  Every memory and table has a maximum, and none above the gate's.
 * M3  What is not understood is refused, never copied: each section is read to its last byte.
 * M4  One memory at most.
 */

import { FUEL_IMPORT, MEMORY_EXPORT, METER_MODULE, PAGES_IMPORT } from '../../world/meter.ts';
import { gateErrors } from '../errors.ts';
import { coreName } from '../names.ts';
import type { Reader } from '../reader.ts';
import type { GateLimits } from '../types.ts';
import { Writer } from '../writer.ts';
import { copyConstant } from './constant.ts';
import { copyElements } from './elements.ts';
import { functionNames } from './function-names.ts';
import { meterBody } from './meter-body.ts';
import { paymentsOf, planFunction } from './payments.ts';
import { comesBefore, MODULE_HEAD, readSections, type SectionId, SectionIds } from './sections.ts';
import { readStretches } from './stretches.ts';
import { I32, I64, referenceType, valueType } from './value-types.ts';

/** V8 takes no more. */
const TYPES_MAX = 1_000_000;
const PARAMETERS_MAX = 1_000;
const IMPORTS_MAX = 10_000;
const EXPORTS_MAX = 100_000;
const GLOBALS_MAX = 100_000;
const SEGMENTS_MAX = 100_000;
const TABLES_MAX = 16;
const FUNCTION_TYPE = 0x60;
const MUTABLE = 1;
/** What imports and exports are of. */
const Kinds = { function: 0, table: 1, memory: 2, global: 3 } as const;

export interface MeteredModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Pages that its memory begins with. */
  readonly memoryPages: number;
  readonly stats: BodyStats & { readonly functions: number };
}

interface BodyStats {
  instructions: number;
  /** Stretches that compare the fuel with zero. */
  checks: number;
}

/** A module of the guest, or one that the code generator adds, whose names are its own. */
export type Origin = 'guest' | 'generated';

export function meterModule(module: Reader, limits: GateLimits, origin: Origin = 'guest'): MeteredModule {
  return new ModuleMeter(module, limits, origin).write();
}

class ModuleMeter {
  readonly #module: Reader;
  readonly #limits: GateLimits;
  readonly #readName: (reader: Reader) => string;
  readonly #out: Writer;
  /** How many parameters each type of function has. */
  readonly #parameters: number[] = [];
  /** The type of each function that the module defines. */
  readonly #functions: number[] = [];
  readonly #stats: BodyStats = { instructions: 0, checks: 0 };
  #importedFunctions = 0;
  #importedGlobals = 0;
  #memories = 0;
  #definesMemory = false;
  #memoryPages = 0;
  #hasImports = false;
  #hasExports = false;

  constructor(module: Reader, limits: GateLimits, origin: Origin) {
    this.#module = module;
    this.#limits = limits;
    this.#readName = origin === 'guest' ? coreName : (reader) => reader.text();
    this.#out = new Writer((module.end - module.at) * 2 + 256);
  }

  write(): MeteredModule {
    const { list, names } = readSections(this.#module);
    this.#out.raw(MODULE_HEAD);
    for (const { id, content } of list) {
      this.#addBefore(id);
      const section = new Writer(content.end - content.at + 64);
      this.#section(id, content, section);
      content.expectDone('a section'); // M3
      this.#out.section(id, section.written);
    }
    this.#addBefore(undefined);
    if (names !== undefined) this.#out.raw(functionNames(names));
    return {
      bytes: this.#out.written.slice(),
      memoryPages: this.#memoryPages,
      stats: { ...this.#stats, functions: this.#functions.length },
    };
  }

  /** The sections that the meter needs, where the guest has none: before that one, or at the end. */
  #addBefore(id: SectionId | undefined): void {
    const isPast = (own: SectionId) => id === undefined || comesBefore(own, id);
    if (!this.#hasImports && isPast(SectionIds.import)) {
      const section = new Writer();
      section.u32(2);
      this.#meterImports(section);
      this.#out.section(SectionIds.import, section.written);
    }
    if (!this.#hasExports && this.#definesMemory && isPast(SectionIds.export)) {
      const section = new Writer();
      section.u32(1);
      this.#memoryExport(section);
      this.#out.section(SectionIds.export, section.written);
    }
  }

  #section(id: SectionId, content: Reader, out: Writer): void {
    switch (id) {
      case SectionIds.type:
        this.#copied(content, out, () => this.#types(content));
        return;
      case SectionIds.import:
        this.#imports(content, out);
        return;
      case SectionIds.function:
        this.#copied(content, out, () => this.#functionTypes(content));
        return;
      case SectionIds.table:
        this.#tables(content, out);
        return;
      case SectionIds.memory:
        this.#memory(content, out);
        return;
      case SectionIds.global:
        this.#globals(content, out);
        return;
      case SectionIds.export:
        this.#exports(content, out);
        return;
      case SectionIds.start:
      case SectionIds.dataCount:
        this.#copied(content, out, () => content.u32());
        return;
      case SectionIds.element:
        copyElements(content, out, this.#globalAt);
        return;
      case SectionIds.code:
        this.#code(content, out);
        return;
      case SectionIds.data:
        this.#data(content, out);
        return;
      case SectionIds.custom:
        return;
    }
  }

  /** As it is, once it was read. */
  #copied(content: Reader, out: Writer, read: () => void): void {
    const start = content.at;
    read();
    out.raw(content.since(start));
  }

  /** M1. */
  readonly #globalAt = (index: number): number => (index < this.#importedGlobals ? index : index + 2);

  #types(content: Reader): void {
    for (let left = content.count(TYPES_MAX, 'types'); left > 0; left -= 1) {
      const { at } = content;
      const form = content.u8();
      if (form !== FUNCTION_TYPE) {
        throw content.refuse(
          gateErrors.component_feature,
          `The type form 0x${form.toString(16)} is not allowed`,
          at,
        );
      }
      const parameters = content.count(PARAMETERS_MAX, 'parameters');
      for (let each = 0; each < parameters; each += 1) valueType(content);
      for (let results = content.count(PARAMETERS_MAX, 'results'); results > 0; results -= 1) {
        valueType(content);
      }
      this.#parameters.push(parameters);
    }
  }

  #imports(content: Reader, out: Writer): void {
    const count = content.count(IMPORTS_MAX, 'imports');
    out.u32(count + 2);
    this.#copied(content, out, () => {
      for (let left = count; left > 0; left -= 1) this.#import(content);
    });
    this.#meterImports(out);
  }

  #import(content: Reader): void {
    this.#readName(content);
    this.#readName(content);
    const { at } = content;
    const kind = content.u8();
    switch (kind) {
      case Kinds.function:
        content.u32();
        this.#importedFunctions += 1;
        return;
      case Kinds.table:
        referenceType(content);
        limitsOf(content);
        return;
      case Kinds.memory:
        this.#countMemory(content);
        limitsOf(content);
        return;
      case Kinds.global:
        globalType(content);
        this.#importedGlobals += 1;
        return;
      default:
        throw content.refuse(gateErrors.component_feature, `An import of kind ${kind} is not allowed`, at);
    }
  }

  /** M1. */
  #meterImports(out: Writer): void {
    this.#hasImports = true;
    out.text(METER_MODULE);
    out.text(FUEL_IMPORT);
    out.raw([Kinds.global, I64, MUTABLE]);
    out.text(METER_MODULE);
    out.text(PAGES_IMPORT);
    out.raw([Kinds.global, I32, MUTABLE]);
  }

  #functionTypes(content: Reader): void {
    for (let left = content.count(this.#limits.functionsMax, 'functions'); left > 0; left -= 1) {
      const { at } = content;
      const type = content.u32();
      if (type >= this.#parameters.length) throw content.malformed('There is no such type', at);
      this.#functions.push(type);
    }
  }

  #tables(content: Reader, out: Writer): void {
    const count = content.count(TABLES_MAX, 'tables');
    out.u32(count);
    for (let left = count; left > 0; left -= 1) {
      this.#copied(content, out, () => referenceType(content));
      capped(content, out, this.#limits.tableElementsMax, 'elements of a table');
    }
  }

  #memory(content: Reader, out: Writer): void {
    const count = content.u32();
    out.u32(count);
    for (let left = count; left > 0; left -= 1) {
      this.#countMemory(content);
      this.#memoryPages = capped(content, out, this.#limits.memoryPagesMax, 'pages of memory');
    }
    this.#definesMemory = count > 0;
  }

  /** M4. */
  #countMemory(content: Reader): void {
    this.#memories += 1;
    if (this.#memories > 1) throw content.refuse(gateErrors.component_feature, 'Several memories');
  }

  #globals(content: Reader, out: Writer): void {
    const count = content.count(GLOBALS_MAX, 'globals');
    out.u32(count);
    for (let left = count; left > 0; left -= 1) {
      this.#copied(content, out, () => globalType(content));
      copyConstant(content, out, this.#globalAt);
    }
  }

  #exports(content: Reader, out: Writer): void {
    const count = content.count(EXPORTS_MAX, 'exports');
    out.u32(count + (this.#definesMemory ? 1 : 0));
    for (let left = count; left > 0; left -= 1) {
      this.#copied(content, out, () => this.#readName(content));
      const { at } = content;
      const kind = content.u8();
      const index = content.u32();
      if (kind > Kinds.global) {
        throw content.refuse(gateErrors.component_feature, `An export of kind ${kind} is not allowed`, at);
      }
      out.u8(kind);
      out.u32(kind === Kinds.global ? this.#globalAt(index) : index);
    }
    this.#hasExports = true;
    if (this.#definesMemory) this.#memoryExport(out);
  }

  #memoryExport(out: Writer): void {
    this.#hasExports = true;
    out.text(MEMORY_EXPORT);
    out.raw([Kinds.memory, 0]);
  }

  #code(content: Reader, out: Writer): void {
    const { at } = content;
    const count = content.count(this.#limits.functionsMax, 'functions');
    if (count !== this.#functions.length) {
      throw content.malformed(`${count} bodies for ${this.#functions.length} functions`, at);
    }
    const bodies = this.#functions.map(() =>
      content.part(content.count(this.#limits.functionBytesMax, 'bytes of a function')),
    );
    const plans = bodies.map((body) => planFunction(readStretches(body.again(), this.#importedFunctions)));
    const planOf = (callee: number) => plans[callee - this.#importedFunctions];
    const context = {
      limits: this.#limits,
      fuelGlobal: this.#importedGlobals,
      pagesGlobal: this.#importedGlobals + 1,
      globalAt: this.#globalAt,
      isSilent: (callee: number) => planOf(callee)?.isSilent === true,
    };
    out.u32(count);
    for (const [index, plan] of plans.entries()) {
      const [body, parameters] = [bodies[index], this.#parameters[this.#functions[index] ?? -1]];
      if (body === undefined || parameters === undefined)
        throw content.malformed('There is no such type', at);
      const payments = paymentsOf(plan, planOf);
      this.#stats.instructions += plan.shape.instructions;
      this.#stats.checks += payments.filter(({ isChecked }) => isChecked).length;
      out.sized(meterBody(body, { parameters, shape: plan.shape, payments }, context));
    }
  }

  #data(content: Reader, out: Writer): void {
    const count = content.count(SEGMENTS_MAX, 'segments of data');
    out.u32(count);
    for (let left = count; left > 0; left -= 1) {
      const { at } = content;
      const mode = content.u32();
      if (mode > 1) throw content.refuse(gateErrors.component_feature, 'Data for another memory', at);
      out.u32(mode);
      if (mode === 0) copyConstant(content, out, this.#globalAt);
      this.#copied(content, out, () => content.skip(content.u32()));
    }
  }
}

function globalType(content: Reader): void {
  valueType(content);
  const { at } = content;
  if (content.u8() > MUTABLE) throw content.refuse(gateErrors.component_feature, 'A shared global', at);
}

interface Limits {
  readonly min: number;
  readonly max: number | undefined;
}

function limitsOf(content: Reader): Limits {
  const { at } = content;
  const form = content.u8();
  if (form > 1) {
    throw content.refuse(gateErrors.component_feature, 'A shared or 64-bit memory or table', at);
  }
  const min = content.u32();
  return { min, max: form === 1 ? content.u32() : undefined };
}

/** M2: gives the minimum. */
function capped(content: Reader, out: Writer, cap: number, things: string): number {
  const { at } = content;
  const { min, max = cap } = limitsOf(content);
  if (min > cap) {
    throw content.refuse(
      gateErrors.component_too_large,
      `${min} ${things} to begin with, of which ${cap} may be`,
      at,
    );
  }
  out.u8(1);
  out.u32(min);
  out.u32(Math.min(max, cap));
  return min;
}
