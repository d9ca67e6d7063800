/**
 * A component, read to its last byte before anything else sees it.
 *
 * C1  What is not listed is refused: async, threads, streams, values, imported modules and components.
 * C2  Every name in it is one that generated code can have (N1), in nested components as well.
 * C3  Imports are the world's, and nothing more: interfaces of infrafabric:task, and of WASI as the jail has it.
 * C4  Core modules are metered here; without custom sections the component goes on to the code generator.
 * C5  Depth and number of everything nested are bounded.
 */
import { cleanModule } from '../core/clean.ts';
import { type MeteredModule, meterModule } from '../core/meter-module.ts';
import { gateErrors } from '../errors.ts';
import { Reader } from '../reader.ts';
import type { GateLimits } from '../types.ts';
import { Writer } from '../writer.ts';
import { readAliases, readCanons, readCoreInstances, readInstances } from './definitions.ts';
import { Extern, readExports, readImports } from './externs.ts';
import { readTypes } from './types.ts';

const HEAD = [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];
const DEPTH_MAX = 5;

const Sections = {
  custom: 0,
  coreModule: 1,
  coreInstance: 2,
  component: 4,
  instance: 5,
  alias: 6,
  type: 7,
  canon: 8,
  import: 10,
  export: 11,
} as const;

/** A core module as the code generator will see it, and what becomes of it. */
export interface ComponentModule {
  readonly clean: Uint8Array;
  readonly metered: MeteredModule;
}

export interface ReadComponent {
  /** Without custom sections (C4). */
  readonly clean: Uint8Array<ArrayBuffer>;
  readonly modules: readonly ComponentModule[];
  readonly imports: readonly string[];
  readonly exports: readonly string[];
}

export function readComponent(bytes: Uint8Array, limits: GateLimits): ReadComponent {
  if (bytes.length > limits.bytesMax) {
    const what = `The component has ${bytes.length} bytes, of which ${limits.bytesMax} may be`;
    throw new Reader(bytes).refuse(gateErrors.component_too_large, what);
  }
  return new ComponentReader(limits).read(new Reader(bytes));
}

class ComponentReader {
  readonly #limits: GateLimits;
  readonly #modules: ComponentModule[] = [];
  readonly #imports: string[] = [];
  readonly #exports: string[] = [];
  #instances = 0;
  #depth = 0;

  constructor(limits: GateLimits) {
    this.#limits = limits;
  }

  read(component: Reader): ReadComponent {
    const clean = this.#component(component);
    return { clean, modules: this.#modules, imports: this.#imports, exports: this.#exports };
  }

  #component(component: Reader): Uint8Array<ArrayBuffer> {
    for (const byte of HEAD) {
      const { at } = component;
      if (component.u8() !== byte) throw component.malformed('No component begins so', at);
    }
    const out = new Writer(component.end - component.at + 64);
    out.raw(HEAD);
    while (!component.isDone) {
      const { at } = component;
      const id = component.u8();
      const content = component.part(component.u32());
      if (id === Sections.custom) continue; // C4
      const start = content.at;
      const nested = this.#section(id, content, at);
      content.expectDone('a section');
      out.section(id, nested ?? content.since(start));
    }
    return out.written;
  }

  /** Reads a section; gives what takes its place, where that is not the section itself. */
  #section(id: number, content: Reader, at: number): Uint8Array | undefined {
    switch (id) {
      case Sections.coreModule:
        return this.#module(content, at);
      case Sections.component:
        return this.#nested(content, at);
      case Sections.coreInstance:
        this.#countInstances(readCoreInstances(content), at);
        return undefined;
      case Sections.instance:
        this.#countInstances(readInstances(content), at);
        return undefined;
      case Sections.alias:
        readAliases(content);
        return undefined;
      case Sections.type:
        readTypes(content);
        return undefined;
      case Sections.canon:
        readCanons(content);
        return undefined;
      case Sections.import:
        this.#import(content);
        return undefined;
      case Sections.export:
        this.#export(content);
        return undefined;
      default:
        throw content.refuse(gateErrors.component_feature, `A section of kind ${id} is not allowed`, at); // C1
    }
  }

  /** C4. */
  #module(content: Reader, at: number): Uint8Array {
    if (this.#modules.length >= this.#limits.modulesMax) {
      const what = `More core modules than ${this.#limits.modulesMax}`;
      throw content.refuse(gateErrors.component_too_large, what, at);
    }
    const whole = content.part(content.end - content.at);
    const { at: start, end, bytes } = whole;
    const clean = cleanModule(whole);
    this.#modules.push({ clean, metered: meterModule(new Reader(bytes, start, end), this.#limits) });
    return clean;
  }

  /** C5. */
  #nested(content: Reader, at: number): Uint8Array {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) {
      throw content.refuse(gateErrors.component_too_large, `Components nested deeper than ${DEPTH_MAX}`, at);
    }
    const clean = this.#component(content);
    this.#depth -= 1;
    return clean;
  }

  /** C5. */
  #countInstances(count: number, at: number): void {
    this.#instances += count;
    if (this.#instances <= this.#limits.instancesMax) return;
    const what = `More instances than ${this.#limits.instancesMax}`;
    throw new Reader(new Uint8Array()).refuse(gateErrors.component_too_large, what, at);
  }

  #import(content: Reader): void {
    for (const { name, kind, at } of readImports(content)) {
      if (this.#depth > 0) continue;
      if (kind !== Extern.type && !(kind === Extern.instance && isOfWorld(name))) {
        throw content.refuse(gateErrors.component_import, `Nothing here is called ${name}`, at); // C3
      }
      if (kind === Extern.instance) this.#imports.push(name);
    }
  }

  #export(content: Reader): void {
    for (const { name } of readExports(content)) {
      if (this.#depth === 0) this.#exports.push(name);
    }
  }
}

/** C3. */
const WORLD =
  /^(?:infrafabric:task\/(?:log|events|kv|actors|http|random|clock)@0\.1\.\d+|wasi:(?:cli|clocks|filesystem|io|random|sockets)\/[a-z][a-z0-9-]*@0\.2\.\d+)$/;

function isOfWorld(name: string): boolean {
  return WORLD.test(name);
}
